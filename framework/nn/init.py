"""Initial values of parameters: every function fills its tensor in place, without recording, and returns it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

import numpy as np

import framework
from framework.core.tensor import Tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity (He et al. 2015; `param` is leaky ReLU's slope)."""
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


_skipping: ContextVar[bool] = ContextVar("_skipping", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """Within the block the functions of this module leave their tensors as they are."""
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def _in_place(fill: Callable) -> Callable:
    """Run without recording, and return the tensor."""

    @wraps(fill)
    def filled(tensor: Tensor, *args: object, **kwargs: object) -> Tensor:
        if _skipping.get():
            return tensor
        with framework.no_grad():
            fill(tensor, *args, **kwargs)
        return tensor

    return filled


@_in_place
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> None:
    """Fill from the uniform distribution on [a, b)."""
    tensor.uniform_(a, b)


@_in_place
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> None:
    """Fill from the normal distribution."""
    tensor.normal_(mean, std)


@_in_place
def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> None:
    """Fill from the normal distribution, drawing again what falls outside [a, b]."""
    if mean < a - 2 * std or mean > b + 2 * std:
        raise ValueError(f"trunc_normal_: mean {mean} is more than 2 std from [{a}, {b}], nearly nothing would remain")
    tensor.normal_(mean, std)
    values = tensor.detach()
    outside = (values < a) | (values > b)
    while bool(outside.any()):
        again = framework.empty_like(values).normal_(mean, std)
        tensor.copy_(framework.where(outside, again, values))
        values = tensor.detach()
        outside = (values < a) | (values > b)


@_in_place
def constant_(tensor: Tensor, val: float) -> None:
    """Fill with `val`."""
    tensor.fill_(val)


@_in_place
def ones_(tensor: Tensor) -> None:
    """Fill with ones."""
    tensor.fill_(1)


@_in_place
def zeros_(tensor: Tensor) -> None:
    """Fill with zeros."""
    tensor.fill_(0)


@_in_place
def eye_(tensor: Tensor) -> None:
    """Fill a 2-d tensor with the identity matrix."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    _assign(tensor, np.eye(*tensor.shape))


@_in_place
def dirac_(tensor: Tensor, groups: int = 1) -> None:
    """Fill a convolution weight (O, I, *k) so that it hands its input channels through."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tuple(tensor.shape))
    out_per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(out_per_group, tensor.shape[1])):
            values[(group * out_per_group + channel, channel, *centre)] = 1
    _assign(tensor, values)


@_in_place
def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> None:
    """Glorot & Bengio 2010: uniform with variance 2 gain^2 / (fan_in + fan_out)."""
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / (fan_in + fan_out))
    tensor.uniform_(-bound, bound)


@_in_place
def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> None:
    """Glorot & Bengio 2010: normal with variance 2 gain^2 / (fan_in + fan_out)."""
    fan_in, fan_out = fans(tensor)
    tensor.normal_(0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)))


@_in_place
def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> None:
    """He et al. 2015: uniform with variance gain^2 / fan; `a` is the slope of the leaky ReLU that follows."""
    if tensor.numel():
        bound = math.sqrt(3.0) * _he_std(tensor, a, mode, nonlinearity)
        tensor.uniform_(-bound, bound)


@_in_place
def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> None:
    """He et al. 2015: normal with variance gain^2 / fan; `a` is the slope of the leaky ReLU that follows."""
    if tensor.numel():
        tensor.normal_(0.0, _he_std(tensor, a, mode, nonlinearity))


@_in_place
def orthogonal_(tensor: Tensor, gain: float = 1) -> None:
    """Saxe et al. 2013: a (semi-)orthogonal matrix, over the flattened trailing dimensions."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.numel():
        return
    rows = tensor.shape[0]
    drawn = framework.empty(rows, tensor.numel() // rows).normal_(0.0, 1.0).numpy()
    q, r = np.linalg.qr(drawn.T if drawn.shape[0] < drawn.shape[1] else drawn)
    q = q * np.sign(np.diag(r))
    _assign(tensor, gain * (q.T if drawn.shape[0] < drawn.shape[1] else q).reshape(tuple(tensor.shape)))


@_in_place
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> None:
    """Martens 2010: normal, with a fraction `sparsity` of each column (at least one) zero."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    values = framework.empty(rows, columns).normal_(0.0, std).numpy()
    for column in range(columns):
        values[framework.randperm(rows).numpy()[: math.ceil(sparsity * rows)], column] = 0
    _assign(tensor, values)


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


_calculate_fan_in_and_fan_out = fans  # the name by which other code imports it from torch


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """fan_in or fan_out; other code imports it from torch by this name."""
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return fans(tensor)[mode == "fan_out"]


def _he_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


def _assign(tensor: Tensor, values: np.ndarray) -> None:
    tensor.copy_(framework.tensor(values, dtype=tensor.dtype))
