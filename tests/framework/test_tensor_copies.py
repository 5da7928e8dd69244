"""Copies, conversions and questions: copy, deepcopy, to, type, and names that torch's scripts use."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import framework as vh


def shares(a: vh.Tensor, b: vh.Tensor) -> bool:
    return bool(np.shares_memory(a.detach().numpy(), b.detach().numpy()))


def test_a_shallow_copy_is_another_leaf_on_the_same_memory() -> None:
    x = vh.ones(3, requires_grad=True)
    x.note = "kept"
    y = copy.copy(x)
    assert y is not x
    assert y.is_leaf
    assert y.requires_grad
    assert y.note == "kept"
    assert shares(x, y)
    with vh.no_grad():
        y.add_(1)
    assert x._version == y._version == 1
    parameter = copy.copy(vh.nn.Parameter(vh.ones(2)))
    assert isinstance(parameter, vh.nn.Parameter)


@pytest.mark.oracle
def test_deep_copies_keep_what_torchs_keep() -> None:
    torch = pytest.importorskip("torch")
    for m in (vh, torch):
        x = m.ones(3, requires_grad=True)
        (x * 2).sum().backward()
        y = copy.deepcopy(x)
        assert y.requires_grad
        assert y.grad is not None
        assert y.grad is not x.grad
        assert y.grad.tolist() == [2, 2, 2]
        with m.no_grad():
            y.zero_()
        assert x.tolist() == [1, 1, 1]
        with pytest.raises(RuntimeError, match="graph leaves"):
            copy.deepcopy(x * 2)
        base = m.arange(6.0)
        base.labels = ["a"]
        first, second, third = copy.deepcopy([base, base[1:4], base.reshape(2, 3).t()])
        first[2] = 42
        assert second.tolist() == [1, 42, 3]
        assert third.tolist() == [[0, 3], [1, 4], [42, 5]]
        assert first.labels == ["a"]
        assert first.labels is not base.labels
        assert base[2] == 2
        a, b = copy.deepcopy((x, x))
        assert a is b


def test_deep_copies_of_any_strides() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    for part in (array[:, ::-1], array[1], array.T[1:], array[:, :0], array[..., 2]):
        x = vh.from_numpy(part)
        y = copy.deepcopy(x)
        assert y.tolist() == x.tolist()
        assert not np.shares_memory(y.numpy(), array)
    fixed = np.frombuffer(bytes(16), np.float32)
    copied = copy.deepcopy(vh.from_numpy(fixed))
    assert copied.add_(1).tolist() == [1, 1, 1, 1]


def test_copies_of_modules() -> None:
    layer = vh.nn.Sequential(vh.nn.Linear(2, 2), vh.nn.BatchNorm1d(2))
    layer[0].weight.grad = vh.ones(2, 2)
    layer.tied = layer[0].weight
    twin = copy.deepcopy(layer)
    assert twin.tied is twin[0].weight
    assert isinstance(twin[0].weight, vh.nn.Parameter)
    for ours, theirs in zip(twin.state_dict().values(), layer.state_dict().values()):
        assert ours.tolist() == theirs.tolist()
        assert not shares(ours, theirs)
    shallow = copy.copy(layer)
    assert shallow[0].weight is layer[0].weight


@pytest.mark.parametrize("make", [lambda: vh.ones(2), lambda: vh.nn.Parameter(vh.ones(2)), lambda: vh.nn.Linear(2, 2)])
def test_pickling_points_to_save(make: Any) -> None:
    with pytest.raises(TypeError, match=r"framework\.save"):
        pickle.dumps(make())


@pytest.mark.parametrize(
    "arguments",
    [
        ((vh.float64,), {}),
        (("cpu", vh.float64), {}),
        (("cpu", vh.float64, False, True), {}),
        ((vh.device("cpu"),), {"dtype": vh.float64}),
        ((vh.ones(1, dtype=vh.float64),), {}),
        ((), {"dtype": vh.float64, "device": "cpu", "non_blocking": True, "copy": True}),
        ((vh.float64, True), {"memory_format": vh.contiguous_format}),
    ],
)
def test_to_in_all_its_forms(arguments: Any) -> None:
    x = vh.ones(2)
    assert x.to(*arguments[0], **arguments[1]).dtype is vh.float64
    assert x.to("cpu") is x.cpu() is x.to(vh.float32) is x
    assert x.to(vh.float32, copy=True) is not x


@pytest.mark.oracle
@pytest.mark.parametrize(
    "kind",
    "float32 float64 float16 bfloat16 uint8 int8 int16 int32 int64 bool complex64 uint16".split(),  # noqa: SIM905
)
def test_type_names_are_torchs(kind: str) -> None:
    torch = pytest.importorskip("torch")
    name = vh.ones(1).to(getattr(vh, kind)).type()
    assert name.replace("framework", "torch") == torch.ones(1).to(getattr(torch, kind)).type()
    assert vh.ones(1).type(name).dtype is vh.ones(1).type(getattr(vh, kind)).dtype is getattr(vh, kind)
    with pytest.raises(ValueError, match="invalid type"):
        vh.ones(1).type("torch.WholeTensor")


def test_without_a_gpu_the_error_is_one_sentence() -> None:
    from framework.core.device import cuda_is_available

    if cuda_is_available():
        pytest.skip("there is a GPU")
    for call in (lambda: vh.ones(1).cuda(), lambda: vh.ones(1).to("cuda:0"), lambda: vh.ones(1, device="cuda")):
        with pytest.raises(RuntimeError, match=r"CuPy|GPU") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_questions() -> None:
    x = vh.ones(2, 2)
    assert vh.is_tensor(x)
    assert not vh.is_tensor(np.ones(2))
    assert (vh.is_floating_point(x), vh.is_complex(x), vh.numel(x), vh.get_device(x)) == (True, False, 4, -1)
    assert x.is_same_size(vh.zeros(2, 2))
    assert x.is_set_to(x.detach())
    assert not x.is_set_to(x.clone())
    assert (x.is_cpu, x.is_sparse, x.is_meta, x.is_conj(), x.ndimension()) == (True, False, False, False, 2)
    with vh.inference_mode():
        assert vh.ones(1).add(1).is_inference()


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (3, 3, 3)])
@pytest.mark.parametrize("wrap", [False, True])
def test_fill_diagonal(shape: tuple[int, ...], wrap: bool) -> None:
    torch = pytest.importorskip("torch")
    assert vh.zeros(shape).fill_diagonal_(2, wrap).tolist() == torch.zeros(shape).fill_diagonal_(2, wrap).tolist()


def test_functions_of_python_on_every_element() -> None:
    x = vh.arange(4).reshape(2, 2)
    assert x.apply_(lambda value: value * 10).tolist() == [[0, 10], [20, 30]]
    assert x.map_(vh.tensor([1, 2]), lambda a, b: a + b).tolist() == [[1, 12], [21, 32]]
    with pytest.raises(RuntimeError, match="detach"):
        vh.ones(1, requires_grad=True).apply_(lambda value: value)


@pytest.mark.oracle
def test_numpys_argument_names() -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).standard_normal((3, 4))
    for call in (
        lambda m, x: m.sum(x, axis=0, keepdims=True),
        lambda m, x: x.mean(axis=1),
        lambda m, x: m.amax(x, axis=(0, 1), keepdims=True),
        lambda m, x: m.max(x, axis=1, keepdims=True).indices,
        lambda m, x: m.concat([x, x], axis=1),
        lambda m, x: m.stack((x, x), axis=2),
        lambda m, x: x.argmax(axis=0),
        lambda m, x: m.sort(x, axis=0).values,
        lambda m, x: m.squeeze(x[None], axis=0),
        lambda m, x: m.cumsum(x, axis=1),
        lambda m, x: m.unsqueeze(x, axis=1),
        lambda m, x: m.logsumexp(x, axis=1, keepdims=True),
        lambda m, x: m.softmax(x, axis=1) if m is vh else m.softmax(x, dim=1),
        lambda m, x: m.sum(a=x) if m is vh else m.sum(x),
    ):
        ours, theirs = call(vh, vh.tensor(array)), call(torch, torch.tensor(array))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        vh.sum(vh.ones(2), axes=0)


def test_writing_functions_of_the_front_door() -> None:
    x = vh.tensor([0.0, 1.0])
    assert vh.exp_(x) is x
    assert vh.clip(x, 0, 2).tolist() == [1, 2]
    assert vh.frombuffer(bytearray(b"\x01\x02\x03"), dtype=vh.uint8, offset=1).tolist() == [2, 3]
