"""Separable weighted sums in one pass over memory."""

import functools
import math
from typing import Any

import numpy as np

from framework.backends.cpu import machine, memory, threads
from framework.backends.cpu.layout import dense, served
from framework.ops.taps import Taps

Array = np.ndarray[Any, Any]


def weigh(x: Array, taps: tuple[Taps | None, ...]) -> Any:
    """x (N, C, *spatial) weighted along each spatial dimension, in x's memory layout.

    Rows of the input are blended first, then weighted along the last dimension. Where many places are summed, one
    dimension follows the other: fewer operations, and sums in blocks.
    """
    if not served(x) or not 3 <= x.ndim <= 5 or any(t is not None and not len(t.index) for t in taps):
        return NotImplemented
    used = [number for number, each in enumerate(taps) if each is not None]
    widths = [each.index.shape[1] for each in taps if each is not None]
    if len(used) > 1 and math.prod(widths) > _MANY:
        for number in sorted(used, key=lambda axis: len(taps[axis].index) / x.shape[2 + axis]):  # type: ignore[union-attr]
            x = weigh(x, tuple(each if axis == number else None for axis, each in enumerate(taps)))
        return x
    x = dense(x)
    last = not x.flags.c_contiguous
    channels = x.shape[1] if last else 1
    plan = _plan(taps, x.shape[2:], channels, x.dtype)
    if plan is None:
        return NotImplemented
    y = memory.empty((*x.shape[:2], *plan.size), x.dtype, channels_last=last)
    rows = (x.shape[0] if last else x.shape[0] * x.shape[1]) * plan.rows
    from framework.backends.cpu.taps_kernels import weigh as kernel

    compiled = kernel(Float=x.dtype.name, LANES=machine.lanes(x.dtype.name), SIZE=x.itemsize)
    threads.run(compiled, rows, x.ctypes.data, y.ctypes.data, plan.values.ctypes.data, plan.scale, scratch=plan.scratch)
    return y


_MANY = 64  # taps of all dimensions together
_PART_BYTES = 16 << 10  # of a row of the result: its blended input stays in the first-level cache


class _Plan:
    """Sizes and tables for the kernel; `rows` are the jobs of one image, `size` is that of the result."""

    size: tuple[int, ...]

    def __init__(self, taps: list[Taps], channels: int, dtype: np.dtype[Any]) -> None:
        self.tables: list[Array] = []
        self.scale = 1.0
        steps = [channels * dtype.itemsize * math.prod(t.length for t in taps[axis + 1 :]) for axis in range(3)]
        weights = [self.weights(each) for each in taps]
        nz, ny, nx = (len(each.index) for each in taps)
        widths = [each.index.shape[1] for each in taps]
        chunk = max(16, _PART_BYTES // (channels * dtype.itemsize))
        chunks = -(-nx // chunk)
        addresses = []
        for axis in range(2):
            addresses += [
                self.table((weights[axis] != 0).sum(1), np.int64),
                self.table(taps[axis].index * steps[axis], np.int64),
                self.table(weights[axis], dtype),
            ]
        index, share = taps[2].index * channels, weights[2]
        plain = widths[2] == 1 and bool((share == 1).all() and (taps[2].index[:, 0] == np.arange(nx)).all())
        if channels == 1:  # vectors run along the row
            index, share = index.T, share.T
        addresses += [
            self.table((weights[2] != 0).sum(1), np.int64), self.table(index, np.int32), self.table(share, dtype)
        ]  # fmt: skip
        spans = []
        for part in range(chunks):
            rows = slice(part * chunk, (part + 1) * chunk)
            places = taps[2].index[rows][weights[2][rows] != 0]
            spans.append((int(places.min()), int(places.max()) + 1) if places.size else (0, 0))
        addresses += [self.table([s for s, _ in spans], np.int64), self.table([e for _, e in spans], np.int64)]
        head = -(-widths[0] * widths[1] * 16 // 64) * 64
        blended = widths[0] * widths[1] > 1 or any(bool((w != 1).any()) for w in weights[:2])
        longest = max(end - start for start, end in spans) * channels * dtype.itemsize
        self.scratch = head + (longest if blended else 0)
        self.rows = nz * ny * chunks
        image = steps[0] * taps[0].length
        self.values = np.array(
            [nz, ny, nx, channels, chunk, chunks, image, *widths, *addresses, head, int(plain)], np.int64
        )

    def weights(self, taps: Taps) -> Array:
        """The weights, as ones where all are equal: then the sum is scaled instead."""
        present = taps.weight[taps.weight != 0]
        if present.size and (present == present[0]).all():
            self.scale *= float(present[0])
            return (taps.weight != 0).astype(np.float64)
        return taps.weight

    def table(self, values: Any, dtype: Any) -> int:
        self.tables.append(np.ascontiguousarray(values, dtype))
        return self.tables[-1].ctypes.data


@functools.lru_cache(maxsize=128)
def _plan(taps: tuple[Taps | None, ...], size: tuple[int, ...], channels: int, dtype: np.dtype[Any]) -> _Plan | None:
    whole = [_identity(length) if each is None else each for each, length in zip(taps, size, strict=True)]
    if size[-1] * channels >= 1 << 31:
        return None
    plan = _Plan([_identity(1)] * (3 - len(whole)) + whole, channels, dtype)
    plan.size = tuple(len(each.index) for each in whole)
    return plan


@functools.lru_cache(maxsize=128)
def _identity(length: int) -> Taps:
    return Taps(np.arange(length)[:, None], np.ones((length, 1)), length)
