"""Fourier transforms: three records (complex, from real, to real) and the public functions over them.

A transform is `scale` times the plain sum, so that the derivative of each is one of the three again: the transform in
the other direction with the same scale.
"""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, COMPLEX, FLOATING, FROM_NUMPY, get_default_dtype
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.shape import narrow, pad, roll

Dims = int | tuple[int, ...] | list[int] | None


@op(method=False)
def _fft_complex(xp: Any, input: Array, dims: tuple[int, ...], forward: bool, scale: float) -> Array:
    """The transform of a complex tensor over some dimensions."""
    if not input.size:
        return input.copy()
    # norm="backward" leaves the forward sum plain, norm="forward" the inverse one
    result = xp.fft.fftn(input, axes=dims) if forward else xp.fft.ifftn(input, axes=dims, norm="forward")
    return _scaled(result, scale, input.dtype)


@_fft_complex.vjp("input")
def _(g: Any, dims: Any, forward: Any, scale: Any) -> Any:
    return _fft_complex(g, dims, not forward, scale)


@op(method=False)
def _fft_from_real(xp: Any, input: Array, dims: tuple[int, ...], scale: float) -> Array:
    """The forward transform of a real tensor; of the last of `dims` only the first half is kept."""
    kind = FROM_NUMPY[input.dtype].to_complex().numpy_dtype
    return _scaled(xp.fft.rfftn(input, axes=dims), scale, kind)


@_fft_from_real.vjp("input")
def _(g: Any, input_shape: Any, dims: Any, scale: Any) -> Any:
    whole = _padded(g, dims[-1], input_shape[dims[-1]])
    return e.real(_fft_complex(whole, dims, False, scale))


@op(method=False)
def _fft_to_real(xp: Any, input: Array, dims: tuple[int, ...], length: int, scale: float) -> Array:
    """The backward transform of a half spectrum to a real tensor with `length` along the last of `dims`."""
    kind = FROM_NUMPY[input.dtype].to_real().numpy_dtype
    if len(dims) > 1:
        input = xp.fft.ifftn(input, axes=dims[:-1], norm="forward")
    return _scaled(xp.fft.irfft(input, length, axis=dims[-1], norm="forward"), scale, kind)


@_fft_to_real.vjp("input")
def _(g: Any, input_shape: Any, dims: Any, length: Any, scale: Any) -> Any:
    half = _fft_from_real(g, dims, scale)
    weights = np.ones(half.shape[dims[-1]])
    weights[1 : 1 + length - weights.size] = 2  # the bins whose mirror images are left out
    shape = [1] * half.ndim
    shape[dims[-1]] = -1
    from framework.ops.scan import like

    kind = FROM_NUMPY[getattr(half, "_data", half).dtype].to_real().numpy_dtype
    return e.mul(half, like(weights.reshape(shape).astype(kind), half))


@operation(autocast="cpu:float32")
def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The discrete Fourier transform along `dim`, of length `n` (cut or padded with zeros)."""
    return _whole("fft", input, n, dim, norm, True)


@operation(autocast="cpu:float32")
def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `fft`."""
    return _whole("ifft", input, n, dim, norm, False)


@operation(autocast="cpu:float32")
def fftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """The transform over several dimensions (all when None)."""
    return _whole("fftn", input, s, dim, norm, True)


@operation(autocast="cpu:float32")
def ifftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """The inverse of `fftn`."""
    return _whole("ifftn", input, s, dim, norm, False)


@operation(autocast="cpu:float32")
def fft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """The transform over two dimensions."""
    return _whole("fft2", input, s, dim, norm, True)


@operation(autocast="cpu:float32")
def ifft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """The inverse of `fft2`."""
    return _whole("ifft2", input, s, dim, norm, False)


@operation(autocast="cpu:float32")
def rfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform of a real tensor: the first half, `n // 2 + 1` values, of a spectrum that mirrors itself."""
    return _from_real("rfft", input, n, dim, norm)


@operation(autocast="cpu:float32")
def rfftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """`rfft` along the last of `dim`, `fft` along the others."""
    return _from_real("rfftn", input, s, dim, norm)


@operation(autocast="cpu:float32")
def rfft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """`rfftn` over two dimensions."""
    return _from_real("rfft2", input, s, dim, norm)


@operation(autocast="cpu:float32")
def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `rfft`; `n` is the length of the real result (an even one by default)."""
    return _to_real("irfft", input, n, dim, norm)


@operation(autocast="cpu:float32")
def irfftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """The inverse of `rfftn`."""
    return _to_real("irfftn", input, s, dim, norm)


@operation(autocast="cpu:float32")
def irfft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """The inverse of `rfft2`."""
    return _to_real("irfft2", input, s, dim, norm)


@operation(autocast="cpu:float32")
def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform of half a signal that mirrors itself: a real spectrum of length `n`."""
    return _to_real("hfft", input, n, dim, norm, True)


def hfftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """`hfft` along the last of `dim`, `fft` along the others."""
    return _to_real("hfftn", input, s, dim, norm, True)


def hfft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """`hfftn` over two dimensions."""
    return _to_real("hfft2", input, s, dim, norm, True)


@operation(autocast="cpu:float32")
def ihfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`."""
    return _from_real("ihfft", input, n, dim, norm, True)


def ihfftn(input: Any, s: Any = None, dim: Dims = None, norm: str | None = None) -> Any:
    """The inverse of `hfftn`."""
    return _from_real("ihfftn", input, s, dim, norm, True)


def ihfft2(input: Any, s: Any = None, dim: Dims = (-2, -1), norm: str | None = None) -> Any:
    """The inverse of `hfft2`."""
    return _from_real("ihfft2", input, s, dim, norm, True)


