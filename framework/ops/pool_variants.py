"""Pooling to a given size, with random windows, by a power mean, and its inverse."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.core.random import default_generator
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.conv import Sizes, as_sizes
from framework.ops.pool import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batched,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_pool_grad,
    pick_flat,
)
from framework.ops.shape import reshape, squeeze


@op(method=False)
def adaptive_max(xp: Any, input: Array, size: Sizes) -> tuple[Array, Array]:
    """The largest value in each of the windows that divide (N, C, *) into `size`, and its flat position."""
    lengths = input.shape[2:]
    best = xp.empty((*input.shape[:2], *size), input.dtype)
    where = xp.empty(best.shape, np.int64)
    flat = xp.arange(math.prod(lengths), dtype=np.int64).reshape(lengths)
    for cell in np.ndindex(*size):
        part = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(cell, lengths, size))
        window = input[(slice(None), slice(None), *part)]
        window = window.reshape(*input.shape[:2], math.prod(window.shape[2:]))
        places = window.argmax(2)
        best[(slice(None), slice(None), *cell)] = xp.take_along_axis(window, places[..., None], 2)[..., 0]
        where[(slice(None), slice(None), *cell)] = flat[part].reshape(-1)[places]
    return best, where


@op(method=False)
def fractional_max(xp: Any, input: Array, starts: tuple[Any, ...], kernel: Sizes) -> tuple[Array, Array]:
    """The largest value in windows that begin at `starts` (one (N, C, out) array a dimension), and its position."""
    lengths = input.shape[2:]
    rows = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    rank = len(kernel)
    best = where = None
    for tap in np.ndindex(*kernel):
        flat: Any = 0
        for axis, (first, place, length) in enumerate(zip(starts, tap, lengths)):
            column = (first + place).reshape(
                *first.shape[:2], *(first.shape[-1] if n == axis else 1 for n in range(rank))
            )
            flat = flat * length + column
        flat = np.broadcast_to(flat, (*input.shape[:2], *(first.shape[2] for first in starts)))
        values = xp.take_along_axis(rows, flat.reshape(*input.shape[:2], math.prod(flat.shape[2:])), 2).reshape(
            flat.shape
        )
        if best is None:
            best, where = values, flat.copy()
            continue
        better = (values > best) | (values != values)
        best, where = xp.where(better, values, best), xp.where(better, flat, where)
    return best, where


for _record in (adaptive_max, fractional_max):

    @_record.vjp("input")
    def _(g: Any, out1: Any, input_shape: Any) -> Any:
        return max_pool_grad(g[0], out1, tuple(input_shape[2:]))


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of windows chosen so that (N, C, L) becomes (N, C, output_size)."""
    return _adaptive(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of windows chosen so that (N, C, H, W) becomes (N, C, *output_size)."""
    return _adaptive(2, input, output_size, return_indices)


@operation(autocast="cpu:float32")
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of windows chosen so that (N, C, D, H, W) becomes (N, C, *output_size)."""
    return _adaptive(3, input, output_size, return_indices)


@operation(autocast="cpu:float32")
def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Max pooling of (N, C, H, W) to a size or ratio, by windows of random places (Graham 2014)."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


@operation(autocast="cpu:float32")
def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Max pooling of (N, C, D, H, W) to a size or ratio, by windows of random places (Graham 2014)."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


@op(method=False)
def max_unpool(xp: Any, input: Array, index: Array, size: Sizes) -> Array:
    """The values of (N, C, *) at their flat positions in a tensor (N, C, *size) of zeros."""
    rows = math.prod(input.shape[:2])
    result = xp.zeros((rows, math.prod(size)), input.dtype)
    places = index.reshape(rows, -1)
    if places.size and (int(places.min()) < 0 or int(places.max()) >= result.shape[1]):
        raise RuntimeError(
            f"found an invalid max index: {int(places.max())} (output volumes are of size {'x'.join(map(str, size))})"
        )
    result[xp.arange(rows)[:, None], places] = input.reshape(rows, -1)
    return result.reshape(*input.shape[:2], *size)


@max_unpool.vjp("input")
def _(g: Any, index: Any) -> Any:
    return pick_flat(g, index)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of max_pool1d: each maximum at its place, zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


@operation(autocast="cpu:float32")
def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of max_pool2d: each maximum at its place, zeros elsewhere."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


@operation(autocast="cpu:float32")
def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of max_pool3d: each maximum at its place, zeros elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, L)."""
    return _power_mean(avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, H, W)."""
    return _power_mean(avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """The p-norm of each window of (N, C, D, H, W)."""
    return _power_mean(avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)


def _adaptive(rank: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{rank}d"
    is_batched, source = batched(name, rank, input)
    given = (output_size,) * rank if isinstance(output_size, int) or output_size is None else tuple(output_size)
    if len(given) != rank:
        raise RuntimeError(f"{name}: output_size must be {rank} numbers, got {list(given)}")
    size = tuple(int(n if m is None else m) for m, n in zip(given, source.shape[2:]))
    if 0 in source.shape[1:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
            f"{list(input.shape)}"
        )
    return _answer(adaptive_max(source, size), is_batched, return_indices)


def _fractional(
    rank: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    name = f"fractional_max_pool{rank}d"
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio, and not both")
    is_batched, source = batched(name, rank, input)
    lengths = tuple(source.shape[2:])
    kernel = as_sizes(kernel_size, rank, name, "kernel_size")
    if output_size is None:
        ratios = (output_ratio,) * rank if isinstance(output_ratio, float | int) else tuple(output_ratio)
        if not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"{name}: output_ratio must be between 0 and 1 (got {output_ratio})")
        size = tuple(int(n * ratio) for n, ratio in zip(lengths, ratios))
    else:
        size = as_sizes(output_size, rank, name, "output_size")
    for n, m, width in zip(lengths, size, kernel):
        if m + width - 1 > n:
            raise RuntimeError(f"{name}: pool size {width} and output size {m} are too large for input of size {n}")
    shape = (*source.shape[:2], rank)
    if samples is None:
        draws = default_generator.uniform(math.prod(shape), np.float64).reshape(shape)
    else:
        # As torch does, an input without a batch reads the first row of samples given for several.
        draws = samples._data.reshape(-1, *shape[1:])[: shape[0]].astype(np.float64)
    order = range(rank) if rank == 3 else range(rank - 1, -1, -1)  # torch reads 2-D samples as (width, height)
    starts = tuple(
        _random_starts(draws[..., column], n, m, width) for column, n, m, width in zip(order, lengths, size, kernel)
    )
    return _answer(fractional_max(source, starts, kernel), is_batched, return_indices)


def _random_starts(draws: Any, length: int, count: int, width: int) -> Any:
    """Where the windows of one dimension begin: evenly spread from a random offset, the last at the end."""
    starts = np.empty((*draws.shape, count), np.int64)
    if count > 1:
        alpha = (length - width) / (count - 1)
        places = np.arange(count - 1)
        starts[..., :-1] = ((places + draws[..., None]) * alpha).astype(np.int64) - (draws * alpha).astype(np.int64)[
            ..., None
        ]
    starts[..., -1] = length - width
    return starts


def _unpool(rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    name = f"max_unpool{rank}d"
    is_batched, source = batched(name, rank, input)
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    if indices._data.dtype != np.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    kernel = as_sizes(kernel_size, rank, name, "kernel_size")
    steps = kernel if stride is None else as_sizes(stride, rank, name, "stride")
    borders = as_sizes(padding, rank, name, "padding")
    usual = tuple((n - 1) * step + width - 2 * b for n, step, width, b in zip(source.shape[2:], steps, kernel, borders))
    size = usual if output_size is None else tuple(int(n) for n in tuple(output_size)[-rank:])
    if any(not low - step < n < low + step for n, low, step in zip(size, usual, steps)):
        raise ValueError(f"invalid output_size {list(size)}: it must be near {list(usual)}, within a stride")
    places = indices if is_batched else reshape(indices, 1, *indices.shape)
    result = max_unpool(source, places, size)
    return result if is_batched else squeeze(result, 0)


def _power_mean(
    mean: Any, rank: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    if math.isinf(norm_type):
        largest = (max_pool1d, max_pool2d, max_pool3d)[rank - 1]
        sign = 1.0 if norm_type > 0 else -1.0
        return e.mul(largest(e.mul(e.abs(input), sign), kernel_size, stride, 0, 1, ceil_mode), sign)
    kernel = as_sizes(kernel_size, rank, f"lp_pool{rank}d", "kernel_size")
    averages = mean(e.pow(input, norm_type), kernel, stride, 0, ceil_mode)
    return e.pow(e.mul(e.mul(e.sgn(_still(averages)), e.relu(e.abs(averages))), math.prod(kernel)), 1 / norm_type)


def _still(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _answer(pair: Any, is_batched: bool, return_indices: bool) -> Any:
    values, index = pair if is_batched else (squeeze(pair[0], 0), squeeze(pair[1], 0))
    return (values, index) if return_indices else values
