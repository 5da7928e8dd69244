"""Exponentials, logarithms, roots, trigonometric functions and erf."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(kind="float", inplace=True, autocast="cuda:float32")
def exp(xp: Any, input: Array) -> Array:
    """e to the power."""
    return xp.exp(input)


@exp.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(out))


@op(kind="float", inplace=True)
def exp2(xp: Any, input: Array) -> Array:
    """2 to the power."""
    return xp.exp2(input)


@exp2.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(e.mul(g, e.conj(out)), math.log(2))


@op(kind="float", inplace=True, autocast="cuda:float32")
def expm1(xp: Any, input: Array) -> Array:
    """`exp(input) - 1`, exact near zero."""
    return xp.expm1(input)


@expm1.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(e.add(out, 1)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def log(xp: Any, input: Array) -> Array:
    """The natural logarithm."""
    return xp.log(input)


@log.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.conj(input))


@op(kind="float", inplace=True, autocast="cuda:float32")
def log2(xp: Any, input: Array) -> Array:
    """The logarithm to base 2."""
    return xp.log2(input)


@log2.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.mul(e.conj(input), math.log(2)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def log10(xp: Any, input: Array) -> Array:
    """The logarithm to base 10."""
    return xp.log10(input)


@log10.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.mul(e.conj(input), math.log(10)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def log1p(xp: Any, input: Array) -> Array:
    """`log(1 + input)`, exact near zero."""
    return xp.log1p(input)


@log1p.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.conj(e.add(input, 1)))


@op(kind="float", inplace=True)
def sqrt(xp: Any, input: Array) -> Array:
    """The square root."""
    return xp.sqrt(input)


@sqrt.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.div(g, e.conj(e.mul(out, 2)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def rsqrt(xp: Any, input: Array) -> Array:
    """One over the square root."""
    return xp.reciprocal(xp.sqrt(input))


@rsqrt.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(e.mul(e.mul(e.mul(out, out), out), -0.5)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def reciprocal(xp: Any, input: Array) -> Array:
    """One over."""
    return xp.reciprocal(input)


@reciprocal.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.neg(e.mul(g, e.conj(e.mul(out, out))))


@op(inplace=True)
def square(xp: Any, input: Array) -> Array:
    """Times itself."""
    return xp.square(input) if input.dtype != np.bool_ else input.astype(np.int64)


@square.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(e.mul(input, 2)))


@op(kind="float", inplace=True)
def sin(xp: Any, input: Array) -> Array:
    """The sine of radians."""
    return xp.sin(input)


@sin.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(cos(input)))


@op(kind="float", inplace=True)
def cos(xp: Any, input: Array) -> Array:
    """The cosine of radians."""
    return xp.cos(input)


@cos.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.neg(e.mul(g, e.conj(sin(input))))


@op(kind="float", inplace=True, autocast="cuda:float32")
def tan(xp: Any, input: Array) -> Array:
    """The tangent of radians."""
    return xp.tan(input)


@tan.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(e.add(e.mul(out, out), 1)))


@op(kind="float", inplace=True)
def tanh(xp: Any, input: Array) -> Array:
    """The hyperbolic tangent."""
    return xp.tanh(input)


@tanh.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(e.sub(1, e.mul(out, out))))


@op(kind="float", inplace=True)
def sigmoid(xp: Any, input: Array) -> Array:
    """`1 / (1 + exp(-input))`, without overflow."""
    if input.dtype.kind == "c":
        return 1 / (1 + xp.exp(-input))
    half = xp.exp(-xp.abs(input))
    return xp.where(input >= 0, 1, half) / (1 + half)


@sigmoid.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.conj(e.mul(out, e.sub(1, out))))


@op(kind="float", inplace=True)
def erf(xp: Any, input: Array) -> Array:
    """The error function."""
    return scipy_special(xp).erf(input)


@erf.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.mul(exp(e.neg(e.mul(input, input))), 2 / math.sqrt(math.pi)))


def scipy_special(xp: Any) -> Any:
    if xp is np:
        import scipy.special as special
    else:
        import cupyx.scipy.special as special
    return special
