"""Convolution and transposed convolution of 1 to 3 dimensions.

Three ops close under differentiation: `conv`, `conv_grad_input` and `conv_grad_weight`; the derivative of each is made
of the other two. Transposed convolution is `conv_grad_input`. Results lie channels-last in memory.
"""

import itertools
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import half_type, rounded, widened
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.shape import pad as pad_border
from framework.ops.shape import reshape, squeeze, unsqueeze

Sizes = tuple[int, ...]


@op(method=False, wide=True)
def conv(
    xp: Any,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Cross-correlation: (N, C, *size) with (O, C / groups, *kernel) gives (N, O, *out)."""
    rank = len(stride)
    out_size = output_size(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    source = _padded(xp, _last(xp, input), padding)
    result = xp.zeros((input.shape[0], *out_size, weight.shape[0]), input.dtype)
    for tap in np.ndindex(*weight.shape[2:]):
        window = source[_window(tap, out_size, stride, dilation)]
        for ins, outs in _groups(weight, groups):
            result[..., outs] += window[..., ins] @ weight[(outs, slice(None), *tap)].T
    if bias is not None:
        result += bias
    return xp.moveaxis(result, rank + 1, 1)


@conv.vjp()
def _(g: Any, input: Any, weight: Any, needs: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    arguments = (stride, padding, dilation, groups)
    return (
        conv_grad_input(g, e.conj(weight), tuple(input.shape[2:]), *arguments) if needs[0] else None,
        conv_grad_weight(g, e.conj(input), tuple(weight.shape[2:]), *arguments) if needs[1] else None,
        _channel_sum(g) if needs[2] else None,
    )


@op(method=False, wide=True)
def conv_grad_input(
    xp: Any,
    grad: Array,
    weight: Array,
    input_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """The gradient of `conv` with respect to its input, (N, C, *input_size); also the transposed convolution."""
    rank = len(stride)
    out_size = grad.shape[2:]
    gradient = _last(xp, grad)
    reach = tuple(
        max(length + 2 * border, (count - 1) * step + (width - 1) * spread + 1)
        for length, border, count, step, width, spread in zip(
            input_size, padding, out_size, stride, weight.shape[2:], dilation
        )
    )
    full = xp.zeros((grad.shape[0], *reach, weight.shape[1] * groups), grad.dtype)
    for tap in np.ndindex(*weight.shape[2:]):
        window = full[_window(tap, out_size, stride, dilation)]
        for ins, outs in _groups(weight, groups):
            window[..., ins] += gradient[..., outs] @ weight[(outs, slice(None), *tap)]
    inner = tuple(slice(border, border + length) for border, length in zip(padding, input_size))
    return xp.moveaxis(full[(slice(None), *inner)], rank + 1, 1)


@conv_grad_input.vjp()
def _(
    g: Any, grad_shape: Any, grad: Any, weight: Any, needs: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    arguments = (stride, padding, dilation, groups)
    return (
        _cropped(conv(g, e.conj(weight), None, *arguments), grad_shape) if needs[0] else None,
        conv_grad_weight(e.conj(grad), g, tuple(weight.shape[2:]), *arguments) if needs[1] else None,
    )


@op(method=False, wide=True)
def conv_grad_weight(
    xp: Any,
    grad: Array,
    input: Array,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """The gradient of `conv` with respect to its weight, (O, C / groups, *kernel_size)."""
    out_size = grad.shape[2:]
    gradient = _last(xp, grad)
    source = _padded(xp, _last(xp, input), padding)
    channels = input.shape[1] // groups
    width = grad.shape[1] // groups
    result = xp.zeros((grad.shape[1], channels, *kernel_size), grad.dtype)
    for tap in np.ndindex(*kernel_size):
        window = source[_window(tap, out_size, stride, dilation)]
        for group in range(groups):
            left = gradient[..., group * width : (group + 1) * width].reshape(-1, width)
            right = window[..., group * channels : (group + 1) * channels].reshape(-1, channels)
            result[(slice(group * width, (group + 1) * width), slice(None), *tap)] = left.T @ right
    return result


@conv_grad_weight.vjp()
def _(
    g: Any, grad_shape: Any, grad: Any, input: Any, needs: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    arguments = (stride, padding, dilation, groups)
    return (
        _cropped(conv(e.conj(input), g, None, *arguments), grad_shape) if needs[0] else None,
        conv_grad_input(e.conj(grad), g, tuple(input.shape[2:]), *arguments) if needs[1] else None,
    )


@operation(autocast="lower")
def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of signals (N, C, L) or (C, L)."""
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


@operation(autocast="lower")
def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of images (N, C, H, W) or (C, H, W)."""
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


@operation(autocast="lower")
def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of volumes (N, C, D, H, W) or (C, D, H, W)."""
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


def convolve(
    rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Convolution of `rank` dimensions; `padding` may be "same" or "valid"."""
    name = f"conv{rank}d"
    batched = _check(name, rank, input, weight, groups, 1)
    source = input if batched else unsqueeze(input, 0)
    steps, spreads = as_sizes(stride, rank, name, "stride"), as_sizes(dilation, rank, name, "dilation")
    _expect_positive(steps, spreads)
    if isinstance(padding, str):
        source, borders = _named_padding(source, padding, weight.shape[2:], steps, spreads)
    else:
        borders = as_sizes(padding, rank, name, "padding")
        if min(borders) < 0:
            raise RuntimeError("negative padding is not supported")
    _check_bias(name, bias, weight.shape[0])
    if min(output_size(source.shape[2:], weight.shape[2:], steps, borders, spreads), default=1) < 1:
        raise RuntimeError(
            "Calculated padded input size per channel: "
            f"({' x '.join(str(n + 2 * p) for n, p in zip(source.shape[2:], borders))}). "
            f"Kernel size: ({' x '.join(str((k - 1) * d + 1) for k, d in zip(weight.shape[2:], spreads))}). Kernel "
            "size can't be "
            "greater than actual input size"
        )
    result = conv(source, weight, bias, steps, borders, spreads, groups)
    return result if batched else squeeze(result, 0)


@operation(autocast="lower")
def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of signals (N, C, L) or (C, L); weight (C, O / groups, k)."""
    return convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@operation(autocast="lower")
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of images (N, C, H, W) or (C, H, W); weight (C, O / groups, kH, kW)."""
    return convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@operation(autocast="lower")
def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of volumes (N, C, D, H, W) or (C, D, H, W); weight (C, O / groups, kD, kH, kW)."""
    return convolve_transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def convolve_transposed(
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """Transposed convolution of `rank` dimensions."""
    name = f"conv_transpose{rank}d"
    batched = _check(name, rank, input, weight, groups, 0)
    source = input if batched else unsqueeze(input, 0)
    steps, spreads = as_sizes(stride, rank, name, "stride"), as_sizes(dilation, rank, name, "dilation")
    borders, extra = as_sizes(padding, rank, name, "padding"), as_sizes(output_padding, rank, name, "output_padding")
    if any(more >= max(step, spread) for more, step, spread in zip(extra, steps, spreads)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got output_padding: {extra}, "
            f"stride: {steps}, "
            f"dilation: {spreads}"
        )
    _check_bias(name, bias, weight.shape[1] * groups)
    size = tuple(
        (length - 1) * step - 2 * border + spread * (width - 1) + more + 1
        for length, step, border, spread, width, more in zip(
            source.shape[2:], steps, borders, spreads, weight.shape[2:], extra
        )
    )
    if min(size, default=1) < 1:
        raise RuntimeError(
            f"Given input size per channel: {tuple(source.shape[2:])}. Calculated output size per channel: {size}. "
            "Output size is too small"
        )
    kind = half_type(source) if bias is not None else None  # the sum is rounded once
    if kind is not None:
        source, weight, bias = widened(source), widened(weight), widened(bias)
    result = conv_grad_input(source, weight, size, steps, borders, spreads, groups)
    if bias is not None:
        result = rounded(e.add(result, reshape(bias, 1, -1, *(1,) * rank)), kind)
    return result if batched else squeeze(result, 0)


def output_size(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Sizes:
    """The spatial size of a convolution's result."""
    return tuple(
        (length + 2 * border - spread * (width - 1) - 1) // step + 1
        for length, width, step, border, spread in zip(size, kernel, stride, padding, dilation)
    )


def as_sizes(value: Any, rank: int, name: str, what: str) -> Sizes:
    """One number, or one for each spatial dimension, as a tuple."""
    if isinstance(value, int | np.integer):
        return (int(value),) * rank
    sizes = tuple(int(each) for each in value)
    if len(sizes) == 1:
        return sizes * rank
    if len(sizes) != rank:
        raise RuntimeError(
            f"{name}: expected {what} to be a single integer value or a list of {rank} values, but got {list(sizes)}"
        )
    return sizes


def _named_padding(source: Any, padding: str, kernel: Any, stride: Sizes, dilation: Sizes) -> tuple[Any, Sizes]:
    """The input (padded where the two sides differ) and symmetric padding of "same" or "valid"."""
    rank = len(stride)
    if padding == "valid":
        return source, (0,) * rank
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}', expected 'valid' or 'same'")
    if any(step != 1 for step in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [spread * (width - 1) for spread, width in zip(dilation, kernel)]
    if any(total % 2 for total in totals):
        widths = list(itertools.chain.from_iterable((0, total % 2) for total in reversed(totals)))
        source = pad_border(source, widths)
    return source, tuple(total // 2 for total in totals)


def _check(name: str, rank: int, input: Any, weight: Any, groups: int, channel_axis: int) -> bool:
    """Whether the input has a batch dimension; RuntimeError for shapes that do not fit."""
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)}"
        )
    if weight.ndim != rank + 2:
        raise RuntimeError(
            f"{name}: expected a {rank + 2}-dimensional weight, but got weight of size: {list(weight.shape)}"
        )
    if groups < 1:
        raise RuntimeError("non-positive groups is not supported")
    batched = bool(input.ndim == rank + 2)
    channels = input.shape[1 if batched else 0]
    wanted = weight.shape[1] * groups if channel_axis else weight.shape[0]
    if channels != wanted:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{wanted} "
            f"channels, but got {channels} channels instead"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size {list(weight.shape)}"
        )
    if getattr(input, "dtype", None) != getattr(weight, "dtype", None):
        raise RuntimeError(f"Input type ({input.dtype}) and weight type ({weight.dtype}) should be the same")
    return batched


def _expect_positive(stride: Sizes, dilation: Sizes) -> None:
    if min(stride) < 1:
        raise RuntimeError(f"non-positive stride is not supported, got {stride}")
    if min(dilation) < 1:
        raise RuntimeError(f"dilation should be greater than zero, got {dilation}")


def _check_bias(name: str, bias: Any, channels: int) -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"{name}: expected bias to be 1-dimensional with {channels} elements, but got bias of size "
            f"{list(bias.shape)}"
        )


