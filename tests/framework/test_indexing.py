"""Indexing and assignment, drawn by hypothesis, against NumPy; writing through views against torch."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import framework as vh

quick = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@st.composite
def indexed(draw: Any, basic: bool) -> tuple[Any, Any]:
    """An array and an index of it."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0 if basic else 1, max_side=4))
    array = np.arange(float(np.prod(shape))).reshape(shape)
    if basic:
        return array, draw(hnp.basic_indices(shape, allow_newaxis=True))
    kind = draw(st.sampled_from(("integers", "mask", "mixed", "row mask", "lists")))
    if kind == "integers":
        return array, draw(hnp.integer_array_indices(shape))
    if kind == "mask":
        return array, draw(hnp.arrays(bool, shape))
    if kind == "row mask":
        return array, (draw(hnp.arrays(bool, shape[:1])), ...)
    places = st.integers(-shape[0], shape[0] - 1)
    first = draw(st.lists(places, min_size=1, max_size=4)) if kind == "lists" else draw(
        hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=3), elements=places))  # fmt: skip
    rest = [draw(hnp.basic_indices((n,), allow_newaxis=False, allow_ellipsis=False)) for n in shape[1:]]
    index = (first, *(each[0] if isinstance(each, tuple) else each for each in rest if each != ()))
    return array, index


