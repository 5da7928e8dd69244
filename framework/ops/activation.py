"""Activations of neural networks that need no record of their own, with torch's `inplace` argument."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.modes import GRAD, modes
from framework.core.random import default_generator
from framework.core.tensor import Tensor, check_dim
from framework.core.views import check_writable, commit
from framework.ops import elementwise as e
from framework.ops.shape import narrow

_SELU_ALPHA = 1.6732632423543772  # Klambauer et al. 2017
_SELU_SCALE = 1.0507009873554805


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return maybe_in_place(input, inplace, e.relu)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where positive, `negative_slope` x elsewhere."""
    return maybe_in_place(input, inplace, e.leaky_relu, negative_slope)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x clipped to [min_val, max_val]; the gradient at and beyond the bounds is 0."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    _refuse_bool("hardtanh", input)
    return maybe_in_place(input, inplace, _hardtanh, min_val, max_val)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, alpha (exp(x) - 1) elsewhere."""
    return maybe_in_place(input, inplace, e.elu, alpha)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, alpha (exp(x / alpha) - 1) elsewhere (Barron 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return maybe_in_place(input, inplace, lambda x: e.mul(e.elu(e.true_divide(x, alpha), 1.0), alpha))


def selu(input: Any, inplace: bool = False) -> Any:
    """Self-normalising exponential linear unit."""
    return maybe_in_place(input, inplace, lambda x: e.mul(e.elu(x, _SELU_ALPHA), _SELU_SCALE))


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x)."""
    return maybe_in_place(input, inplace, e.silu)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x))."""
    return maybe_in_place(input, inplace, lambda x: e.mul(x, e.tanh(e.softplus(x))))


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x / 6 + 1/2, 0), 1)."""
    return maybe_in_place(input, inplace, _hardsigmoid)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x hardsigmoid(x)."""
    return maybe_in_place(input, inplace, lambda x: e.mul(x, _hardsigmoid(x)))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x outside [-lambd, lambd], 0 inside."""
    return e.where(e.logical_and(e.ge(input, -lambd), e.le(input, lambd)), 0 * input, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by `lambd`, 0 where that would cross it."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    near = e.logical_and(e.ge(input, -lambd), e.le(input, lambd))
    return e.where(near, 0 * input, e.sub(input, e.mul(e.sgn(_still(input)), lambd)))


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return e.sub(input, e.tanh(input))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where it exceeds the threshold, `value` elsewhere."""
    _refuse_bool("threshold", input)
    return maybe_in_place(input, inplace, lambda x: e.masked_fill(x, e.le(x, threshold), value))


def glu(input: Any, dim: int = -1) -> Any:
    """The first half along `dim` times the sigmoid of the second (Dauphin et al. 2016)."""
    if not input.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    axis = check_dim(dim, input.ndim)
    if input.shape[axis] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}")
    half = input.shape[axis] // 2
    return e.mul(narrow(input, axis, 0, half), e.sigmoid(narrow(input, axis, half, half)))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Phi(x); `approximate="tanh"` for the tanh formula."""
    return e.gelu(input, approximate=approximate)


@operation(autocast="cuda:float32")
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta, linear where beta x exceeds `threshold`."""
    return e.softplus(input, beta, threshold)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return e.sigmoid(input)


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), without underflow."""
    return e.neg(e.softplus(e.neg(input), 1.0, math.inf))


def tanh(input: Any) -> Any:
    """Hyperbolic tangent."""
    return e.tanh(input)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return e.true_divide(input, e.add(e.abs(input), 1))


@operation(autocast="lower")
def prelu(input: Any, weight: Any) -> Any:
    """Leaky ReLU with the slopes `weight`: one, or one per channel (dimension 1)."""
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.numel() == 1:
        weight = weight.reshape(())
    else:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    return e.where(e.gt(input, 0), input, e.mul(weight, input))


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """Leaky ReLU with random slopes of [lower, upper] in training, else their mean (Xu et al. 2015)."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not math.isfinite(lower) or not math.isfinite(upper):
        raise RuntimeError(f"rrelu: the bounds must be finite, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    kind = input._data.dtype if input._data.dtype.itemsize >= 4 else np.dtype(np.float32)
    draws = default_generator.uniform(input.numel(), kind.type).reshape(input.shape)
    slopes = Tensor._wrap((lower + draws * (upper - lower)).astype(input._data.dtype)).to(input.device)
    return maybe_in_place(input, inplace, lambda x: e.where(e.gt(x, 0), x, e.mul(slopes, x)))


def maybe_in_place(input: Any, inplace: bool, function: Callable[..., Any], *args: Any) -> Any:
    """The function's result, written into `input` where the caller asks for that."""
    if not inplace:
        return function(input, *args)
    check_writable(input)
    # The derivative may need the input, which is about to be overwritten.
    kept = input.clone() if input.requires_grad and modes.flags & GRAD else input
    return commit(input, function(kept, *args))


def _hardtanh(input: Any, low: float, high: float) -> Any:
    if getattr(input, "_data", input).dtype.kind in "iu":
        return e.clamp(input, int(low), int(high))
    inside = e.logical_and(e.gt(input, low), e.lt(input, high))
    return e.where(inside, input, e.clamp(_still(input), low, high))


def _hardsigmoid(input: Any) -> Any:
    return e.true_divide(_hardtanh(e.add(input, 3.0), 0.0, 6.0), 6.0)


def _still(input: Any) -> Any:
    """The values, through which no gradient flows."""
    return input.detach() if isinstance(input, Tensor) else input


def _refuse_bool(name: str, input: Any) -> None:
    if getattr(input, "_data", input).dtype == np.bool_:
        raise RuntimeError(f"{name}: boolean tensors are not supported")