def fftshift(input: Any, dim: Dims = None) -> Any:
    """The zero frequency moved to the middle of each dimension."""
    dims = _shift_dims(input, dim)
    return roll(input, tuple(input.shape[axis] // 2 for axis in dims), dims)


def ifftshift(input: Any, dim: Dims = None) -> Any:
    """The inverse of `fftshift`."""
    dims = _shift_dims(input, dim)
    return roll(input, tuple((input.shape[axis] + 1) // 2 for axis in dims), dims)


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """The frequencies of the bins of `fft` of `n` samples `d` apart, in cycles per unit."""
    return _frequencies(np.fft.fftfreq(n, d), dtype, device, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """The frequencies of the bins of `rfft` of `n` samples `d` apart, in cycles per unit."""
    return _frequencies(np.fft.rfftfreq(n, d), dtype, device, requires_grad)


# -- helpers -----------------------------------------------------------------------------------------------------------


def _whole(name: str, input: Any, n: Any, dim: Dims, norm: str | None, forward: bool) -> Any:
    input, dims, lengths = _prepare(name, _complex(input), n, dim)
    input = _resized(input, dims, lengths)
    return _fft_complex(input, dims, forward, _scale(name, norm, lengths, forward)) if dims else input


def _from_real(name: str, input: Any, n: Any, dim: Dims, norm: str | None, mirrored: bool = False) -> Any:
    if input.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {input.dtype.name}")
    input, dims, lengths = _prepare(name, _floating(input), n, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    input = _resized(input, dims, lengths)
    scale = _scale(name, norm, lengths, not mirrored)
    if not mirrored:
        return _fft_from_real(input, dims, scale)
    half = e.conj(_fft_from_real(input, dims[-1:], scale))
    return _fft_complex(half, dims[:-1], False, 1.0) if len(dims) > 1 else half


def _to_real(name: str, input: Any, n: Any, dim: Dims, norm: str | None, mirrored: bool = False) -> Any:
    input, dims, lengths = _prepare(name, _complex(input), n, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    given = n if isinstance(n, int) or n is None else list(n)[-1]
    if given is None or given == -1:
        lengths[-1] = 2 * (input.shape[dims[-1]] - 1)
    if lengths[-1] < 1:
        raise RuntimeError(f"Invalid number of data points ({lengths[-1]}) specified")
    input = _resized(input, dims, [*lengths[:-1], lengths[-1] // 2 + 1])
    scale = _scale(name, norm, lengths, mirrored)
    if not mirrored:
        return _fft_to_real(input, dims, lengths[-1], scale)
    if len(dims) > 1:
        input = _fft_complex(input, dims[:-1], True, 1.0)
    return _fft_to_real(e.conj(input), dims[-1:], lengths[-1], scale)


def _prepare(name: str, input: Any, n: Any, dim: Dims) -> tuple[Any, tuple[int, ...], list[int]]:
    """The dimensions to transform and their lengths."""
    sizes = [n] if isinstance(n, int) else None if n is None else list(n)
    if dim is None:
        dim = tuple(range(input.ndim)) if sizes is None else tuple(range(input.ndim - len(sizes), input.ndim))
        if sizes is not None and len(sizes) > input.ndim:
            raise RuntimeError(f"Got shape with {len(sizes)} values but input tensor only has {input.ndim} dimensions.")
    chosen = (dim,) if isinstance(dim, int) else tuple(dim)
    if not input.ndim and (chosen or sizes):
        raise IndexError(f"{name}: Dimension specified as {chosen[0] if chosen else -1} but tensor has no dimensions")
    dims = tuple(check_dim(each, input.ndim) for each in chosen)
    if len(set(dims)) != len(dims):
        raise RuntimeError("FFT dims must be unique")
    if sizes is not None and len(sizes) != len(dims):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    lengths = [input.shape[axis] for axis in dims]
    if sizes is not None:
        lengths = [have if wanted in (-1, None) else wanted for have, wanted in zip(lengths, sizes)]
    if any(length < 1 for length in lengths):
        raise RuntimeError(f"Invalid number of data points ({min(lengths)}) specified")
    return input, dims, lengths


def _resized(input: Any, dims: tuple[int, ...], lengths: Any) -> Any:
    for axis, length in zip(dims, lengths):
        input = _padded(input, axis, length) if length >= input.shape[axis] else narrow(input, axis, 0, length)
    return input


def _padded(input: Any, axis: int, length: int) -> Any:
    """Zeros after the end of a dimension."""
    missing = length - input.shape[axis]
    return pad(input, (0, 0) * (input.ndim - 1 - axis) + (0, missing)) if missing else input


def _scale(name: str, norm: str | None, lengths: list[int], forward: bool) -> float:
    count = math.prod(lengths)
    if norm == "ortho":
        return 1 / math.sqrt(count)
    if norm not in (None, "backward", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}" ({name})')
    return 1 / count if (norm == "forward") == forward else 1.0


def _scaled(array: Any, scale: float, kind: Any) -> Any:
    if scale != 1.0:
        array *= scale
    return array.astype(kind, copy=False)


def _floating(input: Any) -> Any:
    if CATEGORY[input._data.dtype] < FLOATING:
        return e.to_dtype(input, get_default_dtype())
    if input._data.dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {input.dtype.name}: FFT of half-precision tensors is not supported")
    return input


def _complex(input: Any) -> Any:
    input = _floating(input)
    return input if CATEGORY[input._data.dtype] == COMPLEX else e.to_dtype(input, input.dtype.to_complex())


def _shift_dims(input: Any, dim: Dims) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(input.ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _frequencies(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    from framework.ops.creation import tensor

    return tensor(
        values, dtype=get_default_dtype() if dtype is None else dtype, device=device, requires_grad=requires_grad
    )
