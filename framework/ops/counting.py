"""Counting: distinct values, places among boundaries, histograms."""

import math
from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops.reduce import _axes
from framework.ops.scan import like


class Histogram(NamedTuple):
    """How many (or how much weight) lies in each bin, and the edges of the bins."""

    hist: Any
    bin_edges: Any


@op(method=False)
def _places(xp: Any, boundaries: Array, values: Array, right: bool, small: bool, sorter: Array | None) -> Array:
    """Where each value would stand among the sorted ones of its row."""
    side = "right" if right else "left"
    kind = np.int32 if small else np.int64
    if sorter is not None:
        boundaries = xp.take_along_axis(boundaries, sorter, -1)
    if boundaries.ndim <= 1:
        return xp.asarray(xp.searchsorted(boundaries, values, side)).astype(kind)
    result = xp.empty(values.shape, kind)
    for row in np.ndindex(*boundaries.shape[:-1]):
        result[row] = xp.searchsorted(boundaries[row], values[row], side)
    return result


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each value would stand in the sorted sequence of its row: before equals ("left") or after ("right")."""
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    if sorter is not None and tuple(sorter.shape) != tuple(sorted_sequence.shape):
        raise RuntimeError(
            f"searchsorted(): boundary and sorter must have the same size, but got {list(sorted_sequence.shape)} and "
            f"{list(sorter.shape)}"
        )
    if not hasattr(input, "dtype"):
        input = like(np.asarray(input), sorted_sequence)
    if sorted_sequence.ndim > 1 and tuple(sorted_sequence.shape[:-1]) != tuple(input.shape[:-1]):
        raise RuntimeError(
            "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor "
            f"and input value tensor must match, but we got boundaries tensor {list(sorted_sequence.shape)} and input "
            f"value tensor {list(input.shape)}"
        )
    return _places(sorted_sequence, input, right or side == "right", out_int32, sorter)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Which bucket between the boundaries each value falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@op
def bincount(xp: Any, input: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """How often each of the numbers 0, 1, 2, ... occurs, or the sum of the weights where it does."""
    if input.ndim != 1 or CATEGORY[input.dtype] > 1 or (input.size and input.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if not input.size:
        return xp.zeros(minlength, np.int64)
    counts = xp.bincount(input.astype(np.int64), weights, minlength)
    return counts.astype(np.float32) if weights is not None and weights.dtype == np.float32 else counts


@op
def histc(xp: Any, input: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    """How many values lie in each of `bins` bins between `min` and `max` (of the values when both are equal)."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if max < min:
        raise RuntimeError("max must be larger than min")
    values = input.reshape(-1).astype(np.float64)
    low, high = float(min), float(max)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    return _counts(xp, values, low, high, bins).astype(input.dtype)


def _counts(xp: Any, values: Any, low: float, high: float, bins: int) -> Any:
    inside = values[(values >= low) & (values <= high)]
    places = xp.minimum(((inside - low) / (high - low) * bins).astype(np.int64), bins - 1)
    return xp.bincount(places, minlength=bins)


@operation()
def histogram(
    input: Any, bins: Any, *, range: tuple[float, float] | None = None, weight: Any = None, density: bool = False
) -> Histogram:
    """How many values lie in each bin; `bins` is a number of bins over `range`, or a tensor of edges."""
    if isinstance(bins, int) and bins <= 0:
        raise RuntimeError(f"histogram(): bins must be > 0, got {bins}")
    hist, edges = histogramdd(
        input.reshape(-1, 1),
        [bins],
        range=range,
        weight=None if weight is None else weight.reshape(-1),
        density=density,
    )
    return Histogram(hist, edges[0])


