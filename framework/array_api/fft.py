"""The extension `fft`, made from one table: transforms of one axis, of several, and their helpers."""

from collections.abc import Callable, Sequence
from typing import Any

from framework.array_api.dtypes import tensor_of
from framework.core.dtype import DType
from framework.core.tensor import Tensor
from framework.ops import spectral

_ONE_AXIS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn")


def fftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The frequencies of the bins of `fft` of `n` samples `d` apart."""
    return spectral.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The frequencies of the bins of `rfft` of `n` samples `d` apart."""
    return spectral.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The zero frequency moved to the middle of each axis."""
    return spectral.fftshift(tensor_of(x), axes)  # type: ignore[arg-type]


def ifftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`."""
    return spectral.ifftshift(tensor_of(x), axes)  # type: ignore[arg-type]


def _of_one_axis(name: str) -> Callable[..., Tensor]:
    function = getattr(spectral, name)

    def transform(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
        return function(tensor_of(x), n, axis, norm)

    return _named(transform, name)


def _of_several(name: str) -> Callable[..., Tensor]:
    function = getattr(spectral, name)

    def transform(
        x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
    ) -> Tensor:
        return function(tensor_of(x), s, axes, norm)

    return _named(transform, name)


def _named(transform: Any, name: str) -> Callable[..., Tensor]:
    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = getattr(spectral, name).__doc__
    return transform


globals().update({name: _of_one_axis(name) for name in _ONE_AXIS})
globals().update({name: _of_several(name) for name in _SEVERAL})
__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq", *_ONE_AXIS, *_SEVERAL]
