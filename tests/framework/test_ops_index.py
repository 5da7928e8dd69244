"""Reading and writing by index beside PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from beside_torch import assert_same, assert_same_values, uniform

import framework as vh

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

PLACES = [[0, 2, 0], [1, 1, 2]]


def _index(m: Any, values: Any = PLACES) -> Any:
    return m.tensor(values)


CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "gather": (lambda m, a: m.gather(a * a, 1, _index(m)), [(3, 4)]),
    "gather by a number": (lambda m, a: m.gather(a * a, 0, m.tensor(2)), [(4,)]),
    "gather from a number": (lambda m, a: m.gather(a * a, 0, m.tensor([0, 0])), [()]),
    "take": (lambda m, a: m.take(a * a, _index(m, [[0, -1], [5, 5]])), [(3, 4)]),
    "take_along_dim": (lambda m, a: m.take_along_dim(a * a, _index(m, [[2], [-1]]), 1), [(2, 4)]),
    "take along all": (lambda m, a: m.take_along_dim(a * a, _index(m, [3, 0, 3])), [(2, 4)]),
    "scatter": (lambda m, a, b: m.scatter(a * a, 1, _index(m, [[0, 2], [3, 1]]), b * b), [(3, 4), (2, 2)]),
    "scatter of a number": (lambda m, a: m.scatter(a * a, 0, _index(m), 2.5), [(3, 4)]),
    "scatter_add": (lambda m, a, b: m.scatter_add(a * a, 1, _index(m), b * b), [(2, 4), (2, 3)]),
    "index_add": (lambda m, a, b: m.index_add(a * a, 1, m.tensor([0, 3, 0]), b * b, alpha=2), [(2, 4), (2, 3)]),
    "index_copy": (lambda m, a, b: m.index_copy(a * a, 0, m.tensor([2, 0]), b * b), [(3, 4), (2, 4)]),
    "index_fill": (lambda m, a: m.index_fill(a * a, 1, m.tensor([0, -1]), 4.0), [(3, 4)]),
    "index_put": (lambda m, a, b: m.index_put(a * a, (m.tensor([0, 2]), m.tensor([1, 1])), b * b), [(3, 4), (2,)]),
    "index_put and add": (
        lambda m, a, b: m.index_put(a * a, (m.tensor([0, 0]),), b * b, accumulate=True),
        [(3, 4), (4,)],
    ),
    "put": (lambda m, a, b: m.put(a * a, m.tensor([1, -1]), b * b), [(2, 3), (2,)]),
    "put and add": (lambda m, a, b: m.put(a * a, m.tensor([1, 1]), b * b, accumulate=True), [(2, 3), (2,)]),
    "masked_scatter": (
        lambda m, a, b: m.masked_scatter(a * a, m.tensor([[True, False, True], [False, True, False]]), b * b),
        [(2, 3), (5,)],
    ),
    "select_scatter": (lambda m, a, b: m.select_scatter(a * a, b * b, 1, -1), [(3, 4), (3,)]),
    "slice_scatter": (lambda m, a, b: m.slice_scatter(a * a, b * b, 1, 0, 4, 2), [(3, 4), (3, 2)]),
    "a view and an index": (lambda m, a: (a * a).T[m.tensor([0, 2])][:, m.tensor([1])], [(2, 3)]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_two_gradients(name: str) -> None:
    function, shapes = CASES[name]
    assert_same(function, uniform(shapes))


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce: str, include_self: bool) -> None:
    def function(m: Any, a: Any, b: Any) -> Any:
        return m.scatter_reduce(a, 0, _index(m), b, reduce, include_self=include_self)

    assert_same(function, uniform([(3, 4), (2, 3)]), second=reduce in ("sum", "mean"))


def test_scatter_reduce_of_products_with_zeros() -> None:
    a, b = uniform([(3, 3), (2, 3)])
    a[0, 0] = b[0, 1] = b[1, 1] = 0

    def function(m: Any, x: Any, y: Any) -> Any:
        return m.scatter_reduce(x, 0, m.tensor([[0, 1, 1], [2, 1, 0]]), y, "prod")

    assert_same(function, [a, b], second=False)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_index_reduce(reduce: str, include_self: bool) -> None:
    def function(m: Any, a: Any, b: Any) -> Any:
        return m.index_reduce(a, 1, m.tensor([0, 0, 3]), b, reduce, include_self=include_self)

    assert_same(function, uniform([(2, 4), (2, 3)]), second=False)


def test_ties_share_the_gradient_of_extremes() -> None:
    def function(m: Any, a: Any, b: Any) -> Any:
        return m.scatter_reduce(a, 0, m.tensor([0, 0, 1]), b, "amax")

    assert_same(function, [np.array([2.0, 5.0]), np.array([2.0, 2.0, 1.0])], second=False)


@pytest.mark.parametrize("kind", ["int64", "bool", "float32", "complex64"])
def test_types(kind: str) -> None:
    def function(m: Any) -> Any:
        zeros = m.zeros(2, 3, dtype=getattr(m, kind))
        ones = m.ones(2, 2, dtype=getattr(m, kind))
        index = m.tensor([[0, 2], [1, 1]])
        return [m.scatter(zeros, 1, index, ones), m.index_copy(zeros, 1, m.tensor([2, 0]), ones), m.take(ones, index)]

    assert_same_values(function, [])


def test_where_things_are() -> None:
    table = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert_same_values(lambda m, a: [m.argwhere(a), m.nonzero_static(a, size=3), m.nonzero_static(a, size=1)], [table])


def test_a_source_may_be_larger_than_its_index() -> None:
    """PyTorch computes this too, but gives such a source no gradient."""
    from framework.autograd import gradcheck, gradgradcheck

    index = vh.tensor([[0, 2], [1, 0]])
    pair = [vh.tensor(array, requires_grad=True) for array in uniform([(3, 4), (3, 3)])]
    for function in (vh.scatter, vh.scatter_add):
        mine = function(pair[0].detach(), 1, index, pair[1].detach())
        reference = getattr(torch, function.__name__)(
            *_torches(pair[:1]), 1, _index(torch, index.tolist()), *_torches(pair[1:])
        )
        assert np.array_equal(mine.numpy(), reference.numpy())
        assert gradcheck(lambda a, b, f=function: f(a * a, 1, index, b * b), pair)
        assert gradgradcheck(lambda a, b, f=function: f(a * a, 1, index, b * b), pair)


def _torches(tensors: list[Any]) -> list[Any]:
    return [torch.tensor(tensor.detach().numpy()) for tensor in tensors]


@pytest.mark.parametrize("reduce", ["add", "multiply"])
def test_scatter_by_addition_and_multiplication(reduce: str) -> None:
    assert_same_values(lambda m, a: m.scatter(a, 0, _index(m), 1.5, reduce=reduce), uniform([(3, 4)]))


TWINS: list[Callable[[Any, Any], Any]] = [
    lambda m, t: t.scatter_(1, m.tensor([[0], [2], [1]]), 5.0),
    lambda m, t: t.index_fill_(0, m.tensor([1]), 0.5),
    lambda m, t: t.index_add_(0, m.tensor([1, 1]), m.ones(2, 4, dtype=m.float64)),
    lambda m, t: t.index_copy_(1, m.tensor([3]), m.ones(3, 1, dtype=m.float64)),
    lambda m, t: t.index_put_((m.tensor([0]),), m.tensor(7.0, dtype=m.float64)),
    lambda m, t: t.put_(m.tensor([0, -1]), m.tensor([1.0, 2.0], dtype=m.float64)),
    lambda m, t: t.masked_scatter_(t > 0, m.ones(12, dtype=m.float64)),
    lambda m, t: t.scatter_reduce_(0, m.tensor([[0, 0]]), m.ones(1, 2, dtype=m.float64), "prod"),
    lambda m, t: t.tril_().renorm_(2, 0, 1.0),
    lambda m, t: t.mul_(3.0).pow_(3),
]


@pytest.mark.parametrize("number", range(len(TWINS)))
def test_in_place_twins_write_and_keep_the_history(number: int) -> None:
    def function(m: Any, a: Any) -> Any:
        tensor = a * a
        view = tensor[:, :3]
        assert TWINS[number](m, tensor) is tensor
        return [tensor, view * 2]

    assert_same(function, uniform([(3, 4)]), second=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.scatter(m.ones(2, 2), 0, m.tensor([0]), m.ones(2, 2)),
        lambda m: m.scatter(m.ones(2, 2), 0, m.tensor([[5, 0]]), m.ones(2, 2)),
        lambda m: m.gather(m.ones(2, 2), 1, m.tensor([[0.0]])),
        lambda m: m.take(m.ones(3), m.tensor([3])),
        lambda m: m.index_add(m.ones(3), 0, m.tensor([0]), m.ones(2)),
        lambda m: m.index_select(m.ones(3), 0, m.tensor([[0]])),
        lambda m: m.masked_scatter(m.ones(3), m.ones(3), m.ones(3)),
        lambda m: m.select_scatter(m.ones(3, 2), m.ones(3), 0, 0),
        lambda m: m.put(m.ones(3), m.tensor([1.0]), m.ones(1)),
        lambda m: m.masked_fill(m.ones(3), m.tensor([True]), m.ones(2)),
        lambda m: m.scatter_reduce(m.ones(3), 0, m.tensor([0]), m.ones(1), "median"),
    ],
)
def test_what_torch_refuses_is_refused_alike(call: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(type(theirs.value)):
        call(vh)


def test_filling_keeps_a_history_in_which_the_old_values_count_for_nothing() -> None:
    def function(m: Any, a: Any, b: Any) -> Any:
        hidden = a * 2
        hidden[1].zero_()
        hidden[:, 0].fill_(b.sum())
        return hidden, (a * 3).zero_()

    assert_same(function, uniform([(3, 4), (2,)]), second=False)