def _cropped(value: Any, shape: Any) -> Any:
    """Without the last places that stride left unused (several input sizes share one output size)."""
    return value if tuple(value.shape) == tuple(shape) else value[tuple(slice(length) for length in shape)]


def _channel_sum(g: Any) -> Any:
    from framework.ops.reduce import sum

    return sum(g, (0, *range(2, g.ndim)))


def _last(xp: Any, array: Any) -> Any:
    """A view with the channels last: (N, *size, C)."""
    return xp.moveaxis(array, 1, -1)


def _padded(xp: Any, array: Any, padding: Sizes) -> Any:
    return xp.pad(array, ((0, 0), *((border, border) for border in padding), (0, 0))) if any(padding) else array


def _window(tap: Sizes, out_size: Sizes, stride: Sizes, dilation: Sizes) -> tuple[slice, ...]:
    """The places of a channels-last array that one tap of the kernel meets."""
    return (
        slice(None),
        *(
            slice(place * spread, place * spread + (count - 1) * step + 1, step)
            for place, spread, count, step in zip(tap, dilation, out_size, stride)
        ),
    )


def _groups(weight: Any, groups: int) -> list[tuple[slice, slice]]:
    """The input and output channels of each group."""
    ins, outs = weight.shape[1], weight.shape[0] // groups
    return [(slice(n * ins, (n + 1) * ins), slice(n * outs, (n + 1) * outs)) for n in range(groups)]
