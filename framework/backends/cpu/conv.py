"""Convolution, its gradients and transposed convolution on generated kernels, in channels-last memory.

Arrays are logical (N, C, *spatial) with one to three spatial axes and any strides. Inputs whose channels do not lie
side by side are copied once; results are channels-last in memory. Element types: float32 and float64.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import conv_kernels, conv_weight_kernels, memory, threads
from framework.backends.cpu.conv_plans import Axis, Plan, forward_plan, transposed_plans, weight_plan
from framework.backends.cpu.layout import channels_last, empty_channels_last, served
from framework.backends.cpu.tile import pack
from framework.backends.cpu.tiling import block, constants

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
    plan = forward_plan(_geometry(x, y, w.shape[0], groups), x.dtype.itemsize, block(x.dtype)[1], axes)
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
    plans = transposed_plans(_geometry(g, x, w.shape[1] * groups, groups), g.dtype.itemsize, block(g.dtype)[1], axes)
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
    width = block(x.dtype)[1]
    plan = weight_plan(_geometry(x, g, g.shape[1], groups), x.itemsize, width, axes)
    blocks = -(-plan.outputs // width)
    sums = memory.empty((plan.parts * groups * plan.taps * plan.channels * blocks * width,), x.dtype)
    fixed = constants(x.dtype)
    kernel = conv_weight_kernels.weight_gradient(**fixed, PATCH=int(plan.patch))
    threads.run(
        kernel, plan.jobs, x.ctypes.data, g.ctypes.data, sums.ctypes.data, plan.array.ctypes.data, scratch=plan.scratch
    )
    result = memory.empty((g.shape[1], plan.channels, *kernel_size), x.dtype)
    threads.run(
        conv_weight_kernels.add_parts(**fixed), groups * blocks, sums.ctypes.data, result.ctypes.data, plan.parts,
        groups, plan.taps, plan.channels, plan.outputs,
    )  # fmt: skip
    return result


def _gather(plan: Plan, source: Array, target: Array, packed: Array, bias: Array | None, groups: int) -> None:
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
) -> tuple[Axis, ...]:
    """Three axes; those that are missing in front have one position."""
    axes = list(
        zip(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation, x.strides[2:], y.strides[2:], strict=True)
    )
    return tuple([(1, 1, 1, 1, 0, 1, 0, 0)] * (3 - len(axes)) + [tuple(map(int, axis)) for axis in axes])  # type: ignore[misc]


def _geometry(source: Array, target: Array, outputs: int, groups: int) -> tuple[int, ...]:
    """Images, groups, channels and outputs of a group, bytes between images."""
    channels = source.shape[1] // groups
    return source.shape[0], groups, channels, outputs // groups, source.strides[0], target.strides[0]


def _positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
