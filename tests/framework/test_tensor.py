"""What a tensor is: types, promotion, sharing with NumPy, printing, errors."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import framework as vh

NAMES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def test_types_of_python_values() -> None:
    assert vh.tensor([1, 2]).dtype is vh.int64
    assert vh.tensor([1.0, 2]).dtype is vh.float32
    assert vh.tensor(True).dtype is vh.bool
    assert vh.tensor(1j).dtype is vh.complex64
    assert vh.tensor(np.ones(2)).dtype is vh.float64
    assert repr(vh.float32) == "framework.float32"
    with pytest.raises(TypeError, match="could not infer"):
        vh.tensor(["a"])
    with pytest.raises(ValueError, match="equal lengths"):
        vh.tensor([[1, 2], [3]])


@pytest.mark.oracle
@pytest.mark.parametrize(("a", "b"), list(itertools.product(NAMES, NAMES)))
def test_promotion_is_torchs(a: str, b: str) -> None:
    torch = pytest.importorskip("torch")
    ours = [vh.ones(2, dtype=getattr(vh, name)) for name in (a, b)]
    theirs = [torch.ones(2, dtype=getattr(torch, name)) for name in (a, b)]
    assert str((ours[0] * ours[1]).dtype).split(".")[1] == str((theirs[0] * theirs[1]).dtype).split(".")[1]
    if a == "float16" and b.startswith("complex"):
        return  # with a 0-d complex tensor torch gives complex32, which NumPy does not have: ours is complex64
    weak, weak_torch = vh.tensor(1).to(getattr(vh, b)), torch.tensor(1).to(getattr(torch, b))
    assert str((ours[0] * weak).dtype).split(".")[1] == str((theirs[0] * weak_torch).dtype).split(".")[1]


@pytest.mark.oracle
@pytest.mark.parametrize("number", [True, 2, 2.5, 1 + 2j])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_only_raise_the_category(name: str, number: object) -> None:
    torch = pytest.importorskip("torch")
    if name == "float16" and isinstance(number, complex):
        pytest.skip("torch gives complex32, which NumPy does not have: ours is complex64")
    ours = vh.ones(3, dtype=getattr(vh, name)) * number
    theirs = torch.ones(3, dtype=getattr(torch, name)) * number
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]


def test_memory_is_shared_with_numpy_both_ways() -> None:
    array = np.arange(6.0).reshape(2, 3)[:, ::-1]
    tensor = vh.from_numpy(array)
    tensor[0, 0] = 42
    assert array[0, 0] == 42
    tensor.numpy()[1, 1] = -1
    assert tensor[1, 1].item() == -1
    assert np.shares_memory(np.asarray(tensor), array)
    assert np.shares_memory(vh.from_dlpack(tensor).numpy(), array)


def test_read_only_arrays_are_read_only_tensors() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        vh.from_numpy(array).add_(1)


def test_mixed_arithmetic_with_numpy() -> None:
    result = np.ones(3, np.float32) + vh.ones(3)
    assert isinstance(result, vh.Tensor)
    assert result.tolist() == [2, 2, 2]


def test_printing() -> None:
    assert repr(vh.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(vh.tensor([1, 20])) == "tensor([ 1, 20])"
    assert repr(vh.tensor([0.5], requires_grad=True)) == "tensor([0.5000], requires_grad=True)"
    assert repr(vh.tensor([0.5], dtype=vh.float64)) == "tensor([0.5000], dtype=framework.float64)"
    assert repr(vh.tensor([True, False])) == "tensor([ True, False])"
    assert repr(vh.tensor(3)) == "tensor(3)"
    assert "grad_fn=<AddBackward0>" in repr(vh.tensor([1.0], requires_grad=True) + 1)


def test_pickling_is_refused_with_advice() -> None:
    with pytest.raises(TypeError, match=r"framework\.save"):
        pickle.dumps(vh.ones(2))


def test_copies() -> None:
    leaf = vh.ones(2, requires_grad=True)
    deep = copy.deepcopy(leaf)
    assert deep.requires_grad
    assert not np.shares_memory(deep.detach().numpy(), leaf.detach().numpy())
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(leaf * 2)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
def test_any_shape_takes_part(shape: tuple[int, ...]) -> None:
    x = vh.ones(shape, requires_grad=True)
    y = (x * 2 + 1).sum()
    y.backward()
    assert y.item() == 3 * np.prod(shape)
    assert x.grad is not None
    assert tuple(x.grad.shape) == shape


def test_errors_say_what_was_wrong() -> None:
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        bool(vh.ones(2))
    with pytest.raises(IndexError, match="Dimension out of range"):
        vh.ones(2).sum(3)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        vh.ones(2, 3) @ vh.ones(2, 3)
    with pytest.raises(RuntimeError, match="must match the size of tensor b"):
        vh.ones(2) + vh.ones(3)
    with pytest.raises(RuntimeError, match="detach"):
        vh.ones(2, requires_grad=True).numpy()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        vh.add(vh.ones(2))
    with pytest.raises(RuntimeError, match="floating point"):
        vh.ones(2, dtype=vh.int64).requires_grad_()