def ours(index: Any) -> Any:
    """The index with tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(ours(each) for each in index)
    return vh.from_numpy(index) if isinstance(index, np.ndarray) and index.ndim else index


@pytest.mark.parametrize("basic", [True, False])
def test_access_and_its_gradient(basic: bool) -> None:
    @quick
    @given(indexed(basic))
    def check(drawn: Any) -> None:
        array, index = drawn
        expected = array[index]
        x = vh.tensor(array, requires_grad=True)
        for each in (index, ours(index)):
            result = x[each]
            assert tuple(result.shape) == np.shape(expected)
            np.testing.assert_array_equal(result.detach().numpy(), expected)
        if basic and expected.size:
            assert np.shares_memory(result.detach().numpy(), x.detach().numpy())
        weights = np.random.default_rng(0).standard_normal(np.shape(expected))
        (x[ours(index)] * vh.tensor(weights)).sum().backward()
        gradient = np.zeros_like(array)
        np.add.at(gradient, index, weights)
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-12, atol=1e-12)

    check()


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("basic", [True, False])
def test_assignment_and_its_gradient(basic: bool, recorded: bool) -> None:
    @quick
    @given(indexed(basic), st.booleans())
    def check(drawn: Any, scalar: bool) -> None:
        array, index = drawn
        part = array[index]
        flat = np.arange(array.size).reshape(array.shape)[index]
        assume(np.unique(flat).size == np.size(flat))  # which of two values for one place wins is not said
        value = np.float64(7.5) if scalar else 100.0 + np.arange(float(np.size(part))).reshape(np.shape(part))
        expected = array.copy()
        expected[index] = value
        x = vh.tensor(array, requires_grad=recorded)
        v = vh.tensor(value, requires_grad=recorded)
        y = x * 1 if recorded else x
        y[ours(index)] = v
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        if recorded:
            weights = np.random.default_rng(1).standard_normal(array.shape)
            (y * vh.tensor(weights)).sum().backward()
            kept = weights.copy()
            kept[index] = 0
            np.testing.assert_allclose(x.grad.numpy() if x.grad is not None else 0 * kept, kept, atol=1e-12)
            taken = weights[index].sum() if scalar else weights[index]
            np.testing.assert_allclose(v.grad.numpy(), taken, atol=1e-12)

    check()


def test_negative_steps_are_views() -> None:
    x = vh.arange(6.0)
    y = x[::-2]
    assert y.tolist() == [5, 3, 1]
    y += 1
    assert x.tolist() == [0, 2, 2, 4, 4, 6]
    assert y.flip(0).tolist() == [2, 4, 6]
    z = vh.zeros(2, 3)
    z[:, ::-1] = vh.arange(3.0)
    assert z.tolist() == [[2, 1, 0]] * 2


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (5, IndexError, "out of bounds"),
        ((0, 0, 0), IndexError, "too many indices"),
        ("a", IndexError, "valid indices"),
        (1.5, IndexError, "valid indices"),
        (vh.tensor([0.5]), IndexError, "tensors used as indices"),
        (vh.tensor([True, False, True]), IndexError, "(?i)mask|boolean"),
        (vh.tensor([9]), IndexError, "out of bounds"),
        (slice(None, None, 0), ValueError, "zero"),
    ],
)
def test_wrong_indices_are_refused(index: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        vh.ones(2, 3)[index]


def test_writes_that_hit_an_element_twice_are_refused() -> None:
    wide = vh.zeros(3, 1).expand(3, 4)
    for write in (
        lambda: wide.add_(1),
        lambda: wide.copy_(vh.ones(3, 4)),
        lambda: wide.zero_(),
        lambda: wide.__setitem__(0, 1.0),
        lambda: wide.normal_(),
        lambda: wide.masked_fill_(vh.ones(3, 4, dtype=vh.bool), 2),
    ):
        with pytest.raises(RuntimeError, match="single memory location"):
            write()


SCENES: dict[str, Any] = {
    "slice": lambda m, x: (y := x * 2, y[1:].mul_(3), y)[-1],
    "column": lambda m, x: (y := x * 2, y[:, 0].copy_(x[:, 1]), y)[-1],
    "transposed": lambda m, x: (y := x * 2, y.t()[0].add_(x[0, :3].sum()), y)[-1],
    "view of a view": lambda m, x: (y := x * 2, y[1:][:, 1:].exp_(), y)[-1],
    "base, then view": lambda m, x: (y := x * 2, v := y[0], y.mul_(x), v * 2)[-1],
    "view twice": lambda m, x: (y := x * 2, v := y[0], v.mul_(2), v.add_(x[1]), y * v)[-1],
    "two views": lambda m, x: (y := x * 2, a := y[0], b := y[:, 0], a.mul_(3), b.sin_(), y + a)[-1],
    "diagonal": lambda m, x: (y := x @ x.t(), y.diagonal().mul_(2), y)[-1],
    "unbind outside": lambda m, x: (y := x * 2, y.select(0, 1).fill_(0.5), y)[-1],
    "assignment of a slice": lambda m, x: (y := m.zeros(3, 4, dtype=m.float64), y.__setitem__(1, x[0] * 2), y)[-1],
    "masked assignment": lambda m, x: (y := x * 1, y.__setitem__(y > 0, 0.25), y)[-1],
    "reshape": lambda m, x: (y := x * 2, y.view(-1)[2:5].mul_(x.reshape(-1)[:3]), y)[-1],
    "unsqueeze": lambda m, x: (y := x * 2, y.unsqueeze(0).mul_(x), y)[-1],
    "detached write": lambda m, x: (y := x * 2, y.detach()[0].zero_(), y)[-1],
    "leaf without grad": lambda m, x: (y := m.ones(3, 4, dtype=m.float64), y[0].add_(x[1]), y * x)[-1],
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", SCENES)
def test_writing_through_views_keeps_torchs_history(name: str) -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(6).standard_normal((3, 4))
    found = []
    for module in (vh, torch):
        x = module.tensor(array, requires_grad=True)
        result = SCENES[name](module, x)
        (first,) = module.autograd.grad((result * result).sum(), x, create_graph=True)
        (second,) = module.autograd.grad((first**2).sum(), x, allow_unused=True) if first.requires_grad else (first,)
        found.append([each.detach().numpy() for each in (result, first, x * 0 if second is None else second)])
    for mine, reference in zip(*found):
        np.testing.assert_allclose(mine, reference, rtol=1e-10, atol=1e-12)
