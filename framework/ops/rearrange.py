"""Elements of images moved between channels and positions, and images cut into blocks and put together again."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.ops.conv import Sizes, as_sizes
from framework.ops.shape import permute, reshape, squeeze, transpose, unsqueeze


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(*, C r^2, H, W) to (*, C, H r, W r) (Shi et al. 2016)."""
    r = int(upscale_factor)
    if input.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got {input.ndim}")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    blocks = reshape(input, *batch, channels // (r * r), r, r, height, width)
    n = len(batch)
    turned = permute(blocks, *range(n), n, n + 3, n + 1, n + 4, n + 2)
    return reshape(turned, *batch, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(*, C, H r, W r) to (*, C r^2, H, W): the inverse of pixel_shuffle."""
    r = int(downscale_factor)
    if input.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got {input.ndim}")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    if height % r or width % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but {height} x {width} is "
            f"not divisible by {r}"
        )
    blocks = reshape(input, *batch, channels, height // r, r, width // r, r)
    n = len(batch)
    turned = permute(blocks, *range(n), n, n + 2, n + 4, n + 1, n + 3)
    return reshape(turned, *batch, channels * r * r, height // r, width // r)


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, *) dealt out anew: (g, C / g) transposed (Zhang et al. 2018)."""
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    count, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    dealt = transpose(reshape(input, count, groups, channels // groups, *rest), 1, 2)
    return reshape(dealt, count, channels, *rest)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The blocks that slide over (N, C, H, W), as the columns of (N, C kh kw, L)."""
    batched, source = _batched("unfold", input, 4)
    kernel, spread, border, step = _four(kernel_size, dilation, padding, stride)
    if min(_counts(source.shape[2:], kernel, spread, border, step)) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(source.shape[2:])}, kernel_size={kernel}, dilation={spread}, "
            f"padding={border}, calculated shape of the array of sliding blocks is too small, but its components must "
            "be at least one."
        )
    columns = _blocks(source, kernel, spread, border, step)
    return columns if batched else squeeze(columns, 0)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The columns of (N, C kh kw, L) added up as blocks that slide over (N, C, *output_size)."""
    batched, source = _batched("fold", input, 3)
    kernel, spread, border, step = _four(kernel_size, dilation, padding, stride)
    size = as_sizes(output_size, 2, "fold", "output_size")
    taps, blocks = math.prod(kernel), math.prod(_counts(size, kernel, spread, border, step))
    if source.shape[1] % taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={source.shape[1]} and kernel_size={kernel}."
        )
    if source.shape[2] != blocks:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={spread}, padding={border}, stride={step}, "
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {blocks}, but got "
            f"input.size(2)={source.shape[2]}."
        )
    image = _from_blocks(source, size, kernel, spread, border, step)
    return image if batched else squeeze(image, 0)


@op(method=False)
def _blocks(xp: Any, input: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    """Sliding blocks of (N, C, H, W) as columns."""
    count, channels, *size = input.shape
    out = _counts(size, kernel, dilation, padding, stride)
    wide = xp.pad(input, ((0, 0), (0, 0), *((border, border) for border in padding)))
    columns = xp.empty((count, channels, *kernel, *out), input.dtype)
    for tap, part in _windows(kernel, out, dilation, stride):
        columns[(slice(None), slice(None), *tap)] = wide[part]
    return columns.reshape(count, channels * math.prod(kernel), math.prod(out))


@_blocks.vjp("input")
def _(g: Any, input_shape: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return _from_blocks(g, tuple(input_shape[2:]), kernel, dilation, padding, stride)


@op(method=False)
def _from_blocks(
    xp: Any, input: Array, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> Array:
    """Columns added up at the blocks they stand for."""
    out = _counts(size, kernel, dilation, padding, stride)
    channels = input.shape[1] // math.prod(kernel)
    columns = input.reshape(input.shape[0], channels, *kernel, *out)
    wide = xp.zeros((input.shape[0], channels, *(n + 2 * b for n, b in zip(size, padding))), input.dtype)
    for tap, part in _windows(kernel, out, dilation, stride):
        wide[part] += columns[(slice(None), slice(None), *tap)]
    return wide[(..., *(slice(b, b + n) for n, b in zip(size, padding)))]


@_from_blocks.vjp("input")
def _(g: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return _blocks(g, kernel, dilation, padding, stride)


def _windows(kernel: Sizes, out: Sizes, dilation: Sizes, stride: Sizes) -> Any:
    """Each place of the kernel, and the part of the padded image that it sees."""
    for tap in np.ndindex(*kernel):
        starts = [place * spread for place, spread in zip(tap, dilation)]
        yield tap, (..., *(slice(s, s + (n - 1) * step + 1, step) for s, n, step in zip(starts, out, stride)))


def _counts(size: Any, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Sizes:
    return tuple(
        (n + 2 * border - spread * (width - 1) - 1) // step + 1
        for n, width, spread, border, step in zip(size, kernel, dilation, padding, stride)
    )


def _four(kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    found = []
    for value, name, least in ((kernel, "kernel_size", 1), (dilation, "dilation", 1), (padding, "padding", 0),
                               (stride, "stride", 1)):  # fmt: skip
        numbers = as_sizes(value, 2, "unfold", name)
        if min(numbers) < least:
            raise RuntimeError(f"{name} should be at least {least}, but got {numbers}")
        found.append(numbers)
    return found[0], found[1], found[2], found[3]


def _batched(name: str, input: Any, ndim: int) -> tuple[bool, Any]:
    if input.ndim not in (ndim - 1, ndim) or not math.prod(input.shape[-(ndim - 1) :]):
        raise RuntimeError(
            f"{name}: Expected a {ndim - 1}D or {ndim}D (batch mode) tensor with non-zero dimensions, but got "
            f"{list(input.shape)}"
        )
    return input.ndim == ndim, input if input.ndim == ndim else unsqueeze(input, 0)
