"""What convolution kernels need besides arrays: sizes, tables of byte offsets along each axis, and the split into jobs.

Plans depend on shapes, strides and element type alone and are kept.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu.tiling import tile_shape

Array = np.ndarray[Any, Any]


class Plan:
    """What a driver needs besides the arrays: one int64 array of sizes and addresses, the tables kept alive with it."""

    def __init__(self, values: Sequence[Any], jobs: int, scratch: int, **facts: Any) -> None:
        self.tables = [value for value in values if isinstance(value, np.ndarray)]
        self.array = np.array([v.ctypes.data if isinstance(v, np.ndarray) else v for v in values], np.int64)
        self.jobs, self.scratch = jobs, scratch
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


# An axis is (input size, output size, kernel, stride, padding, dilation, input step, output step), steps in bytes.
Axis = tuple[int, int, int, int, int, int, int, int]
_OUTSIDE = -(1 << 60)


@functools.lru_cache(maxsize=512)
def forward_plan(geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[Axis, ...]) -> Plan:
    reads = [np.stack([_input_offsets(axis, p) for p in range(axis[1])]) for axis in axes]
    writes = [np.arange(axis[1], dtype=np.int64) * axis[7] for axis in axes]
    return _gather_plan(geometry, itemsize, width, reads, writes, _tap_numbers(axes), _all_taps(axes))


@functools.lru_cache(maxsize=512)
def transposed_plans(geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[Axis, ...]) -> tuple[Plan, ...]:
    """One plan for each residue class of input positions modulo the stride: within a class all use the same taps.

    Where kernels do not overlap, each class has one tap and all read the same positions: then their weights are column
    blocks of one plan, so that the source is read once.
    """
    classes = [[_transposed_class(axis, residue) for residue in range(min(axis[3], axis[0]))] for axis in axes]
    numbers = _tap_numbers(axes)
    if all(k == s and p == 0 and d == 1 and size % s == 0 for size, _, k, s, p, d, _, _ in axes):
        steps = [np.arange(axis[3], dtype=np.int64) * axis[6] for axis in axes]
        moves = list(map(int, np.add.outer(np.add.outer(steps[0], steps[1]), steps[2]).ravel()))
        first = [_transposed_class(axis, 0) for axis in axes]
        reads, writes = [f[0] for f in first], [f[1] for f in first]
        return (_gather_plan(geometry, itemsize, width, reads, writes, [n[:1] for n in numbers], len(moves), moves),)
    plans = []
    for chosen in itertools.product(*classes):
        reads = [reads for reads, _, _ in chosen]
        writes = [writes for _, writes, _ in chosen]
        used = [number[taps] for number, (_, _, taps) in zip(numbers, chosen, strict=True)]
        plans.append(_gather_plan(geometry, itemsize, width, reads, writes, used, _all_taps(axes)))
    return tuple(plans)


def _transposed_class(axis: Axis, residue: int) -> tuple[Array, Array, Array]:
    """Offsets into the output gradient (positions, taps), offsets to write to, and the taps of one residue class."""
    size, outputs, kernel, stride, padding, dilation, size_step, output_step = axis
    taps = np.array([k for k in range(kernel) if (residue + padding - k * dilation) % stride == 0], np.int64)
    positions = np.arange(residue, size, stride, dtype=np.int64)
    source = (positions[:, None] + padding - taps * dilation) // stride
    reads = np.where((source >= 0) & (source < outputs), source * output_step, _OUTSIDE)
    return np.ascontiguousarray(reads), positions * size_step, taps


def _gather_plan(
    geometry: tuple[int, ...], itemsize: int, width: int, reads: list[Array], writes: list[Array],
    numbers: list[Array], all_taps: int, moves: Sequence[int] = (0,),
) -> Plan:  # fmt: skip
    """A plan from axis tables; moves: byte offsets of the targets whose weights follow each other, one tap each."""
    images, groups, channels, outputs, source_image, target_image = geometry
    tile = tile_shape()[0]
    counts = [len(w) for w in writes]
    kernel = [len(n) for n in numbers]
    taps = int(np.prod(kernel))
    pixels = images * int(np.prod(counts))
    alone = channels == 1 and taps == all_taps
    tap_bytes = channels * width * itemsize
    column_blocks = -(-outputs // width)
    panels = [
        (block * all_taps * tap_bytes + place * tap_bytes, move + block * width * itemsize,
         min(width, outputs - block * width), block * width)
        for place, move in enumerate(moves)
        for block in range(column_blocks)
    ]  # fmt: skip
    chunk_tiles = max(1, min(_CHUNK_TILES, -(-pixels // tile)))
    chunk_taps = max(1, min(taps, _PANEL_BYTES // tap_bytes, 64))
    chunks = -(-pixels // (chunk_tiles * tile))
    splits = min(len(panels), max(1, -(-_JOBS // (chunks * groups))))
    scratch = 8 * (7 * chunk_tiles * tile + chunk_tiles + 2 + chunk_tiles * chunk_taps * (tile + 1)) + 64
    edges = [(table < 0).any(1).astype(np.int64) for table in reads]
    values = [
        pixels, *counts, *kernel, groups, channels, outputs, source_image, target_image, chunk_tiles, chunk_taps,
        splits, 0, len(panels), np.array(panels, np.int64), *map(_not_empty, reads), *writes,
        *(_not_empty(number * tap_bytes) for number in numbers), *edges, _shared_taps(reads, numbers, tap_bytes),
        column_blocks * all_taps * tap_bytes, column_blocks * width,
    ]  # fmt: skip
    return Plan(values, chunks * groups * splits, scratch, alone=alone, channels=channels, outputs=outputs)


def _not_empty(table: Array) -> Array:
    """A class without taps has empty tables; the kernel looks at their first element."""
    return table if table.size else np.zeros(1, np.int64)


def _shared_taps(reads: list[Array], numbers: list[Array], tap_bytes: int) -> Array:
    """Rows (offset of the tap's weights, input offset from the first tap) that hold wherever every tap is inside."""
    moves = [np.array([t[(t >= 0).all(1)][:1]]).reshape(-1)[: t.shape[1]] for t in reads]
    if any(len(m) != len(n) for m, n in zip(moves, numbers, strict=True)):
        return np.zeros((1, 2), np.int64)
    moves = [m - m[:1] for m in moves]
    weights = sum(n.reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(numbers))
    offsets = sum(m.reshape([-1 if a == axis else 1 for a in range(3)]) for axis, m in enumerate(moves))
    return np.ascontiguousarray(np.stack([np.ravel(weights) * tap_bytes, np.ravel(offsets)], 1), np.int64)


@functools.lru_cache(maxsize=512)
def weight_plan(geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[Axis, ...]) -> Plan:
    images, groups, channels, outputs, x_image, g_image = geometry
    size, _, _, stride, padding, dilation, unit, _ = axes[2]
    kernel = [axis[2] for axis in axes]
    taps = int(np.prod(kernel))
    counts = [axis[1] for axis in axes]
    rows = images * counts[0] * counts[1]
    reads = [np.stack([_input_offsets(axis, p) for p in range(axis[1])]) for axis in axes]
    writes = [np.arange(axis[1], dtype=np.int64) * axis[7] for axis in axes[:2]]
    inside = reads[2] >= 0
    low = np.where(inside.any(0), inside.argmax(0), 0).astype(np.int64)
    high = np.where(inside.any(0), counts[2] - inside[::-1].argmax(0), 0).astype(np.int64)
    patch = channels <= _PATCH_CHANNELS and 1 < taps * channels <= 512
    g_rows = g_image == counts[0] * axes[0][7] and axes[0][7] == counts[1] * axes[1][7]
    dense = g_rows and axes[1][7] == counts[2] * axes[2][7]
    copy = outputs % (width // tile_shape()[1]) != 0 or (patch and not dense)
    blocks = -(-outputs // width)
    sums = groups * taps * channels * blocks * width * itemsize  # bytes
    splits = min(blocks, -(-_JOBS // groups))
    parts = max(1, min(-(-_JOBS // (groups * splits)), rows, _SUM_BYTES // sums))
    chunk_rows = max(1, min((_CHUNK_PATCHES if patch else _CHUNK_PIXELS) // counts[2], -(-rows // parts)))
    span = (counts[2] - 1) * stride + (kernel[2] - 1) * dilation + 1
    scratch = 8 * 6 * chunk_rows + span * itemsize + 64
    scratch += chunk_rows * counts[2] * itemsize * ((blocks * width if copy else 0) + (taps * channels if patch else 0))
    values = [
        rows, *counts, *kernel, groups, channels, outputs, x_image, g_image, chunk_rows, parts, splits, *reads,
        *writes, low, high, int(copy), axes[2][7], unit, size, stride, padding, dilation,
    ]  # fmt: skip
    return Plan(
        values,
        parts * groups * splits,
        scratch,
        patch=patch,
        parts=parts,
        taps=taps,
        channels=channels,
        outputs=outputs,
    )


# Measured on Zen 3 (512 KB of L2 cache); all of them bound working sets, so other processors are served alike.
_CHUNK_TILES = 16  # tiles that share one pass over the weights
_PANEL_BYTES = 256 << 10  # weights of one block of output channels that stay in the second-level cache
_PATCH_CHANNELS = 4  # up to here inputs are copied side by side and the taps become the reduction
_JOBS = 16  # enough to balance threads
_SUM_BYTES = 32 << 20  # partial sums of a weight gradient
_CHUNK_PIXELS = 96  # positions of a weight gradient whose cache lines stay in the first-level cache
_CHUNK_PATCHES = 384  # the same where the inputs are copied as lines


def _input_offsets(axis: Axis, position: int) -> Array:
    """Byte offsets of the input positions that output `position` reads at each tap."""
    size, _, kernel, stride, padding, dilation, step, _ = axis
    source = position * stride - padding + np.arange(kernel, dtype=np.int64) * dilation
    return np.where((source >= 0) & (source < size), source * step, _OUTSIDE)


def _tap_numbers(axes: tuple[Axis, ...]) -> list[Array]:
    (_, ky, kx) = (axis[2] for axis in axes)
    return [np.arange(axis[2], dtype=np.int64) * step for axis, step in zip(axes, (ky * kx, kx, 1), strict=True)]


def _all_taps(axes: tuple[Axis, ...]) -> int:
    return int(np.prod([axis[2] for axis in axes]))
