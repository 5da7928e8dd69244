"""The Python array API standard 2024.12: every name, its signature, and its results beside array-api-strict's."""

import inspect
from typing import Any

import numpy as np
import pytest

import framework as vh
import framework.array_api as xp

pytest.importorskip("array_api_strict")

import array_api_cases as cases
import array_api_strict as strict

NOT_OF_THE_STANDARD = {"Device", "ArrayAPIStrictFlags"}


def names_of(namespace: Any) -> list[str]:
    """The functions of a namespace of array-api-strict that belong to version 2024.12."""
    found = []
    for name in namespace.__all__:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *a, **k: None)
            value = getattr(namespace, name, None)
        of_strict = name in NOT_OF_THE_STANDARD or "flags" in name
        if callable(value) and not of_strict and name not in ("isin", "broadcast_shapes"):  # these two are of 2025.12
            found.append(name)
    return found


NAMES = [*names_of(strict), *(f"{part}.{n}" for part in ("linalg", "fft") for n in names_of(getattr(strict, part)))]


def test_every_function_of_the_standard_is_drawn_inputs_for() -> None:
    assert len(NAMES) > 160
    assert set(NAMES) - {name for name in NAMES if inspect.isclass(getattr(strict, name, None))} <= set(cases.CASES)
    for name in ("e", "pi", "inf", "nan", "newaxis", "__array_api_version__"):
        assert hasattr(xp, name)
    assert set(xp.__all__) <= set(dir(xp))


@pytest.mark.parametrize("name", NAMES)
def test_signature(name: str) -> None:
    def described(function: Any) -> Any:
        return [
            (each.name, each.kind, None if "UNDEF" in str(each.default) else each.default)
            for each in inspect.signature(function).parameters.values()
        ]

    theirs = described(cases.function_of(strict, name))
    if name == "expand_dims":
        theirs[1] = (*theirs[1][:2], 0)  # the default that 2024.12 gives
    assert described(cases.function_of(xp, name)) == theirs
    assert cases.function_of(xp, name).__doc__


@pytest.mark.oracle
@pytest.mark.parametrize("name", cases.CASES)
def test_results_are_those_of_the_reference(name: str) -> None:
    cases.check(name, xp, lambda tensor: tensor.numpy(), 10)


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("name", cases.CASES)
def test_results_are_those_of_the_reference_on_many_inputs(name: str) -> None:
    cases.check(name, xp, lambda tensor: tensor.numpy(), 60)


def test_a_tensor_names_its_namespace() -> None:
    x = vh.ones(2, 3)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"2024\.12"):
        x.__array_namespace__(api_version="1999.01")
    assert xp.__array_api_version__ == "2024.12"


def test_the_attributes_of_an_array() -> None:
    x = xp.ones((2, 3), dtype=xp.float64)
    assert (x.size, x.ndim, tuple(x.shape), x.dtype) == (6, 2, (2, 3), xp.float64)
    assert x.size() == x.shape  # torch's way to ask
    assert x.size(-1) == 3
    assert x.size + 1 == 7
    assert tuple(x.T.shape) == tuple(x.mT.shape) == (3, 2)
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="no streams"):
        x.to_device("cpu", stream=1)
    assert isinstance(complex(xp.asarray(1j)), complex)
    assert (xp.asarray([1, 2]) << 1).tolist() == [2, 4]
    assert (8 >> xp.asarray([1, 2])).tolist() == [4, 2]


@pytest.mark.oracle
@pytest.mark.parametrize("a", cases.ALL)
@pytest.mark.parametrize("b", cases.ALL)
def test_promotion_table(a: str, b: str) -> None:
    try:
        expected = strict.result_type(getattr(strict, a), getattr(strict, b))
    except TypeError:
        pytest.skip("the standard leaves it open")
    name = str(expected).rpartition(".")[2]
    assert xp.result_type(getattr(xp, a), getattr(xp, b)).name == name
    for shape in ((2,), ()):
        x, y = xp.ones(shape, dtype=getattr(xp, a)), xp.ones((2,), dtype=getattr(xp, b))
        assert xp.where(xp.asarray(True), x, y).dtype.name == name
        if not {a, b} & {"bool"}:
            assert xp.add(x, y).dtype.name == name
            assert xp.multiply(y, x).dtype.name == name
    if a != "bool":
        assert (xp.ones(2, dtype=getattr(xp, a)) + xp.ones(2, dtype=getattr(xp, b))).dtype.name == name


