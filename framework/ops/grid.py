"""Sampling images and volumes at any places (Jaderberg et al. 2015), in simple operations, so of any order."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.index import gather
from framework.ops.linalg import matmul
from framework.ops.resample import cubic_weights
from framework.ops.shape import expand, reshape, transpose, unsqueeze

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


@operation()
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The sampling grid (N, H, W, 2) or (N, D, H, W, 3) of affine maps theta (N, 2, 3) or (N, 3, 4).

    Coordinates are (x, y, z) in [-1, 1], which are the centres of the outermost elements with `align_corners`, else
    their outer edges.
    """
    shape = tuple(int(length) for length in size)
    rank = len(shape) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms. Got size {shape}"
        )
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size {shape}. "
            f"Got {list(theta.shape)}."
        )
    if min(shape) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {shape}")
    axes = []
    for length in shape[2:]:
        places = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        axes.append(places if align_corners else places * (length - 1) / length)
    mesh = np.meshgrid(*axes, indexing="ij")
    points = np.stack([*(each.reshape(-1) for each in reversed(mesh)), np.ones(mesh[0].size)], 1)
    base = Tensor._wrap(points.astype(theta._data.dtype)).to(theta.device)
    return reshape(matmul(base, transpose(theta, 1, 2)), theta.shape[0], *shape[2:], rank)


@operation(autocast="cpu:float32 cuda:widest")
@in_float32  # places in half precision would be off by whole elements
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """The values of (N, C, H, W) or (N, C, D, H, W) at the places (x, y, z) of `grid` (N, *out, 2 or 3).

    Coordinates in [-1, 1] as affine_grid's. `mode`: "bilinear" (trilinear for volumes), "nearest", "bicubic" (images
    only); `padding_mode`, for places outside: "zeros", "border", "reflection".
    """
    if mode not in _MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', got {mode!r}"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', got "
            f"{padding_mode!r}"
        )
    rank = input.ndim - 2
    if rank not in (2, 3) or grid.ndim != input.ndim or input.shape[0] != grid.shape[0] or grid.shape[-1] != rank:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, batch size and last "
            f"dimension {rank}, but got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if 0 in input.shape[1:]:
        raise RuntimeError(
            f"grid_sampler(): expected input to have non-empty dimensions, but input has sizes {list(input.shape)}"
        )
    if mode == "bicubic" and rank == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    lengths = tuple(input.shape[2:])
    corners = bool(align_corners)
    places = [_unnormalised(grid[..., rank - 1 - axis], length, corners) for axis, length in enumerate(lengths)]
    if mode == "bicubic":
        return _bicubic(input, places, padding_mode, corners)
    places = [_inside(place, length, padding_mode, corners) for place, length in zip(places, lengths)]
    if mode == "nearest":
        nearest = [np.rint(_values(place)) for place in places]
        return e.add(_picked(input, nearest), _no_influence(grid))
    lows = [np.floor(_values(place)) for place in places]
    total: Any = 0
    for corner in np.ndindex(*(2,) * rank):
        weight: Any = 1
        for side, place, low in zip(corner, places, lows):
            near = e.sub(place, _constant(low, place))
            weight = e.mul(near if side else e.sub(1, near), weight)
        picked = _picked(input, [low + side for side, low in zip(corner, lows)])
        total = e.add(e.mul(picked, unsqueeze(weight, 1)), total)
    return total


@operation(autocast="cpu:float32 cuda:widest")
def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sample` with its modes by number, in the order that it names them."""
    return grid_sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], align_corners)


@operation(autocast="cpu:float32")
def grid_sampler_2d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sampler` of images."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


@operation(autocast="cpu:float32")
def grid_sampler_3d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sampler` of volumes."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def _bicubic(input: Any, places: list[Any], padding: str, corners: bool) -> Any:
    """Convolution with the cubic kernel of a = -0.75 over 4 by 4 neighbours, each brought inside on its own."""
    lengths = tuple(input.shape[2:])
    lows = [np.floor(_values(place)) for place in places]
    weights = [cubic_weights(e.sub(place, _constant(low, place))) for place, low in zip(places, lows)]
    total: Any = 0
    for row, column in np.ndindex(4, 4):
        taps = []
        for low, shift, length in zip(lows, (row, column), lengths):
            place = _inside(Tensor._wrap(low + shift - 1), length, padding, corners)
            taps.append(np.rint(_values(place)))
        weight = unsqueeze(e.mul(weights[0][row], weights[1][column]), 1)
        total = e.add(e.mul(_picked(input, taps), weight), total)
    return total


def _unnormalised(places: Any, length: int, corners: bool) -> Any:
    """From [-1, 1] to element numbers."""
    if corners:
        return e.mul(e.add(places, 1), (length - 1) / 2)
    return e.mul(e.sub(e.mul(e.add(places, 1), length), 1), 0.5)


def _inside(place: Any, length: int, padding: str, corners: bool) -> Any:
    """Element numbers brought into the image as the padding says."""
    if padding == "zeros":
        return place
    if padding == "reflection":
        low, span = (0.0, float(length - 1)) if corners else (-0.5, float(length))
        if span == 0:
            return 0 * place
        distance = e.abs(e.sub(place, low))
        flips = np.floor(_values(distance) / span)
        rest = e.sub(distance, _constant(flips * span, place))
        even = Tensor._wrap(flips % 2 == 0)
        place = e.where(even, e.add(rest, low), e.sub(span + low, rest))
    # at and beyond the bounds torch lets no gradient pass
    inside = e.logical_and(e.gt(place, 0), e.lt(place, length - 1))
    return e.where(inside, place, e.clamp(place.detach(), 0, length - 1))


def _picked(input: Any, places: list[Any]) -> Any:
    """(N, C, *out) values at whole places (N, *out) a dimension; zero outside."""
    count, channels, *lengths = input.shape
    valid: Any = True
    flat: Any = 0
    for place, length in zip(places, lengths):
        valid = valid & (place >= 0) & (place < length)
        with np.errstate(invalid="ignore"):
            flat = flat * length + np.clip(np.nan_to_num(place), 0, length - 1).astype(np.int64)
    out = flat.shape[1:]
    index = expand(reshape(Tensor._wrap(flat), count, 1, -1), (count, channels, int(np.prod(out))))
    picked = reshape(gather(reshape(input, count, channels, -1), 2, index), count, channels, *out)
    return picked if valid.all() else e.where(unsqueeze(Tensor._wrap(valid), 1), picked, 0 * picked)


def _no_influence(grid: Any) -> Any:
    """Zero, in the graph of the grid: nearest sampling has a gradient of zero with respect to it."""
    return unsqueeze(0 * grid[..., 0], 1)


def _values(place: Any) -> Any:
    return place._data if isinstance(place, Tensor) else place


def _constant(array: Any, like: Any) -> Any:
    return Tensor._wrap(np.asarray(array, _values(like).dtype))
