"""Maximum pooling in channels-last memory, and its gradient in both layouts."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import machine, memory, threads
from framework.backends.cpu.layout import channels_last, dense, empty_channels_last, served

Array = np.ndarray[Any, Any]


def max_pool(
    x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    ceil_mode: bool,
) -> Any:  # fmt: skip
    """x (N, C, *spatial) -> largest values (N, C, *positions) and their flat positions in the volume (int64)."""
    if not served(x) or not 3 <= x.ndim <= 5:
        return NotImplemented
    from framework.backends.cpu.pool_kernels import max_pool as run

    x = channels_last(x)
    sizes = tuple(
        _positions(*axis, ceil_mode) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    if min(sizes) < 1 or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        return NotImplemented
    missing = 3 - len(sizes)
    axes = zip(x.shape[2:], sizes, kernel, stride, padding, dilation, x.strides[2:], strict=True)
    found = _plan(
        ((1, 1, 1, 1, 0, 1, 0),) * missing + tuple(tuple(map(int, axis)) for axis in axes), x.shape[1], x.strides[0]
    )
    if found is None:
        return NotImplemented
    plan, tables = found
    y = empty_channels_last((*x.shape[:2], *sizes), x.dtype)
    index = empty_channels_last(y.shape, np.dtype(np.int64))
    rows = x.shape[0] * int(plan[0] * plan[1])
    compiled = run(Float=x.dtype.name, LANES=machine.lanes(x.dtype.name))
    taps = int(plan[3] * plan[4] * plan[5])
    threads.run(compiled, rows, x.ctypes.data, y.ctypes.data, index.ctypes.data, plan.ctypes.data, scratch=16 * taps)
    del tables
    return y, index


def max_pool_grad(g: Array, index: Array, size: Sequence[int]) -> Any:
    """g (N, C, *positions) added at its flat positions in a volume (N, C, *size) of zeros, in a fixed order."""
    if not served(g) or g.ndim < 3 or index.dtype != np.int64 or index.shape != g.shape or not math.prod(size):
        return NotImplemented
    from framework.backends.cpu.pool_kernels import put_flat

    index = dense(index)
    last = not index.flags.c_contiguous
    g = np.moveaxis(np.ascontiguousarray(np.moveaxis(g, 1, -1)), -1, 1) if last else np.ascontiguousarray(g)
    images, channels = g.shape[:2] if last else (g.shape[0] * g.shape[1], 1)
    y = memory.empty((*g.shape[:2], *size), g.dtype, channels_last=last)
    block = 64 // g.itemsize  # a cache line: no two threads write in one
    blocks = -(-channels // block)
    wrong = np.zeros(1, np.int64)
    threads.run(
        put_flat(Float=g.dtype.name), images * blocks, g.ctypes.data, index.ctypes.data, y.ctypes.data,
        g.size // (images * channels), math.prod(size), channels, block, blocks, wrong.ctypes.data,
    )  # fmt: skip
    return NotImplemented if wrong[0] else y  # the reference says what is wrong


@functools.lru_cache(maxsize=256)
def _plan(axes: tuple[tuple[int, ...], ...], channels: int, image: int) -> tuple[Array, list[Array]] | None:
    """The kernel's sizes and tables: byte offsets of input positions, and their share of the flat position.

    None where a window lies wholly outside the volume (a dilated one can).
    """
    offsets: list[Array] = []
    numbers: list[Array] = []
    flat = 1
    for size, positions, kernel, stride, padding, dilation, step in reversed(axes):
        at = np.arange(positions)[:, None] * stride - padding + np.arange(kernel) * dilation
        if not ((at >= 0) & (at < size)).any(1).all():
            return None
        offsets.insert(0, np.where((at >= 0) & (at < size), at * step, -(1 << 60)).astype(np.int64))
        numbers.insert(0, np.ascontiguousarray(at * flat, np.int64))
        flat *= size
    tables = offsets + numbers
    values = [a[1] for a in axes] + [a[2] for a in axes] + [channels, image] + [t.ctypes.data for t in tables]
    return np.array(values, np.int64), tables


def _positions(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count
