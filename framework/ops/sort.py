"""Order: sorting, the largest and the middle, quantiles."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.index import gather
from framework.ops.reduce import sum as sum_
from framework.ops.results import ValuesIndices
from framework.ops.shape import flatten, movedim, narrow, reshape, squeeze, unsqueeze


@op(method=False)
def _order(xp: Any, input: Array, dim: int, descending: bool) -> Array:
    """The places of the values in their order; equal ones keep theirs, NaN counts as the largest."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return xp.zeros((), np.int64)
    if input.dtype.kind == "V":
        input = input.astype(np.float32)
    if input.dtype.kind == "c":
        raise RuntimeError("Sort does not support complex dtypes on CPU: sort by abs() or real instead")
    if not descending:
        return xp.argsort(input, axis=axis, kind="stable")
    backwards = xp.argsort(xp.flip(input, axis), axis=axis, kind="stable")
    return xp.ascontiguousarray(xp.flip(input.shape[axis] - 1 - backwards, axis))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The values in order along a dimension, and where they stood. Always stable."""
    order = _order(input, dim, descending)
    return ValuesIndices(gather(input, dim, order) if input.ndim else e.clone(input), order)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The places of the values in their order along a dimension. Always stable."""
    return _order(input, dim, descending)


def msort(input: Any) -> Any:
    """The values in order along the first dimension."""
    return sort(input, 0).values


@op(method=False)
def _top_places(xp: Any, input: Array, k: int, dim: int, largest: bool) -> Array:
    """The places of the `k` largest (or smallest) values, in their order."""
    axis = check_dim(dim, input.ndim)
    length = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError(f"selected index k out of range: k is {k}, dimension {dim} has {length}")
    if not input.ndim or k * 8 > length or input.dtype.kind == "V":
        order = _order(input, dim, largest)
        return xp.take(order, xp.arange(k), axis) if input.ndim else order
    # few of many: a partition first, then the order of the few
    if largest:
        few = xp.take(xp.argpartition(input, length - k, axis), xp.arange(length - k, length), axis)
    else:
        few = xp.take(xp.argpartition(input, max(k - 1, 0), axis), xp.arange(k), axis)
    order = _order(xp.take_along_axis(input, few, axis), axis, largest)
    return xp.take_along_axis(few, order, axis)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The `k` largest (or smallest) values along a dimension in their order, and where they stand."""
    places = _top_places(input, k, dim, largest)
    return ValuesIndices(gather(input, dim, places) if input.ndim else e.clone(input), places)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The `k`-th smallest value along a dimension (the first is 1), and where it stands."""
    axis = check_dim(dim, input.ndim)
    length = input.shape[axis] if input.ndim else 1
    if not 1 <= k <= length:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}: {k} of {length}")
    order = _order(input, dim, False)
    return _picked(input, narrow(order, axis, k - 1, 1) if input.ndim else order, axis, keepdim)


