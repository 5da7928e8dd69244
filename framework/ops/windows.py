"""Windows of signal processing: weights that fall off towards both ends of a frame."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from framework.core.dtype import as_dtype, float32, float64, get_default_dtype
from framework.core.tensor import Tensor


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **kind: Any) -> Tensor:
    """The sum of `a[k] * cos(k * angle)`, signs alternating, over one turn."""
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    turn = _positions(M, sym) * (2 * math.pi / max(_span(M, sym), 1)) + (math.pi if M == 1 else 0)
    terms = [(-1) ** number * weight * np.cos(number * turn) for number, weight in enumerate(weights)]
    return _finish("general_cosine", M, np.sum(terms, 0), kind)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **kind: Any) -> Tensor:
    """`alpha - (1 - alpha) * cos(angle)`."""
    return general_cosine(M, a=[alpha, 1 - alpha], sym=sym, **kind)


def hamming(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """Hamming's window."""
    return general_hamming(M, sym=sym, **kind)


def hann(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """Hann's window, a raised cosine."""
    return general_hamming(M, alpha=0.5, sym=sym, **kind)


def blackman(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """Blackman's window."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **kind)


def nuttall(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """Nuttall's minimum four-term Blackman-Harris window."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **kind)


def bartlett(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """A triangle with zeros at both ends."""
    span = _span(M, sym)
    values = 1 - np.abs(2 * _positions(M, sym) / max(span, 1) - 1) if M > 1 else np.ones(max(M, 0))
    return _finish("bartlett", M, values, kind)


def cosine(M: int, *, sym: bool = True, **kind: Any) -> Tensor:
    """Half a period of a sine, sampled in the middle of its steps."""
    return _finish("cosine", M, np.sin(math.pi / (max(_span(M, sym), 0) + 1) * (_positions(M, sym) + 0.5)), kind)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **kind: Any) -> Tensor:
    """`exp(-|n - center| / tau)`."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = _span(M, sym) / 2 if center is None else center
    return _finish("exponential", M, np.exp(-np.abs(_positions(M, sym) - middle) / tau), kind)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **kind: Any) -> Tensor:
    """A bell of standard deviation `std`."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _finish("gaussian", M, np.exp(-0.5 * ((_positions(M, sym) - _span(M, sym) / 2) / std) ** 2), kind)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **kind: Any) -> Tensor:
    """Kaiser's window; a larger `beta` makes it narrower."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    place = 2 * _positions(M, sym) / max(_span(M, sym), 1) - (1 if M > 1 else 0)
    return _finish("kaiser", M, np.i0(beta * np.sqrt(np.maximum(1 - place**2, 0))) / np.i0(beta), kind)


def hann_window(window_length: int, periodic: bool = True, **kind: Any) -> Tensor:
    """`hann` for the frames of a transform (periodic) or for filters."""
    return hann(window_length, sym=not periodic, **kind)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **kind: Any
) -> Tensor:
    """`alpha - beta * cos(angle)`."""
    return general_cosine(window_length, a=[alpha, beta], sym=not periodic, **kind)


def blackman_window(window_length: int, periodic: bool = True, **kind: Any) -> Tensor:
    """`blackman`, periodic or symmetric."""
    return blackman(window_length, sym=not periodic, **kind)


def bartlett_window(window_length: int, periodic: bool = True, **kind: Any) -> Tensor:
    """`bartlett`, periodic or symmetric."""
    return bartlett(window_length, sym=not periodic, **kind)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **kind: Any) -> Tensor:
    """`kaiser`, periodic or symmetric."""
    return kaiser(window_length, beta=beta, sym=not periodic, **kind)


def _positions(M: int, sym: bool) -> Any:
    return np.arange(max(M, 0), dtype=np.float64)


def _span(M: int, sym: bool) -> int:
    """The last position of a whole window: a periodic one is cut short by one sample."""
    return M - 1 if sym or M == 1 else M


def _finish(
    name: str,
    M: int,
    values: Any,
    kind: dict[str, Any],
) -> Tensor:
    from framework.ops.creation import tensor

    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    layout = str(kind.pop("layout", None))
    if "sparse" in layout:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    dtype = as_dtype(kind.pop("dtype", None) or get_default_dtype())
    if dtype not in (float32, float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return tensor(values, dtype=dtype, **kind)
