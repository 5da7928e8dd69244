"""Interpolation to another size: few weights a place in each dimension, so the gradient is their transpose."""

import functools
import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.ops.taps import Taps, weigh

_RANKS = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "area": (1, 2, 3),
}


@operation(autocast="cuda:float32")
@in_float32
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """(N, C, *) resampled to `size`, or by `scale_factor`, as torch places its samples.

    Modes: "nearest", "nearest-exact", "linear" (3-D input), "bilinear" and "bicubic" (4-D),
    "trilinear" (5-D), "area". `antialias` widens the kernel of "bilinear" and "bicubic" where the image shrinks.
    """
    rank = input.ndim - 2
    if mode not in _RANKS:
        raise NotImplementedError(f"interpolation mode '{mode}' is not there; the modes are: {', '.join(_RANKS)}")
    if rank not in _RANKS[mode]:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs {' or '.join(f'{r + 2}D' for r in _RANKS[mode])} input"
        )
    if align_corners is not None and mode not in ("linear", "bilinear", "trilinear", "bicubic"):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
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
        exact = mode == "nearest-exact"
        if getattr(input, "_data", input).dtype.kind == "f" and min((*wanted, *lengths), default=1) > 0:
            return weigh(input, tuple(nearest_taps(*each, exact) for each in zip(lengths, wanted, scales)))
        return take_grid(input, tuple(_nearest(*each, exact) for each in zip(lengths, wanted, scales)))
    if min(wanted, default=1) < 1 or min(lengths, default=1) < 1:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(lengths)} and output {list(wanted)}"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor")
    taps: Any = linear_taps
    if antialias:
        taps = functools.partial(smoothing_taps, cubic=mode == "bicubic")
    elif mode == "bicubic":
        taps = cubic_taps
    return weigh(
        input,
        tuple(
            taps(length, count, scale, bool(align_corners)) if length != count or scale is not None else None
            for length, count, scale in zip(lengths, wanted, scales)
        ),
    )


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` by the nearest element."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with bilinear weights and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


@op(method=False)
def take_grid(xp: Any, input: Array, index: tuple[Any, ...]) -> Array:
    """The elements of (N, C, *) at the grid of places that one index vector a dimension names."""
    return input[(slice(None), slice(None), *np.ix_(*index))]


@take_grid.vjp("input")
def _(g: Any, index: Any, input_shape: Any) -> Any:
    return add_grid(g, index, tuple(input_shape[2:]))


@op(method=False, wide=True)
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


@functools.lru_cache(maxsize=128)
def nearest_taps(length: int, count: int, scale: float | None, exact: bool) -> Taps:
    """The nearest place along one dimension."""
    return Taps(_nearest(length, count, scale, exact)[:, None], np.ones((count, 1)), length)


@functools.lru_cache(maxsize=128)
def linear_taps(length: int, count: int, scale: float | None, align_corners: bool) -> Taps:
    """The weights of linear interpolation along one dimension."""
    places = np.arange(count, dtype=np.float64)
    if align_corners:
        source = places * ((length - 1) / (count - 1) if count > 1 else 0.0)
    else:
        source = np.maximum((places + 0.5) * (scale if scale is not None else length / count) - 0.5, 0)
    low = np.minimum(np.floor(source).astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    weight = np.where(high > low, source - low, 0.0)
    return Taps(np.stack([low, high], 1), np.stack([1 - weight, weight], 1), length)


@functools.lru_cache(maxsize=128)
def cubic_taps(length: int, count: int, scale: float | None, align_corners: bool) -> Taps:
    """The weights of cubic convolution (Keys 1981, a = -0.75) along one dimension."""
    places = np.arange(count, dtype=np.float64)
    if align_corners:
        source = places * ((length - 1) / (count - 1) if count > 1 else 0.0)
    else:
        source = (places + 0.5) * (scale if scale is not None else length / count) - 0.5
    low = np.floor(source).astype(np.int64)
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, length - 1)
    return Taps(index, np.stack(cubic_weights(source - low), 1), length)


@functools.lru_cache(maxsize=128)
def smoothing_taps(length: int, count: int, scale: float | None, align_corners: bool, cubic: bool) -> Taps:
    """The weights of a triangle or cubic kernel that is as wide as the image shrinks, as in Pillow."""
    if align_corners:
        step = (length - 1) / (count - 1) if count > 1 else 0.0
    else:
        step = scale if scale is not None else length / count
    reach = (2 if cubic else 1) * max(step, 1.0)
    matrix = np.zeros((count, length))
    for row in range(count):
        centre = step * (row + 0.5)
        low, high = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), length)
        distance = np.abs((np.arange(low, high) - centre + 0.5) / max(step, 1.0))
        kernel = _keys(distance, -0.5) if cubic else np.maximum(1 - distance, 0)
        matrix[row, low:high] = kernel / kernel.sum()
    return Taps(np.broadcast_to(np.arange(length), matrix.shape), matrix, length)


def cubic_weights(t: Any) -> list[Any]:
    """The weights of the four neighbours of a place `t` in [0, 1) after the second (Keys 1981, a = -0.75)."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _keys(distance: Any, a: float) -> Any:
    """The cubic convolution kernel at distances from its centre."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
