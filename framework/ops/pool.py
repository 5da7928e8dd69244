"""Pooling of 1 to 3 dimensions."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.conv import Sizes, as_sizes
from framework.ops.scan import like
from framework.ops.shape import squeeze, unsqueeze
from framework.ops.taps import weigh, windows


@op(method=False)
def max_pool(
    xp: Any, input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Array, Array]:
    """The largest value in each window of (N, C, *) and its flat position in the input, int64."""
    size = input.shape[2:]
    out_size = pooled_size(size, kernel, stride, padding, dilation, ceil_mode)
    lowest = xp.array(-np.inf if input.dtype.kind in "fV" else np.iinfo(input.dtype).min).astype(input.dtype)
    best = xp.full((*input.shape[:2], *out_size), lowest)
    where = xp.full(best.shape, -1, np.int64)
    flat = xp.arange(math.prod(size), dtype=np.int64).reshape(size)
    for tap in np.ndindex(*kernel):
        target: list[slice] = []
        source: list[slice] = []
        for place, spread, count, step, border, length in zip(tap, dilation, out_size, stride, padding, size):
            offset = place * spread - border
            first = max(0, -(offset // step)) if offset < 0 else 0
            last = min(count - 1, (length - 1 - offset) // step)
            target.append(slice(first, last + 1))
            source.append(
                slice(offset + first * step, offset + last * step + 1, step) if last >= first else slice(0, 0)
            )
        values = input[(..., *source)]
        into = (..., *target)
        take = (values > best[into]) | (where[into] < 0) | (values != values)
        best[into] = xp.where(take, values, best[into])
        where[into] = xp.where(take, flat[tuple(source)], where[into])
    return best, where


@max_pool.vjp("input")
def _(g: Any, out1: Any, input_shape: Any) -> Any:
    return max_pool_grad(g[0], out1, tuple(input_shape[2:]))


@op(method=False)
def max_pool_grad(xp: Any, g: Array, index: Array, size: Sizes) -> Array:
    """Each window's gradient at the place of its maximum, in a fixed order."""
    rows = math.prod(g.shape[:2])
    result = xp.zeros((rows, math.prod(size)), g.dtype)
    xp.add.at(result, (xp.arange(rows)[:, None], index.reshape(rows, -1)), g.reshape(rows, -1))
    return result.reshape(*g.shape[:2], *size)


@max_pool_grad.vjp("g")
def _(g: Any, index: Any) -> Any:
    return pick_flat(g, index)


@op(method=False)
def pick_flat(xp: Any, input: Array, index: Array) -> Array:
    """The values of (N, C, *) at flat positions (N, C, *out)."""
    rows = math.prod(input.shape[:2])
    picked = xp.take_along_axis(input.reshape(rows, -1), index.reshape(rows, -1), 1)
    return picked.reshape(index.shape)


@pick_flat.vjp("input")
def _(g: Any, index: Any, input_shape: Any) -> Any:
    return max_pool_grad(g, index, tuple(input_shape[2:]))


def _max_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{rank}d"
    is_batched, source = batched(name, rank, input)
    kernel = as_sizes(kernel_size, rank, name, "kernel_size")
    steps = (
        kernel
        if stride is None or (not isinstance(stride, int) and not len(stride))
        else as_sizes(stride, rank, name, "stride")
    )
    borders = as_sizes(padding, rank, name, "padding")
    spread = as_sizes(dilation, rank, name, "dilation")
    for numbers, what in ((kernel, "kernel size"), (steps, "stride"), (spread, "dilation")):
        if min(numbers) <= 0:
            raise RuntimeError(f"{name}: {what} must be greater than zero, but got {min(numbers)}")
    _check_padding(kernel, borders)
    values, index = max_pool(source, kernel, steps, borders, spread, ceil_mode)
    if not is_batched:
        values, index = squeeze(values, 0), squeeze(index, 0)
    return (values, index) if return_indices else values


