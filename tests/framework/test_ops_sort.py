"""Order, scans, counting and statistics against PyTorch: values, places, gradients, ties and NaN."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.autograd import gradgradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

Case = tuple[str, Callable[..., Any], list[tuple[int, ...]]]

CASES: list[Case] = [
    ("sort", lambda m, a: m.sort(a, 1)[0] * 2 + a.sort(dim=0, descending=True).values, [(3, 5)]),
    ("msort", lambda m, a: m.msort(a), [(4, 3)]),
    ("topk", lambda m, a: a.topk(2, 1).values + m.topk(a, 2, 1, largest=False)[0], [(3, 5)]),
    ("few of many", lambda m, a: m.topk(a, 2)[0] + m.topk(a, 2, largest=False)[0], [(2, 50)]),
    ("kthvalue", lambda m, a: m.kthvalue(a, 2, 1)[0] + a.kthvalue(3, 1, True).values.sum(), [(3, 5)]),
    ("median", lambda m, a: a.median(1).values + m.median(a) + m.nanmedian(a, 1)[0], [(3, 4)]),
    ("mode", lambda m, a: m.mode(a, 1)[0], [(3, 4)]),
    ("quantile", lambda m, a: m.quantile(a, 0.3, 1) + a.quantile(m.tensor([0.1, 0.9], dtype=a.dtype)).sum(), [(3, 7)]),
    ("quantile by q", lambda m, a, q: m.quantile(a, q.sigmoid(), 0, keepdim=True), [(7, 2), (3,)]),
    ("interpolations", lambda m, a: sum(m.quantile(a, 0.4, interpolation=how) for how in HOW), [(6,)]),
    ("cumprod", lambda m, a: a.cumprod(1) + m.cumprod(a, 0), [(3, 4)]),
    ("cummax", lambda m, a: a.cummax(1)[0] * 2 + m.cummin(a, 0).values, [(4, 5)]),
    ("logcumsumexp", lambda m, a: a.logcumsumexp(1) + m.logcumsumexp(a * 90, 0), [(3, 4)]),
    ("diff", lambda m, a: m.diff(a, 2).sum() + a.diff(dim=0, prepend=a[:1] * 2), [(3, 5)]),
    ("trapezoid", lambda m, a, x: m.trapezoid(a, x) + m.trapezoid(a, dx=0.5), [(3, 5), (5,)]),
    ("cumulative trapezoid", lambda m, a, x: m.cumulative_trapezoid(a, x, dim=0), [(3, 5), (3, 5)]),
    ("moments", lambda m, a: sum(m.var_mean(a, 1)) + sum(m.std_mean(a, 1, unbiased=False)), [(3, 5)]),
    ("extremes", lambda m, a: m.aminmax(a, dim=1).min + a.aminmax(dim=1).max, [(3, 5)]),
    ("cdist", lambda m, a, b: m.cdist(a, b) + m.cdist(a, b, 1.0) + m.cdist(a, b, 3), [(4, 3), (5, 3)]),
    ("dist", lambda m, a, b: m.dist(a, b, 1.5), [(4, 3), (4, 3)]),
    ("pairs", lambda m, a: m.pdist(a), [(4, 3)]),
    ("cosine", lambda m, a, b: m.cosine_similarity(a, b, -1), [(4, 3), (3,)]),
    ("cov", lambda m, a: m.cov(a, correction=0) + m.corrcoef(a), [(3, 6)]),
    ("weighted cov", lambda m, a: m.cov(a, aweights=m.tensor([0.5, 1.0, 2.0, 1.5]).to(a.dtype)), [(3, 4)]),
]
HOW = ("linear", "lower", "higher", "midpoint", "nearest")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_values_and_gradients_match_torch(case: Case) -> None:
    _, function, shapes = case
    stream = np.random.default_rng(0)
    arrays = [stream.standard_normal(shape) for shape in shapes]

    def run(module: Any) -> list[np.ndarray[Any, Any]]:
        tensors = [module.tensor(array).requires_grad_() for array in arrays]
        out = function(module, *tensors)
        weight = np.random.default_rng(1).standard_normal(tuple(out.shape))
        (out * module.tensor(weight)).sum().backward()
        return [out.detach().numpy(), *(tensor.grad.numpy() for tensor in tensors)]

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["cumprod", "logcumsumexp", "quantile by q", "cdist", "cov", "trapezoid"])
def test_second_gradients_match_finite_differences(name: str) -> None:
    _, function, shapes = next(case for case in CASES if case[0] == name)
    stream = np.random.default_rng(0)
    tensors = [vh.tensor(stream.standard_normal(shape)).requires_grad_() for shape in shapes]
    if name == "logcumsumexp":
        assert gradgradcheck(lambda t: t.logcumsumexp(1), tensors, atol=1e-4)
    else:
        assert gradgradcheck(lambda *t: function(vh, *t).sum(), tensors, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("zeros", [[0], [1, 3], [0, 1, 2, 3]])
def test_running_products_with_zeros_have_gradients(zeros: list[int]) -> None:
    array = np.array([[1.5, -2.0, 0.5, 3.0], [2.0, 1.0, 1.0, 4.0]])
    array[0, zeros] = 0
    grads = []
    for module in (vh, torch):
        x = module.tensor(array).requires_grad_()
        (x.cumprod(1) * module.tensor(np.arange(1.0, 9.0).reshape(2, 4))).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1])


def both(call: Callable[[Any, Any], Any], array: Any) -> None:
    """The same tensors, in one result or several, from both."""
    ours, theirs = call(vh, vh.tensor(array)), call(torch, torch.tensor(array))
    if not isinstance(ours, tuple):
        ours, theirs = (ours,), (theirs,)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype.name == str(b.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(a.numpy(), b.numpy())


TIES = np.array([[3.0, 1.0, 3.0, 2.0, 1.0], [5.0, 5.0, 5.0, 0.0, 0.0]])
NANS = np.array([[3.0, float("nan"), 1.0, 2.0], [4.0, 2.0, float("nan"), float("nan")], [1.0, 2.0, 3.0, 4.0]])


def test_places_among_equals_and_nan() -> None:
    for array in (TIES, NANS, TIES.astype(np.int64), TIES > 2):
        for descending in (False, True):
            both(lambda m, a, down=descending: tuple(m.sort(a, dim=1, descending=down, stable=True)), array)
            both(lambda m, a, down=descending: m.argsort(a, dim=0, descending=down, stable=True), array)
    for array in (TIES, NANS, TIES.astype(np.int64)):
        both(lambda m, a: tuple(m.cummax(a, 1)), array)
        both(lambda m, a: tuple(m.cummin(a, 0)), array)
        both(lambda m, a: m.median(a), array)
    both(lambda m, a: tuple(m.mode(a, 1)), TIES)
    both(lambda m, a: (m.median(a, 1)[0], m.nanmedian(a, 1)[0], m.nanmedian(a), m.median(a, 1)[1]), NANS)
    both(
        lambda m, a: (m.nansum(a), m.nansum(a, 1), m.nanmean(a, 0), m.nanquantile(a, 0.5, 1), m.quantile(a, 1.0, 1)),
        NANS,
    )


def test_distinct_values() -> None:
    for array in (TIES, TIES.astype(np.int64), np.array([2, 2, 1, 1, 1, 2])):
        both(lambda m, a: m.unique(a, return_inverse=True, return_counts=True), array)
        both(lambda m, a: m.unique_consecutive(a, return_inverse=True, return_counts=True), array)
    rows = np.array([[1, 2], [0, 3], [1, 2], [1, 2]])
    both(lambda m, a: m.unique(a, dim=0, return_inverse=True, return_counts=True), rows)
    both(lambda m, a: m.unique_consecutive(a, dim=0, return_counts=True), rows)


def test_places_among_boundaries() -> None:
    edges = np.array([[1.0, 2.0, 2.0, 5.0], [0.0, 0.0, 3.0, 4.0]])
    for right in (False, True):
        both(lambda m, a, r=right: m.searchsorted(a, m.tensor(TIES), right=r), edges)
        both(lambda m, a, r=right: m.bucketize(m.tensor(TIES), a, right=r, out_int32=True), edges[0])
    both(lambda m, a: m.searchsorted(a, 2.0, side="right"), edges[0])


def test_numbers_are_as_precise_as_the_type_asked_for() -> None:
    assert vh.tensor([0.1], dtype=vh.float64).item() == 0.1
    assert vh.tensor(0.1j, dtype=vh.complex128).item() == 0.1j
    assert vh.tensor(0.1).dtype is vh.float32


def test_histograms() -> None:
    array = np.random.default_rng(0).standard_normal(40)
    both(lambda m, a: m.histc(a, 7), array)
    both(lambda m, a: m.histc(a, 5, -1, 1), array)
    both(lambda m, a: m.bincount(a, minlength=9), np.array([1, 3, 3, 0]))
    both(lambda m, a: m.bincount(a, m.tensor([0.5, 1.0, 2.0, 3.0])), np.array([1, 3, 3, 0]))
    for density in (False, True):
        ours = vh.histogram(vh.tensor(array), 6, range=(-2.0, 2.0), density=density)
        theirs = torch.histogram(torch.tensor(array), 6, range=(-2.0, 2.0), density=density)
        np.testing.assert_allclose(ours.hist.numpy(), theirs.hist.numpy())
        np.testing.assert_allclose(ours.bin_edges.numpy(), theirs.bin_edges.numpy(), atol=1e-12)


def test_coordinates_of_places() -> None:
    both(lambda m, a: m.unravel_index(a, (3, 4, 5)), np.array([[0, 59], [21, 7]]))


def test_scalars_and_empty_tensors() -> None:
    for name in ("sort", "cummax", "median", "mode", "kthvalue", "topk"):
        arguments = {"kthvalue": (1, 0), "topk": (1, 0)}.get(name, (0,))
        values, places = getattr(vh, name)(vh.tensor(2.5), *arguments)
        assert values.item() == 2.5
        assert places.item() == 0
    assert vh.sort(vh.zeros(0, 3), 0).values.shape == (0, 3)
    assert vh.cumprod(vh.zeros(2, 0), 1).shape == (2, 0)
    assert vh.unique(vh.zeros(0)).shape == (0,)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.topk(m.ones(3), 4),
        lambda m: m.kthvalue(m.ones(3), 0),
        lambda m: m.quantile(m.ones(3), 1.5),
        lambda m: m.quantile(m.tensor([1, 2]), 0.5),
        lambda m: m.histc(m.ones(3), 0),
        lambda m: m.bincount(m.tensor([-1])),
        lambda m: m.searchsorted(m.ones(2, 3), m.ones(3, 3)),
        lambda m: m.cdist(m.ones(2, 3), m.ones(2, 4)),
    ],
)
def test_bad_input_is_refused_as_torch_refuses_it(call: Callable[[Any], Any]) -> None:
    for module in (torch, vh):
        with pytest.raises(RuntimeError):
            call(module)