@op(method=False)
def _middle_place(xp: Any, input: Array, dim: int, ignore_nan: bool) -> Array:
    """Where the lower median of each row stands; a NaN is the median unless it is ignored."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return xp.zeros((), np.int64)
    length = input.shape[axis]
    if not length:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size.")
    order = _order(input, dim, False)
    rank = xp.full((*input.shape[:axis], 1, *input.shape[axis + 1 :]), (length - 1) // 2)
    if CATEGORY[input.dtype] >= FLOATING:
        nans = xp.isnan(input).sum(axis, keepdims=True)
        if ignore_nan:
            rank = xp.maximum(length - nans - 1, 0) // 2
        else:
            first = xp.expand_dims(xp.argmax(xp.isnan(input), axis), axis)
            return xp.where(nans > 0, first, xp.take_along_axis(order, rank, axis))
    return xp.take_along_axis(order, rank, axis)


@op(method=False)
def _middle(xp: Any, input: Array, ignore_nan: bool) -> Array:
    """The lower median of all elements; equal ones share the gradient."""
    flat = input.reshape(-1)
    if not flat.size:
        return xp.asarray(np.nan if CATEGORY[input.dtype] >= FLOATING else 0).astype(input.dtype)
    return flat[_middle_place(flat, 0, ignore_nan)].reshape(())


@_middle.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    hit = e.eq(input, out)
    if bool(np.isnan(getattr(out, "_data", out))):
        hit = e.isnan(input)
    return e.mul(e.div(g, sum_(hit)), hit)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of all, or (values, indices) along a dimension; NaN where there is one."""
    return _median(input, dim, keepdim, False)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of what is not NaN, or (values, indices) along a dimension."""
    return _median(input, dim, keepdim, True)


def _median(input: Any, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    if dim is None:
        return _middle(input, ignore_nan)
    return _picked(input, _middle_place(input, dim, ignore_nan), check_dim(dim, input.ndim), keepdim)


@op(method=False)
def _common_place(xp: Any, input: Array, dim: int) -> Array:
    """Where the most frequent value of each row stands last; the smallest among equally frequent ones."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return xp.zeros((), np.int64)
    order = xp.moveaxis(_order(input, dim, False), axis, -1)
    rows = xp.take_along_axis(xp.moveaxis(input, axis, -1), order, -1)
    length = rows.shape[-1]
    starts = xp.concatenate([xp.ones((*rows.shape[:-1], 1), bool), rows[..., 1:] != rows[..., :-1]], -1)
    begun = xp.maximum.accumulate(xp.where(starts, xp.arange(length), 0), -1)
    run = xp.arange(length) - begun  # how many equal ones came before in the order
    best = xp.argmax(run, -1, keepdims=True)
    return xp.moveaxis(xp.take_along_axis(order, best, -1), -1, axis)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent value along a dimension (the smallest of several), and where it stands last."""
    axis = check_dim(dim, input.ndim)
    return _picked(input, _common_place(input, dim), axis, keepdim)


def _picked(input: Any, places: Any, axis: int, keepdim: bool) -> ValuesIndices:
    """One value a row, from its place (with the dimension kept)."""
    if not input.ndim:
        return ValuesIndices(e.clone(input), places)
    values = gather(input, axis, places)
    return ValuesIndices(values, places) if keepdim else ValuesIndices(squeeze(values, axis), squeeze(places, axis))


@operation(autocast="cpu:float32")
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The q-th quantiles along a dimension (or of all); the dimension of `q` comes first. NaN where there is one."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


@operation(autocast="cpu:float32")
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The q-th quantiles of what is not NaN; see `quantile`."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def _quantile(input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool) -> Any:
    kinds = ("linear", "lower", "higher", "midpoint", "nearest")
    kind = getattr(input, "_data", input).dtype
    if kind not in (np.float32, np.float64):
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, not {kind}")
    if interpolation not in kinds:
        raise RuntimeError(f"quantile() interpolation must be one of {', '.join(kinds)}, but got {interpolation}")
    if hasattr(q, "dtype") and getattr(q, "_data", q).dtype != kind:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if not input.numel():
        raise RuntimeError("quantile() input tensor must be non-empty")
    levels = np.asarray(getattr(q, "_data", q), kind)
    if levels.ndim > 1:
        raise RuntimeError(f"quantile() q must be a scalar or 1D tensor, but got {levels.ndim} dimensions")
    if ((levels < 0) | (levels > 1)).any():
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    axis = 0 if dim is None else check_dim(dim, input.ndim)
    rows = reshape(input, 1, -1) if dim is None or not input.ndim else unsqueeze(movedim(input, axis, -1), 0)
    rows = flatten(rows, 0, -2)
    ordered = sort(rows, -1).values
    missing = np.isnan(ordered._data).sum(-1, keepdims=True)
    last = rows.shape[-1] - 1
    reach = np.maximum(last - missing, 0) if ignore_nan else np.full_like(missing, last)
    row = reshape(q, 1, -1) if hasattr(q, "dtype") else _as(levels.reshape(1, 1), input)
    ranks = e.mul(row, _as(reach.astype(kind), input))
    if not ignore_nan:
        ranks = e.where(_as(missing > 0, input), float(last), ranks)
    if interpolation in ("lower", "higher", "nearest"):
        ranks = {"lower": e.floor, "higher": e.ceil, "nearest": e.round}[interpolation](ranks)
    below = np.floor(ranks._data)
    result = gather(ordered, -1, _as(below.astype(np.int64), input))
    if interpolation in ("linear", "midpoint"):
        above = gather(ordered, -1, _as(np.ceil(ranks._data).astype(np.int64), input))
        weight = e.sub(ranks, _as(below, input)) if interpolation == "linear" else 0.5
        result = e.lerp(result, above, weight)
    shape = list(input.shape)
    if dim is None or not input.ndim:
        shape = [1] * input.ndim if keepdim else []
    else:
        shape[axis : axis + 1] = [1] if keepdim else []
    result = movedim(result, -1, 0)
    return reshape(result, *((levels.size,) if levels.ndim else ()), *shape)


def _as(array: Any, other: Any) -> Any:
    from framework.ops.scan import like

    return like(array, other)
