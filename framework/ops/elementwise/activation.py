"""Activations of neural networks."""

import math
from typing import Any

from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.elementwise.transcendental import scipy_special


@op(inplace=True)
def relu(xp: Any, input: Array) -> Array:
    """`max(input, 0)`."""
    return xp.maximum(input, 0)


@relu.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.gt(out, 0))


@op(inplace=True, method=False, wide=True)
def leaky_relu(xp: Any, input: Array, negative_slope: float = 0.01) -> Array:
    """`input` where positive, `negative_slope * input` elsewhere."""
    return xp.where(input > 0, input, input * negative_slope).astype(input.dtype, copy=False)


@leaky_relu.vjp("input")
def _(g: Any, input: Any, negative_slope: Any) -> Any:
    return leaky_relu_grad(g, input, negative_slope)


@op(method=False, wide=True)
def leaky_relu_grad(xp: Any, g: Array, input: Array, negative_slope: float) -> Array:
    """The gradient of leaky_relu: `g` where the input is positive, times the slope elsewhere."""
    return xp.where(input > 0, g, g * negative_slope).astype(g.dtype, copy=False)


@leaky_relu_grad.vjp("g")
def _(g: Any, input: Any, negative_slope: Any) -> Any:
    return leaky_relu_grad(g, input, negative_slope)


@op(method=False, inplace=True, wide=True)
def elu(xp: Any, input: Array, alpha: float = 1.0) -> Array:
    """`input` where positive, `alpha * (exp(input) - 1)` elsewhere (Clevert et al. 2016)."""
    return xp.where(input > 0, input, alpha * xp.expm1(xp.minimum(input, 0))).astype(input.dtype, copy=False)


@elu.vjp("input")
def _(g: Any, input: Any, alpha: Any) -> Any:
    return e.mul(g, e.where(e.gt(input, 0), 1.0, e.mul(e.exp(e.minimum(input, 0.0)), alpha)))


@op(method=False, wide=True)
def softplus(xp: Any, input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """`log(1 + exp(beta * input)) / beta`; the input itself where `beta * input` exceeds the threshold."""
    scaled = input * beta
    return xp.where(scaled > threshold, input, xp.logaddexp(scaled, 0) / beta).astype(input.dtype, copy=False)


@softplus.vjp("input")
def _(g: Any, input: Any, beta: Any, threshold: Any) -> Any:
    scaled = e.mul(input, beta)
    return e.mul(g, e.where(e.gt(scaled, threshold), 1.0, e.sigmoid(scaled)))


@op(method=False, wide=True)
def silu(xp: Any, input: Array) -> Array:
    """`input * sigmoid(input)`, also called swish."""
    return input * e.sigmoid(input)


@silu.vjp("input")
def _(g: Any, input: Any) -> Any:
    return silu_grad(g, input)


@op(method=False, wide=True)
def silu_grad(xp: Any, g: Array, input: Array) -> Array:
    """`g` times the derivative of silu."""
    return _silu_slope(g, input)


silu_grad.vjp("g")(lambda v, input: silu_grad(v, input))


@silu_grad.vjp("input")
def _(v: Any, g: Any, input: Any) -> Any:
    gate = e.sigmoid(input)
    twice = e.mul(e.mul(gate, e.sub(1, gate)), e.add(2, e.mul(input, e.sub(1, e.mul(2, gate)))))
    return e.mul(e.mul(v, g), twice)


def _silu_slope(g: Any, input: Any) -> Any:
    gate = e.sigmoid(input)
    return e.mul(g, e.mul(gate, e.add(1, e.mul(input, e.sub(1, gate)))))


@op(method=False, wide=True)
def gelu(xp: Any, input: Array, *, approximate: str = "none") -> Array:
    """The Gaussian error linear unit (Hendrycks and Gimpel 2016); `approximate` "none" or "tanh"."""
    if approximate == "none":
        return (input * 0.5 * (1 + scipy_special(xp).erf(input * math.sqrt(0.5)))).astype(input.dtype)
    if approximate != "tanh":
        raise RuntimeError(f"approximate argument must be either none or tanh, got '{approximate}'")
    level = xp.tanh(math.sqrt(2 / math.pi) * (input + 0.044715 * input**3))
    return (0.5 * input * (1 + level)).astype(input.dtype, copy=False)


@gelu.vjp("input")
def _(g: Any, input: Any, approximate: Any) -> Any:
    return gelu_grad(g, input, approximate=approximate)


@op(method=False, wide=True)
def gelu_grad(xp: Any, g: Array, input: Array, *, approximate: str) -> Array:
    """`g` times the derivative of gelu."""
    return _gelu_slope(g, input, approximate)


gelu_grad.vjp("g")(lambda v, input, approximate: gelu_grad(v, input, approximate=approximate))


@gelu_grad.vjp("input")
def _(v: Any, g: Any, input: Any, approximate: Any) -> Any:
    if approximate == "none":
        density = e.mul(e.exp(e.mul(e.mul(input, input), -0.5)), 1 / math.sqrt(2 * math.pi))
        return e.mul(e.mul(v, g), e.mul(density, e.sub(2, e.mul(input, input))))
    level, slope = _tanh_gelu(input)
    bend = e.mul(input, math.sqrt(2 / math.pi) * 6 * 0.044715)
    curve = e.sub(bend, e.mul(e.mul(2, level), e.mul(slope, slope)))
    second = e.mul(e.sub(1, e.mul(level, level)), e.add(slope, e.mul(e.mul(input, 0.5), curve)))
    return e.mul(e.mul(v, g), second)


def _gelu_slope(g: Any, input: Any, approximate: str) -> Any:
    if approximate == "none":
        cumulative = e.mul(e.add(e.erf(e.mul(input, math.sqrt(0.5))), 1), 0.5)
        density = e.mul(e.exp(e.mul(e.mul(input, input), -0.5)), 1 / math.sqrt(2 * math.pi))
        return e.mul(g, e.add(cumulative, e.mul(input, density)))
    level, slope = _tanh_gelu(input)
    right = e.mul(e.mul(e.mul(input, 0.5), e.sub(1, e.mul(level, level))), slope)
    return e.mul(g, e.add(e.mul(e.add(level, 1), 0.5), right))


def _tanh_gelu(input: Any) -> tuple[Any, Any]:
    """The hyperbolic tangent in the approximate gelu, and the derivative of its argument."""
    inner = e.mul(e.add(input, e.mul(e.pow(input, 3), 0.044715)), math.sqrt(2 / math.pi))
    return e.tanh(inner), e.mul(e.add(e.mul(e.mul(input, input), 3 * 0.044715), 1), math.sqrt(2 / math.pi))
