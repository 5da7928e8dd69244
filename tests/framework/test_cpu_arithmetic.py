"""Sums, differences and products of large arrays against NumPy's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import framework as vh
from framework.backends.cpu import arithmetic, memory

UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_FEW", 1)
    monkeypatch.setattr(memory, "poison", True)


def arrays(rng: np.random.Generator, shape: list[int], dtype: Any, order: list[int]) -> np.ndarray:
    """Random values whose axes lie in memory in the given order."""
    made = rng.standard_normal([shape[axis] for axis in order]).astype(dtype)
    return made.transpose(np.argsort(order))


@settings(deadline=None, max_examples=80)
@given(st.data(), st.sampled_from(["add", "sub", "mul"]), st.sampled_from([np.float32, np.float64]))
def test_equals_numpy_in_values_type_and_shape(data: Any, name: str, dtype: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    order = data.draw(st.permutations(range(len(shape))))
    a = arrays(rng, shape, dtype, order)
    kind = data.draw(st.sampled_from(["same", "other order", "row", "broadcast", "number", "reversed"]))
    if kind == "number":
        b: Any = float(rng.standard_normal())
    elif kind == "row":
        b = rng.standard_normal(shape[-1]).astype(dtype)
    elif kind == "broadcast":
        b = rng.standard_normal([data.draw(st.sampled_from([1, n])) for n in shape]).astype(dtype)
    elif kind == "reversed":
        b = arrays(rng, shape, dtype, order)[::-1]
    else:
        b = arrays(rng, shape, dtype, order if kind == "same" else list(range(len(shape))))
    for first, second in ((a, b), (b, a)):
        found = getattr(arithmetic, name)(first, second)
        expected = UFUNCS[name](first, second)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", UFUNCS)
def test_large_tensors_take_it_with_their_history(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    run = arithmetic._run
    monkeypatch.setattr(arithmetic, "_run", lambda *args: (taken.append(args[0]), run(*args)))
    x = vh.randn(700, 801, requires_grad=True)
    y = vh.randn(700, 801, requires_grad=True)
    z = getattr(vh, name)(x, y)
    z.sum().backward()
    assert "arrays" in taken
    np.testing.assert_array_equal(z.detach().numpy(), UFUNCS[name](x.detach().numpy(), y.detach().numpy()))
    expected = {"add": 1, "sub": 1, "mul": y.detach().numpy()}[name]
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(expected, x.shape))


def test_other_types_are_left_to_numpy() -> None:
    assert arithmetic.add(np.ones(9, np.int64), np.ones(9, np.int64)) is NotImplemented
    assert arithmetic.add(np.ones(9, np.complex64), 1.0) is NotImplemented
    assert arithmetic.add(np.ones(9), np.ones(9), alpha=2) is NotImplemented
