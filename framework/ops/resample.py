"""Interpolation to another size: each dimension is one small matrix, so the gradient is its transpose."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.ops.pool import along_axis

_RANKS = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "area": (1, 2, 3),
}


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Any:
    """(N, C, *) resampled to `size`, or by `scale_factor`, as torch places its samples.

    Modes: "nearest", "nearest-exact", "linear" (3-D input), "bilinear" (4-D), "trilinear" (5-D), "area".
    """
    rank = input.ndim - 2
    if mode not in _RANKS:
        raise NotImplementedError(f"interpolation mode '{mode}' is not there; the modes are: {', '.join(_RANKS)}")
    if rank not in _RANKS[mode]:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs {' or '.join(f'{r + 2}D' for r in _RANKS[mode])} input"
        )
    if align_corners is not None and mode not in ("linear", "bilinear", "trilinear"):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | trilinear"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError("either size or scale_factor should be defined, and not both")
    lengths = tuple(input.shape[2:])
    if size is not None:
        wanted = (int(size),) * rank if isinstance(size, int) else tuple(int(each) for each in size)
        scales: tuple[float | None, ...] = (None,) * rank
    else:
        factors = (scale_factor,) * rank if isinstance(scale_factor, int | float) else tuple(scale_factor)
        wanted = tuple(math.floor(length * factor) for length, factor in zip(lengths, factors))
        scales = (None,) * rank if recompute_scale_factor else tuple(1 / factor for factor in factors)
    if len(wanted) != rank:
        raise ValueError(
            f"Input and output must have the same number of spatial dimensions, but got {list(lengths)} and "
            f"{list(wanted)}"
        )
    if mode == "area":
        from framework.ops.pool import _adaptive_avg_pool

        return _adaptive_avg_pool(rank, input, wanted)
    if mode.startswith("nearest"):
        index = tuple(_nearest(n, m, scale, mode == "nearest-exact") for n, m, scale in zip(lengths, wanted, scales))
        return take_grid(input, index)
    result = input
    for axis, (length, count, scale) in enumerate(zip(lengths, wanted, scales)):
        if length != count or scale is not None:
            result = along_axis(result, linear_matrix(length, count, scale, bool(align_corners)), axis + 2)
    return result


@op(method=False)
def take_grid(xp: Any, input: Array, index: tuple[Any, ...]) -> Array:
    """The elements of (N, C, *) at the grid of places that one index vector a dimension names."""
    return input[(slice(None), slice(None), *np.ix_(*index))]


@take_grid.vjp("input")
def _(g: Any, index: Any, input_shape: Any) -> Any:
    return add_grid(g, index, tuple(input_shape[2:]))


@op(method=False)
def add_grid(xp: Any, g: Array, index: tuple[Any, ...], size: tuple[int, ...]) -> Array:
    """The derivative of take_grid: gradients summed into the places they came from, one dimension at a time."""
    result = g
    for axis, (places, length) in enumerate(zip(index, size), start=2):
        total = xp.zeros((*result.shape[:axis], length, *result.shape[axis + 1 :]), g.dtype)
        present, first = np.unique(places, return_index=True)
        if (np.diff(places) >= 0).all():  # sorted, as interpolation's are: sums of runs
            total[(slice(None),) * axis + (xp.asarray(present),)] = xp.add.reduceat(result, first, axis=axis)
        else:
            xp.add.at(total, (slice(None),) * axis + (xp.asarray(places),), result)
        result = total
    return result


@add_grid.vjp("g")
def _(g: Any, index: Any) -> Any:
    return take_grid(g, index)


def _nearest(length: int, count: int, scale: float | None, exact: bool) -> np.ndarray[Any, Any]:
    step = np.float32(scale if scale is not None else length / count)
    places = np.arange(count, dtype=np.float32)
    source = np.floor((places + np.float32(0.5)) * step if exact else places * step)
    return np.minimum(source.astype(np.int64), length - 1)


def linear_matrix(length: int, count: int, scale: float | None, align_corners: bool) -> np.ndarray[Any, Any]:
    """The weights (count, length) of linear interpolation along one dimension."""
    places = np.arange(count, dtype=np.float64)
    if align_corners:
        source = places * ((length - 1) / (count - 1) if count > 1 else 0.0)
    else:
        source = np.maximum((places + 0.5) * (scale if scale is not None else length / count) - 0.5, 0)
    low = np.minimum(np.floor(source).astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    weight = source - low
    matrix = np.zeros((count, length))
    rows = np.arange(count)
    np.add.at(matrix, (rows, low), 1 - weight)
    np.add.at(matrix, (rows, high), weight)
    return matrix