@pytest.mark.oracle
@pytest.mark.parametrize(
    "index",
    [
        0, -1, (0, 1), slice(None), slice(None, None, -1), slice(3, 0, -2), slice(4, None), (..., 0), (None, 1), ...,
        (slice(1, 3), None, ..., -1), (slice(None), slice(None, None, 2)), (1, ..., None), (), (None, ..., None),
    ],
)  # fmt: skip
def test_indexing(index: Any) -> None:
    array = np.arange(24.0).reshape(4, 3, 2)
    ours, theirs = xp.asarray(array), strict.asarray(array)
    if isinstance(index, tuple) and Ellipsis not in index and len([i for i in index if i is not None]) < 3:
        index = (*index, ...)
    elif not isinstance(index, tuple):
        index = (index, ...) if index is not Ellipsis else index
    np.testing.assert_array_equal(ours[index].numpy(), np.asarray(theirs[index]))
    mask = array > 11
    np.testing.assert_array_equal(ours[ours > 11].numpy(), array[mask])
    ours[ours > 11] = -1.0
    assert (ours.numpy()[mask] == -1).all()


def test_out_of_bounds_is_an_index_error() -> None:
    x = xp.ones((2, 3))
    for index in (2, -3, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: xp.reshape(xp.ones((2, 3)), (4,)), ValueError),
        (lambda: xp.reshape(xp.ones((2, 3)).mT, (6,), copy=False), ValueError),
        (lambda: xp.squeeze(xp.ones((2, 1)), 0), ValueError),
        (lambda: xp.expand_dims(xp.ones((2, 3)), axis=5), IndexError),
        (lambda: xp.astype(xp.ones(2, dtype=xp.complex64), xp.float32), TypeError),
        (lambda: xp.asarray([1, 2], copy=False), ValueError),
        (lambda: xp.nonzero(xp.asarray(1)), ValueError),
        (lambda: xp.sort(xp.ones(2, dtype=xp.complex64)), TypeError),
        (lambda: xp.isdtype(xp.int8, "imaginary"), ValueError),
        (lambda: xp.sin(np.ones(2)), TypeError),
        (lambda: xp.add(1, 2), TypeError),
        (lambda: xp.concat([xp.ones(2), xp.ones((2, 2))]), ValueError),
        (lambda: xp.stack([xp.ones(2), xp.ones(3)]), ValueError),
        (lambda: xp.matmul(xp.asarray(1.0), xp.ones(2)), ValueError),
        (lambda: xp.matmul(xp.ones((2, 3)), xp.ones((2, 3))), ValueError),
        (lambda: xp.vecdot(xp.ones((2, 3)), xp.ones((2, 3)), axis=0), ValueError),
        (lambda: xp.linalg.cross(xp.ones(2), xp.ones(2)), ValueError),
        (lambda: xp.cumulative_sum(xp.ones((2, 2))), ValueError),
        (lambda: xp.take(xp.ones((2, 2)), xp.asarray([0])), ValueError),
        (lambda: xp.sum(xp.ones(2), axis=1), IndexError),
        (lambda: xp.broadcast_to(xp.ones(2), (3,)), ValueError),
        (lambda: xp.ones(2).__int__(), RuntimeError),
        (lambda: xp.asarray(1.0).__index__(), TypeError),
        (lambda: xp.asarray(True).__index__(), TypeError),
        (lambda: float(xp.asarray(1j)), TypeError),
    ],
)
def test_errors(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def test_gradients_flow_through_the_namespace() -> None:
    x = vh.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    total = xp.sum(xp.matmul(xp.std(x, axis=0, keepdims=True), xp.sort(x, axis=1, descending=True)))
    total.backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())


def test_half_types_take_part() -> None:
    for kind in (vh.bfloat16, vh.float16):
        x = xp.asarray([3.0, 1.0, 2.0], dtype=kind)
        assert xp.sort(x).tolist() == [1, 2, 3]
        assert xp.mean(x).dtype is kind
        assert xp.unique_values(x).dtype is kind


def test_copies_and_sharing() -> None:
    array = np.arange(3.0)
    assert np.shares_memory(xp.asarray(array).numpy(), array)
    assert np.shares_memory(xp.asarray(array, copy=False).numpy(), array)
    assert not np.shares_memory(xp.asarray(array, copy=True).numpy(), array)
    x = xp.asarray(array)
    assert xp.asarray(x) is x
    assert not np.shares_memory(xp.astype(x, xp.float64).numpy(), array)
    assert xp.astype(x, xp.float64, copy=False) is x
    assert xp.asarray(memoryview(b"ab")).tolist() == [97, 98]


def test_the_default_types() -> None:
    info = xp.__array_namespace_info__()
    assert info.default_dtypes()["real floating"] is vh.float32
    assert xp.zeros(2).dtype is xp.asarray(1.0).dtype is vh.float32
    assert xp.asarray(1j).dtype is vh.complex64
    assert xp.arange(3).dtype is xp.asarray([1]).dtype is vh.int64
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert info.devices() == [info.default_device()] or len(info.devices()) > 1
    assert info.capabilities()["boolean indexing"]
