"""Array-level resampling: values of one grid at the voxel centres of another.

Grids with parallel axes are resampled one axis at a time by a short filter (triangle for linear, Keys' cubic
convolution with a = -1/2; R. Keys, IEEE TASSP 29, 1981), which is widened by the sampling ratio where the target is
coarser, so that downsampling averages instead of aliasing. Other pairs of grids are gathered point by point; where the
target is coarser each voxel is the mean over several points in it. A target voxel whose centre lies outside the
source's extent (the outer voxel faces) takes the fill value.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from medimg.transforms.grid import AxisMap, Grid, axis_map, index_map

INTERPOLATIONS = ("linear", "cubic", "nearest")

_RADIUS = {"linear": 1.0, "cubic": 2.0}
_EDGE = 0.5 + 1e-6
_NO_SHIFT = np.zeros((3, 0, 0, 0), dtype=np.float32)
_SPLIT = 1 << 18  # below this many output voxels a second thread costs more than it saves


def sample(
    array: np.ndarray,
    source: Grid,
    target: Grid,
    label: bool = False,
    interpolation: str = "linear",
    antialias: bool = True,
    fill: float = 0.0,
) -> np.ndarray:
    """Values of `array` (X, Y, Z), which lies on `source`, at the voxels of `target`.

    Where the target's voxel centres are the source's (flips, axis permutations, crops, pads) voxels are copied and the
    dtype is kept. Otherwise images come back as float32. Labels keep their dtype: "linear" gives each voxel the label
    whose indicator function, interpolated linearly, is largest, or in a coarser target the label that fills most of the
    voxel (no label is invented); "nearest" takes the nearest voxel.
    """
    _check(interpolation, label)
    if array.ndim != 3:
        raise ValueError(f"resampling takes arrays (X, Y, Z), but this one has the shape {array.shape}.")
    aligned = axis_map(target, source)
    if aligned is None:
        return _gather(array, source, target, label, interpolation, antialias, fill)
    if aligned.same_lattice(target.shape):
        return _copy(array, aligned, target.shape, fill)
    return _separable(array, aligned, target.shape, label, interpolation, antialias, fill)


def gather(
    image: np.ndarray,
    matrix: np.ndarray,
    shape: tuple[int, ...],
    shift: np.ndarray = _NO_SHIFT,
    fill: float = 0.0,
    subdivide: tuple[int, int, int] = (1, 1, 1),
    interpolation: str = "linear",
) -> np.ndarray:
    """Float32 samples (C, *shape) of image (C, X, Y, Z) at the indices matrix @ (i, j, k, 1) + shift[:, i, j, k]."""
    from medimg.transforms import kernels

    image = np.ascontiguousarray(image, dtype=np.float32)
    out = np.empty((image.shape[0], *shape), dtype=np.float32)
    matrix = np.ascontiguousarray(matrix[:3], dtype=np.float64)
    if interpolation == "cubic":
        by_rows(shape[0], out[0].size, kernels.gather_cubic, image, matrix, subdivide, np.float32(fill), out)
    else:
        by_rows(shape[0], out[0].size, kernels.gather_linear, image, matrix, shift, subdivide, np.float32(fill), out)
    return out


def gather_labels(
    labels: np.ndarray,
    matrix: np.ndarray,
    shape: tuple[int, ...],
    shift: np.ndarray = _NO_SHIFT,
    fill: int = 0,
    subdivide: tuple[int, int, int] = (1, 1, 1),
    nearest: bool = False,
) -> np.ndarray:
    """Labels (*shape) of labels (X, Y, Z) at the positions of `gather`, by trilinear votes or nearest; same dtype."""
    from medimg.transforms import kernels

    coded = _coded(labels, fill)
    out = np.empty(shape, dtype=coded.dtype)
    matrix = np.ascontiguousarray(matrix[:3], dtype=np.float64)
    value = coded.dtype.type(fill)
    by_rows(shape[0], out.size, kernels.gather_labels, coded, matrix, shift, subdivide, nearest, value, out)
    return out.astype(labels.dtype, copy=False)


class Taps(NamedTuple):
    """Filter weights along one axis: target index begin + i is sum over t of weight[i, t] * source[first[i] + t]."""

    begin: int
    first: np.ndarray
    weight: np.ndarray


def axis_taps(source_size: int, target_size: int, scale: float, offset: float, kind: str, antialias: bool) -> Taps:
    """Taps for the target indices whose centre scale * i + offset lies within the source's extent.

    `kind` is "linear", "cubic", or "area": the part of each source voxel that the target voxel covers, which is
    "linear" where the target is as fine as the source.
    """
    centre = scale * np.arange(target_size) + offset
    within = np.flatnonzero((centre >= -_EDGE) & (centre <= source_size - 1 + _EDGE))
    if within.size == 0:
        return Taps(0, np.zeros(0, np.int64), np.zeros((0, 1), np.float32))
    centre = centre[within]
    width = max(abs(scale), 1.0) if antialias else 1.0
    radius = (width + 1) / 2 if kind == "area" else _RADIUS[kind] * width
    first = np.ceil(centre - radius - 1e-9).astype(np.int64)
    count = min(int((np.floor(centre + radius + 1e-9).astype(np.int64) - first).max()) + 1, source_size)
    # Near the border the window moves inwards and the weights that remain are rescaled to sum 1. The centre itself
    # is held inside, so the outer half voxel takes the edge value.
    first = np.clip(first, 0, source_size - count)
    distance = first[:, None] + np.arange(count) - np.clip(centre, 0, source_size - 1)[:, None]
    weight = np.clip(radius - np.abs(distance), 0, 1) if kind == "area" else _filter(kind, distance / width)
    weight /= weight.sum(axis=1, keepdims=True)
    if width > 1:
        # A widened filter on whole positions has its centre of mass up to some hundredths of a voxel off; tilt it back,
        # so that structures do not move. Not at the border, where half of the filter is missing.
        whole = (np.abs(distance[:, :1]) > radius - 1) & (np.abs(distance[:, -1:]) > radius - 1)
        bump = _filter("linear", distance / radius)
        slope = bump * (distance - (bump * distance).sum(axis=1, keepdims=True) / bump.sum(axis=1, keepdims=True))
        lever = (slope * distance).sum(axis=1, keepdims=True)
        moment = (weight * distance).sum(axis=1, keepdims=True)
        known = whole & (lever > 1e-6)
        weight = weight - np.where(known, moment / np.where(known, lever, 1.0), 0.0) * slope
    while weight.shape[1] > 1 and not np.any(np.abs(weight[:, -1]) > 1e-7):
        weight = weight[:, :-1]
    return Taps(int(within[0]), first, np.ascontiguousarray(weight, dtype=np.float32))


def _check(interpolation: str, label: bool) -> None:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"no interpolation {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}.")
    if label and interpolation == "cubic":
        raise ValueError("label maps are resampled by 'linear' votes or 'nearest', not 'cubic'.")


def _filter(kind: str, x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    if kind == "linear":
        return np.maximum(1.0 - x, 0.0)
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def _copy(array: np.ndarray, aligned: AxisMap, shape: tuple[int, ...], fill: float) -> np.ndarray:
    """Voxels of a target on the same lattice; `fill` where it reaches beyond the source."""
    view = array.transpose(aligned.source_axis)
    into, out_of = [], []
    for size, target_size, scale, offset in zip(view.shape, shape, aligned.scale, np.round(aligned.offset).astype(int)):
        step = 1 if scale > 0 else -1
        # Target index i holds source index step * i + offset.
        low, high = (-offset, size - offset) if step > 0 else (offset - size + 1, offset + 1)
        low, high = max(low, 0), min(high, target_size)
        if high <= low:
            return np.full(shape, fill, dtype=array.dtype)
        into.append(slice(low, high))
        start, stop = step * low + offset, step * (high - 1) + offset + step
        out_of.append(slice(start, stop if stop >= 0 else None, step))
    part = view[tuple(out_of)]
    if part.shape == tuple(shape):
        return np.array(part, order="C")
    result = np.full(shape, fill, dtype=array.dtype)
    result[tuple(into)] = part
    return result


def _separable(
    array: np.ndarray,
    aligned: AxisMap,
    shape: tuple[int, ...],
    label: bool,
    interpolation: str,
    antialias: bool,
    fill: float,
) -> np.ndarray:
    view = array.transpose(aligned.source_axis)
    if interpolation == "nearest":
        return _nearest(view, aligned, shape, label, fill)
    kind = "area" if label else interpolation
    taps = [
        axis_taps(n, m, scale, offset, kind, antialias)
        for n, m, scale, offset in zip(view.shape, shape, aligned.scale, aligned.offset)
    ]
    inner = _vote(view, taps, fill) if label else filter_axes(view, taps)
    if inner.shape == tuple(shape):
        return inner
    result = np.full(shape, fill, dtype=inner.dtype)
    result[tuple(slice(t.begin, t.begin + len(t.first)) for t in taps)] = inner
    return result


def filter_axes(view: np.ndarray, taps: list[Taps]) -> np.ndarray:
    """Filter each axis by its taps; float32. Source planes that no tap reads are never touched."""
    from medimg.transforms import kernels

    if any(len(t.first) == 0 for t in taps):
        return np.zeros([len(t.first) for t in taps], dtype=np.float32)
    taps = list(taps)
    for axis, t in enumerate(taps):
        low, high = int(t.first.min()), int(t.first.max()) + t.weight.shape[1]
        view = view[(slice(None),) * axis + (slice(low, high),)]
        taps[axis] = t._replace(first=t.first - low)
    backwards = view.flags.f_contiguous and not view.flags.c_contiguous
    if backwards:  # nibabel's order: work on the transpose rather than copy
        view, taps = view.transpose(), taps[::-1]
    data = np.ascontiguousarray(view, dtype=np.float32)
    for axis in sorted(range(3), key=lambda a: len(taps[a].first) / data.shape[a]):
        _, first, weight = taps[axis]
        size, count = data.shape[axis], len(first)
        if weight.shape[1] == 1 and count == size and np.array_equal(first, np.arange(size)):
            continue
        result = np.empty((*data.shape[:axis], count, *data.shape[axis + 1 :]), dtype=np.float32)
        if axis == 2:
            rows = data.shape[0] * data.shape[1]
            flat = data.reshape(rows, size), first, weight, result.reshape(rows, count)
            by_rows(rows, result.size, kernels.filter_last, *flat)
        else:
            outer = int(np.prod(data.shape[:axis]))
            inner = int(np.prod(data.shape[axis + 1 :]))
            blocks = data.reshape(outer, size, inner), first, weight, result.reshape(outer, count, inner)
            by_rows(outer * count, result.size, kernels.filter_middle, *blocks)
        data = result
    return data.transpose() if backwards else data


def _nearest(view: np.ndarray, aligned: AxisMap, shape: tuple[int, ...], label: bool, fill: float) -> np.ndarray:
    picks, into = [], []
    for size, target_size, scale, offset in zip(view.shape, shape, aligned.scale, aligned.offset):
        centre = scale * np.arange(target_size) + offset
        within = np.flatnonzero((centre >= -_EDGE) & (centre <= size - 1 + _EDGE))
        picks.append(np.clip(np.floor(centre[within] + 0.5).astype(np.int64), 0, size - 1))
        into.append(slice(within[0], within[-1] + 1) if within.size else slice(0, 0))
    result = np.full(shape, fill, dtype=view.dtype if label else np.float32)
    result[tuple(into)] = view[np.ix_(*picks)]
    return result


def _vote(view: np.ndarray, taps: list[Taps], fill: float) -> np.ndarray:
    from medimg.transforms import kernels

    coded = _coded(view, int(fill))
    out = np.empty([len(t.first) for t in taps], dtype=coded.dtype)
    flat = [part for t in taps for part in (t.first, t.weight)]
    by_rows(out.shape[0], out.size, kernels.vote_separable, coded, *flat, out)
    return out.astype(view.dtype, copy=False)


def _gather(
    array: np.ndarray, source: Grid, target: Grid, label: bool, interpolation: str, antialias: bool, fill: float
) -> np.ndarray:
    matrix = index_map(target, source)
    subdivide = (1, 1, 1)
    if antialias and interpolation != "nearest":
        # How many source voxels one target step crosses, at most, along any source axis.
        steps = np.abs(matrix[:3, :3]).max(axis=0)
        subdivide = tuple(int(max(np.ceil(step - 1e-3), 1)) for step in steps)  # type: ignore[assignment]
    if label:
        return gather_labels(array, matrix, target.shape, _NO_SHIFT, int(fill), subdivide, interpolation == "nearest")
    if interpolation == "nearest":
        return _gather_nearest(array, matrix, target.shape, fill)
    return gather(array[None], matrix, target.shape, _NO_SHIFT, fill, subdivide, interpolation)[0]


def _gather_nearest(array: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...], fill: float) -> np.ndarray:
    result = np.empty(shape, dtype=np.float32)
    last = np.array(array.shape) - 1
    for i in range(shape[0]):
        index = np.stack(np.meshgrid([i], np.arange(shape[1]), np.arange(shape[2]), indexing="ij"), axis=-1)[0]
        position = index @ matrix[:3, :3].T + matrix[:3, 3]
        inside = np.all((position >= -_EDGE) & (position <= last + _EDGE), axis=-1)
        nearest = np.clip(np.floor(position + 0.5).astype(np.int64), 0, last)
        result[i] = np.where(inside, array[tuple(np.moveaxis(nearest, -1, 0))], fill)
    return result


def _coded(labels: np.ndarray, fill: int) -> np.ndarray:
    """Labels as contiguous uint8 where they fit, else int32: the two types the kernels are compiled for."""
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"a label map holds whole numbers, not {labels.dtype}.")
    if labels.dtype == np.int32 or (labels.dtype == np.uint8 and 0 <= fill <= 255):
        return np.ascontiguousarray(labels)
    low, high = (min(labels.min(), fill), max(labels.max(), fill)) if labels.size else (fill, fill)
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        raise ValueError("the label map holds fractions; resample it as an image, or round it first.")
    if low < -(2**31) or high >= 2**31:
        raise ValueError(f"label values {low} to {high} do not fit 32 bits.")
    return np.ascontiguousarray(labels, dtype=np.uint8 if low >= 0 and high <= 255 else np.int32)


def by_rows(rows: int, voxels: int, kernel: Callable[..., None], *arguments: Any) -> None:
    """Run a kernel over all rows, on framework's number of threads where the work is worth it."""
    import framework

    workers = min(framework.get_num_threads(), rows, voxels // _SPLIT + 1)
    if workers <= 1:
        kernel(*arguments, 0, rows)
        return
    edges = [rows * n // workers for n in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(kernel, *arguments, a, b) for a, b in pairwise(edges)]:
            done.result()
