"""Convolution, its gradients and transposed convolution on generated kernels, in channels-last memory.

Arrays are logical (N, C, *spatial) with one to three spatial axes and any strides. Inputs whose channels do not lie side by
side are copied once; results are channels-last in memory. Element types: float32 and float64.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import memory, threads
from framework.backends.cpu.layout import channels_last, empty_channels_last, served
from framework.backends.cpu.tiling import block, constants, tile_shape

Array = np.ndarray[Any, Any]


def conv(
    x: Array, w: Array, bias: Array | None, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int,
) -> Any:  # fmt: skip
    """Convolution: x (N, I, *spatial), w (O, I / groups, *kernel), bias (O,) -> (N, O, *positions)."""
    if not served(x, w, bias) or not 3 <= x.ndim <= 5:
        return NotImplemented
    w = np.ascontiguousarray(w)
    kernel = w.shape[2:]
    sizes = tuple(map(_positions, x.shape[2:], kernel, stride, padding, dilation))
    if min(sizes) < 1:
        return NotImplemented
    x = channels_last(x)
    y = empty_channels_last((x.shape[0], w.shape[0], *sizes), x.dtype)
    axes = _axes(x, y, kernel, stride, padding, dilation)
    plan = _forward_plan(_geometry(x, y, w.shape[0], groups), x.dtype.itemsize, block(x.dtype)[1], axes)
    reduce_axis = (w.strides[0] * (w.shape[0] // groups), w.strides[0], w.strides[1])
    _gather(plan, x, y, _packed(w, reduce_axis, w.shape[0] // groups, w.shape[1], groups), bias, groups)
    return y


def conv_grad_input(
    g: Array, w: Array, input_size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Any:  # fmt: skip
    """Gradient of `conv` by its input, (N, I, *input_size); also transposed convolution of g by w."""
    if not served(g, w) or not 3 <= g.ndim <= 5 or min(input_size) < 1:
        return NotImplemented
    w = np.ascontiguousarray(w)
    kernel = w.shape[2:]
    g = channels_last(g)
    x = empty_channels_last((g.shape[0], w.shape[1] * groups, *input_size), g.dtype)
    axes = _axes(x, g, kernel, stride, padding, dilation)
    plans = _transposed_plans(_geometry(g, x, w.shape[1] * groups, groups), g.dtype.itemsize, block(g.dtype)[1], axes)
    reduce_axis = (w.strides[0] * (w.shape[0] // groups), w.strides[1], w.strides[0])
    packed = _packed(w, reduce_axis, w.shape[1], w.shape[0] // groups, groups)
    for plan in plans:
        _gather(plan, g, x, packed, None, groups)
    return x


def conv_grad_weight(
    g: Array, x: Array, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Any:  # fmt: skip
    """Gradient of `conv` by its weights, (O, I / groups, *kernel_size)."""
    if not served(g, x) or not 3 <= x.ndim <= 5:
        return NotImplemented
    x, g = channels_last(x), channels_last(g)
    axes = _axes(x, g, kernel_size, stride, padding, dilation)
    itemsize = x.dtype.itemsize
    tile, width = block(x.dtype)
    plan = _weight_plan(_geometry(x, g, g.shape[1], groups), itemsize, width, axes)
    blocks = -(-plan.outputs // width)
    sums = memory.empty((plan.parts * groups * plan.taps * plan.channels * blocks * width,), x.dtype)
    fixed = constants(x.dtype)
    from framework.backends.cpu import conv_kernels

    kernel = conv_kernels.weight_gradient(**fixed, PATCH=int(plan.patch))
    threads.run(
        kernel, plan.jobs, x.ctypes.data, g.ctypes.data, sums.ctypes.data, plan.array.ctypes.data, scratch=plan.scratch
    )
    result = memory.empty((g.shape[1], plan.channels, *kernel_size), x.dtype)
    threads.run(
        conv_kernels.add_parts(**fixed), groups * blocks, sums.ctypes.data, result.ctypes.data, plan.parts, groups,
        plan.taps, plan.channels, plan.outputs,
    )  # fmt: skip
    return result


class _Plan:
    """What a driver needs besides the arrays: one int64 array of sizes and addresses, the tables kept alive with it."""

    def __init__(self, values: Sequence[Any], jobs: int, scratch: int, **facts: Any) -> None:
        self.tables = [value for value in values if isinstance(value, np.ndarray)]
        self.array = np.array([v.ctypes.data if isinstance(v, np.ndarray) else v for v in values], np.int64)
        self.jobs, self.scratch = jobs, scratch
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


# An axis is (input size, output size, kernel, stride, padding, dilation, input step, output step), steps in bytes.
_Axis = tuple[int, int, int, int, int, int, int, int]
_OUTSIDE = -(1 << 60)


@functools.lru_cache(maxsize=512)
def _forward_plan(geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[_Axis, ...]) -> _Plan:
    reads = [np.stack([_input_offsets(axis, p) for p in range(axis[1])]) for axis in axes]
    writes = [np.arange(axis[1], dtype=np.int64) * axis[7] for axis in axes]
    return _gather_plan(geometry, itemsize, width, reads, writes, _tap_numbers(axes), _all_taps(axes))


@functools.lru_cache(maxsize=512)
def _transposed_plans(
    geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[_Axis, ...]
) -> tuple[_Plan, ...]:
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


def _transposed_class(axis: _Axis, residue: int) -> tuple[Array, Array, Array]:
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
) -> _Plan:  # fmt: skip
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
    return _Plan(values, chunks * groups * splits, scratch, alone=alone, channels=channels, outputs=outputs)


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
def _weight_plan(geometry: tuple[int, ...], itemsize: int, width: int, axes: tuple[_Axis, ...]) -> _Plan:
    images, groups, channels, outputs, x_image, g_image = geometry
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
    chunk_rows = max(1, min(_CHUNK_PIXELS // counts[2], -(-rows // parts)))
    scratch = 8 * (6 * chunk_rows + 8) + 64
    scratch += chunk_rows * counts[2] * itemsize * ((blocks * width if copy else 0) + (taps * channels if patch else 0))
    values = [
        rows, *counts, *kernel, groups, channels, outputs, x_image, g_image, chunk_rows, parts, splits, *reads,
        *writes, axes[2][6] * axes[2][3], axes[2][7], low, high, int(copy),
    ]  # fmt: skip
    return _Plan(
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
_CHUNK_PIXELS = 192  # positions of a weight gradient whose cache lines, two each, stay in the first-level cache


def _gather(plan: _Plan, source: Array, target: Array, packed: Array, bias: Array | None, groups: int) -> None:
    from framework.backends.cpu import conv_kernels

    width = packed.shape[-1]
    blocks = packed.shape[1]
    start = np.zeros((groups, blocks * width), source.dtype)
    if bias is not None:
        start[:, : plan.outputs] = bias.reshape(groups, -1)
    zeros = np.zeros(plan.channels, source.dtype)
    kernel = conv_kernels.gather(**(constants(source.dtype) | {"ALONE": int(plan.alone)}))
    threads.run(
        kernel, plan.jobs, source.ctypes.data, packed.ctypes.data, start.ctypes.data, target.ctypes.data,
        zeros.ctypes.data, plan.array.ctypes.data, 1.0, scratch=plan.scratch,
    )  # fmt: skip


def _packed(w: Array, steps: tuple[int, int, int], columns: int, inner: int, groups: int) -> Array:
    """Weights as panels (groups, blocks, taps, inner, width); steps: bytes between groups, columns, inner."""
    from framework.backends.cpu.tile import pack

    taps = int(np.prod(w.shape[2:]))
    width = block(w.dtype)[1]
    blocks = -(-columns // width)
    packed = memory.empty((groups, blocks, taps, inner, width), w.dtype)
    threads.run(
        pack(**constants(w.dtype)), groups * blocks, w.ctypes.data, packed.ctypes.data, blocks, taps, inner, columns,
        *steps, w.itemsize,
    )  # fmt: skip
    return packed


def _axes(
    x: Array, y: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[_Axis, ...]:
    """Three axes; those that are missing in front have one position."""
    axes = list(
        zip(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation, x.strides[2:], y.strides[2:], strict=True)
    )
    return tuple([(1, 1, 1, 1, 0, 1, 0, 0)] * (3 - len(axes)) + [tuple(map(int, axis)) for axis in axes])  # type: ignore[misc]


def _geometry(source: Array, target: Array, outputs: int, groups: int) -> tuple[int, ...]:
    """Images, groups, channels and outputs of a group, bytes between images."""
    channels = source.shape[1] // groups
    return source.shape[0], groups, channels, outputs // groups, source.strides[0], target.strides[0]


def _input_offsets(axis: _Axis, position: int) -> Array:
    """Byte offsets of the input positions that output `position` reads at each tap."""
    size, _, kernel, stride, padding, dilation, step, _ = axis
    source = position * stride - padding + np.arange(kernel, dtype=np.int64) * dilation
    return np.where((source >= 0) & (source < size), source * step, _OUTSIDE)


def _tap_numbers(axes: tuple[_Axis, ...]) -> list[Array]:
    (_, ky, kx) = (axis[2] for axis in axes)
    return [np.arange(axis[2], dtype=np.int64) * step for axis, step in zip(axes, (ky * kx, kx, 1), strict=True)]


def _all_taps(axes: tuple[_Axis, ...]) -> int:
    return int(np.prod([axis[2] for axis in axes]))


def _positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
