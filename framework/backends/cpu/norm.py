"""Normalisation over groups of channels, fused with the activation that follows, and its gradient."""

from typing import Any

import numpy as np

from framework.backends.cpu import machine, threads
from framework.backends.cpu.layout import dense, empty_like, like, served

Array = np.ndarray[Any, Any]


def norm_act(x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float, slope: float) -> Any:
    """leaky((x - mean) * rstd * weight + bias), x (N, C, *spatial), weight and bias (C,).

    mean and rstd, (N, groups), are returned after the result; they are taken over a group's channels and all positions.
    Chunks give mean and squared deviation; they are added in float64.
    """
    if x.ndim < 2 or not served(x, weight, bias):
        return NotImplemented
    from framework.backends.cpu import norm_kernels

    x = dense(x)
    y = empty_like(x)
    form = Form(x)
    parts = np.empty((2, *form.parts), np.float64)
    constants = _constants(x.dtype)
    threads.run(
        norm_kernels.moments(**constants), form.jobs, x.ctypes.data, *form.sizes, parts[0].ctypes.data,
        parts[1].ctypes.data,
    )  # fmt: skip
    means, squares = form.by_channel(parts[0], groups), form.by_channel(parts[1], groups)
    count = form.counts[:, None]
    number = form.counts.sum() * (x.shape[1] // groups)
    mean = (means * count).sum((2, 3)) / number
    variance = (squares + count * (means - mean[:, :, None, None]) ** 2).sum((2, 3)) / number
    mean, rstd = mean.astype(x.dtype), (1 / np.sqrt(variance + eps)).astype(x.dtype)
    threads.run(
        norm_kernels.normalise(**constants), form.jobs, x.ctypes.data, y.ctypes.data, *form.sizes,
        *_addresses(coefficients := _coefficients(x, mean, rstd, weight, bias)), float(slope),
    )  # fmt: skip
    del coefficients
    return y, mean, rstd


def norm_act_grad(
    g: Array, x: Array, mean: Array, rstd: Array, weight: Array | None, bias: Array | None, groups: int, slope: float
) -> Any:
    """Gradients of `norm_act` by x, weight and bias; the last two None where these are."""
    if x.ndim < 2 or not served(g, x, weight, bias) or mean.dtype != x.dtype or rstd.dtype != x.dtype:
        return NotImplemented
    from framework.backends.cpu import norm_kernels

    x = dense(x)
    g = like(g, x)
    gx = empty_like(x)
    form = Form(x)
    parts = np.empty((2, *form.parts), np.float64)
    constants = _constants(x.dtype)
    coefficients = _coefficients(x, mean, rstd, weight, bias)
    threads.run(
        norm_kernels.gradient_sums(**constants), form.jobs, g.ctypes.data, x.ctypes.data, *form.sizes,
        *_addresses(coefficients), float(slope), parts[0].ctypes.data, parts[1].ctypes.data,
    )  # fmt: skip
    each = x.shape[1] // groups
    inverse = rstd.astype(np.float64)[:, :, None]
    sums = form.by_channel(parts[0], groups).sum(2)  # (N, groups, channels of a group)
    products = form.by_channel(parts[1], groups).sum(2) * inverse
    gain = np.ones((groups, each)) if weight is None else weight.astype(np.float64).reshape(groups, each)
    number = form.counts.sum() * each
    constant = -inverse * (sums * gain).sum(2, keepdims=True) / number
    linear = -(inverse**2) * (products * gain).sum(2, keepdims=True) / number
    spread = [np.repeat(c[:, :, 0], each, 1).astype(x.dtype) for c in (constant, linear)]
    threads.run(
        norm_kernels.gradient(**constants), form.jobs, g.ctypes.data, x.ctypes.data, gx.ctypes.data, *form.sizes,
        *_addresses(coefficients), float(slope), *_addresses(spread),
    )  # fmt: skip
    gw = None if weight is None else products.sum(0).reshape(-1).astype(x.dtype)
    gb = None if bias is None else sums.sum(0).reshape(-1).astype(x.dtype)
    return gx, gw, gb


class Form:
    """How kernels see a dense array: (images, pixels, channels), and its chunks. Fixed by shape and layout alone."""

    def __init__(self, x: Array) -> None:
        images, channels = x.shape[:2]
        pixels = x.size // (images * channels)
        self.last = channels > 1 and x.strides[1] == x.itemsize
        self.shape = images, channels
        columns = channels if self.last else 1
        chunk = max(16, _CHUNK_BYTES // (columns * x.itemsize))
        chunks = -(-pixels // chunk)
        self.sizes = pixels, columns, chunk, chunks
        self.counts = np.full(chunks, chunk, np.float64)
        self.counts[-1] = pixels - chunk * (chunks - 1)
        rows = images if self.last else images * channels
        self.jobs = rows * chunks
        self.parts = rows, chunks, columns

    def by_channel(self, parts: Array, groups: int) -> Array:
        """Partial results as (N, groups, chunks, channels of a group)."""
        images, channels = self.shape
        if self.last:
            return parts.reshape(images, -1, groups, channels // groups).transpose(0, 2, 1, 3)
        return parts.reshape(images, groups, channels // groups, -1).swapaxes(2, 3)


_CHUNK_BYTES = 64 << 10  # read twice: half of a small second-level cache's share


def _coefficients(x: Array, mean: Array, rstd: Array, weight: Array | None, bias: Array | None) -> list[Array]:
    """center, scale and shift of every image and channel, (N, C)."""
    each = x.shape[1] // mean.shape[1]
    scale = np.repeat(rstd, each, 1)
    if weight is not None:
        scale = scale * weight
    shift = np.zeros(x.shape[:2], x.dtype) if bias is None else np.tile(bias, (x.shape[0], 1))
    return [np.ascontiguousarray(c) for c in (np.repeat(mean, each, 1), scale, shift)]


def _addresses(arrays: list[Array]) -> list[int]:
    return [array.ctypes.data for array in arrays]


def _constants(dtype: np.dtype[Any]) -> dict[str, Any]:
    return {"Float": dtype.name, "LANES": machine.lanes(dtype.name)}