@operation()
def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value in each window of (N, C, L)."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@operation()
def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value in each window of (N, C, H, W)."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@operation(autocast="cpu:float32")
def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value in each window of (N, C, D, H, W)."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@in_float32
def _avg_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """A separable average: sums along each dimension, divided by the number of places."""
    name = f"avg_pool{rank}d"
    is_batched, result = batched(name, rank, input)
    kernel = as_sizes(kernel_size, rank, name, "kernel_size")
    steps = (
        kernel
        if stride is None or (not isinstance(stride, int) and not len(stride))
        else as_sizes(stride, rank, name, "stride")
    )
    borders = as_sizes(padding, rank, name, "padding")
    _check_padding(kernel, borders)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    size = tuple(result.shape[2:])
    out_size = pooled_size(size, kernel, steps, borders, (1,) * rank, ceil_mode)
    is_whole = getattr(result, "_data", result).dtype.kind in "iu"
    sums = bool(divisor_override) or is_whole  # the division comes last
    counts = np.ones((1,) * rank, np.int64)
    taps = []
    for axis in range(rank):
        firsts = [row * steps[axis] - borders[axis] for row in range(out_size[axis])]
        lasts = [min(first + kernel[axis], size[axis] + borders[axis]) for first in firsts]
        starts = tuple(max(first, 0) for first in firsts)
        stops = tuple(min(last, size[axis]) for last in lasts)
        lengths = np.subtract(*((lasts, firsts) if count_include_pad else (stops, starts)))
        taps.append(windows(size[axis], starts, stops, None if sums else tuple(lengths.tolist())))
        counts = counts * lengths.reshape([-1 if place == axis else 1 for place in range(rank)])
    result = weigh(result, tuple(taps))
    if is_whole:  # integers are divided as integers
        divisor: Any = divisor_override or like(counts, result)
        result = e.to_dtype(e.trunc_divide(result, divisor), getattr(input, "_data", input).dtype)
    elif divisor_override:
        result = e.true_divide(result, divisor_override)
    return result if is_batched else squeeze(result, 0)


@operation()
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of (N, C, L)."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@operation()
def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (N, C, H, W)."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@operation(autocast="cpu:float32")
def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (N, C, D, H, W)."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@in_float32
def _adaptive_avg_pool(rank: int, input: Any, output_size: Any) -> Any:
    is_batched, result = batched(f"adaptive_avg_pool{rank}d", rank, input)
    wanted: Any = (output_size,) * rank if isinstance(output_size, int) or output_size is None else tuple(output_size)
    if len(wanted) != rank:
        raise RuntimeError(f"adaptive_avg_pool{rank}d: output_size must be {rank} numbers, got {list(wanted)}")
    if any(length is not None and length < 0 for length in wanted):
        raise RuntimeError(
            f"adaptive_avg_pool{rank}d: elements of output_size must be greater than or equal to 0, got {list(wanted)}"
        )
    if 0 in result.shape[1:]:
        raise RuntimeError(
            f"adaptive_avg_pool{rank}d(): Expected input to have non-zero size for non-batch dimensions, but input has "
            f"sizes {list(input.shape)}"
        )
    taps = []
    for axis in range(rank):
        length = result.shape[axis + 2]
        count = length if wanted[axis] is None else wanted[axis]
        starts = tuple(row * length // count for row in range(count))
        stops = tuple(-(-(row + 1) * length // count) for row in range(count))
        taps.append(windows(length, starts, stops, tuple(np.subtract(stops, starts).tolist())))
    result = weigh(result, tuple(taps))
    return result if is_batched else squeeze(result, 0)


@operation()
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means of windows chosen so that (N, C, L) becomes (N, C, output_size)."""
    return _adaptive_avg_pool(1, input, output_size)


@operation()
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means of windows chosen so that (N, C, H, W) becomes (N, C, *output_size)."""
    return _adaptive_avg_pool(2, input, output_size)


@operation(autocast="cpu:float32")
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Means of windows chosen so that (N, C, D, H, W) becomes (N, C, *output_size)."""
    return _adaptive_avg_pool(3, input, output_size)


def pooled_size(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Sizes:
    """The spatial size after pooling; in ceil mode the last window may run over the end, but must start inside."""
    result = []
    for length, width, step, border, spread in zip(size, kernel, stride, padding, dilation):
        room = length + 2 * border - spread * (width - 1) - 1
        count = (-(-room // step) if ceil_mode else room // step) + 1
        if ceil_mode and (count - 1) * step >= length + border:
            count -= 1
        if count < 1:
            raise RuntimeError(
                f"Given input size: {tuple(size)}. Calculated output size is too small for kernel {tuple(kernel)}"
            )
        result.append(count)
    return tuple(result)


def batched(name: str, rank: int, input: Any) -> tuple[bool, Any]:
    """Whether an input of `rank` spatial dimensions has a batch, and the input with one."""
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor, but got input of size "
            f"{list(input.shape)}"
        )
    if 0 in input.shape[input.ndim - rank - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got {list(input.shape)}: Expected input's non-batch dimensions to have positive length"
        )
    is_batched = bool(input.ndim == rank + 2)
    return is_batched, input if is_batched else unsqueeze(input, 0)


def _check_padding(kernel: Sizes, padding: Sizes) -> None:
    if any(border < 0 or border > width // 2 for border, width in zip(padding, kernel)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel}"
        )