@operation()
def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> tuple[Any, list[Any]]:
    """The histogram of points (..., D): counts of D dimensions and the edges along each."""
    if CATEGORY[input._data.dtype] != FLOATING:
        raise RuntimeError(f"histogramdd: not implemented for {input.dtype.name}")
    points = input._data.reshape(-1, input.shape[-1])
    count = points.shape[1]
    bins = [bins] * count if isinstance(bins, int) else list(bins)
    if len(bins) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input: "
            f"{len(bins)} and {count}"
        )
    edges = []
    for axis, each in enumerate(bins):
        if isinstance(each, int):
            low, high = _range(points[:, axis]) if range is None else (range[2 * axis], range[2 * axis + 1])
            if low == high:
                low, high = low - 0.5, high + 0.5
            edges.append(np.linspace(low, high, each + 1, dtype=points.dtype))
        else:
            edges.append(each._data if hasattr(each, "_data") else np.asarray(each))
    weights = None if weight is None else weight._data.reshape(-1)
    inside = np.ones(len(points), bool)
    places = []
    for axis, edge in enumerate(edges):
        values = points[:, axis]
        inside &= (values >= edge[0]) & (values <= edge[-1])
        # one value at a time: NumPy's search over many trusts the order of the edges, a user's need not have one
        found = np.array([np.searchsorted(edge, value, "right") for value in values], np.int64) - 1
        places.append(np.clip(found, 0, len(edge) - 2))
    shape = tuple(len(edge) - 1 for edge in edges)
    flat = np.ravel_multi_index([place[inside] for place in places], shape)
    chosen = None if weights is None else weights[inside]
    hist = np.bincount(flat, chosen, int(np.prod(shape))).reshape(shape).astype(points.dtype)
    if density:
        hist = hist / hist.sum()
        for axis, edge in enumerate(edges):
            hist = hist / np.diff(edge).reshape([-1 if axis == other else 1 for other in np.arange(count)])
    return like(hist, input), [like(edge, input) for edge in edges]


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The coordinates in a tensor of `shape` of places in its flattened form."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if CATEGORY[indices._data.dtype] != 1:
        raise ValueError(f"expected 'indices' to be integer dtype, but got {indices.dtype.name}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    rest = indices._data
    coordinates = []
    for size in reversed(sizes):
        coordinates.append(like(rest % max(size, 1), indices))
        rest = rest // max(size, 1)
    return tuple(reversed(coordinates))


def _range(values: Any) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct values in order (slices along `dim` when given), and on demand the inverse and the counts."""
    array = input._data
    axis = None if dim is None else check_dim(dim, input.ndim)
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    shape = array.shape if axis is None else (array.shape[axis],)
    return _unique_result(values, inverse.reshape(shape), counts, return_inverse, return_counts, input)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values without their immediate repetitions, and on demand the inverse and the counts."""
    array = input._data
    axis = None if dim is None else check_dim(dim, input.ndim)
    flat = np.moveaxis(array.reshape(-1, 1) if axis is None else array, axis or 0, 0)
    rows = flat.reshape(len(flat), math.prod(flat.shape[1:]))
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(1)
    places = np.flatnonzero(starts)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(places, len(rows)))
    values = array.reshape(-1)[places] if axis is None else np.take(array, places, axis)
    shape = array.shape if axis is None else (array.shape[axis],)
    return _unique_result(values, inverse.reshape(shape), counts, return_inverse, return_counts, input)


def _unique_result(values: Any, inverse: Any, counts: Any, with_inverse: bool, with_counts: bool, source: Any) -> Any:
    result = [like(values, source)]
    if with_inverse:
        result.append(like(inverse.astype(np.int64), source))
    if with_counts:
        result.append(like(counts.astype(np.int64), source))
    return result[0] if len(result) == 1 else tuple(result)


@op(method=False)
def hash_tensor(
    xp: Any, input: Array, dim: int | tuple[int, ...] | None = None, *, keepdim: bool = False, mode: int = 0
) -> Array:
    """The exclusive or (`mode` 0) over `dim` of the elements' bits as 64-bit numbers, uint64."""
    if mode != 0:
        raise RuntimeError(f"hash_tensor: mode must be 0 (exclusive or), got {mode}")
    if input.dtype.kind == "c":
        raise RuntimeError("hash_tensor does not support complex tensors")
    wide = input.astype(np.float64 if CATEGORY[input.dtype] == FLOATING else np.int64)
    return xp.bitwise_xor.reduce(wide.view(np.uint64), axis=_axes(dim, input.ndim), keepdims=keepdim)
