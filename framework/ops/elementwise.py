"""Elementwise arithmetic, comparisons and mathematical functions, with their derivatives."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, COMPLEX, as_dtype
from framework.core.op import Array, op

# -- arithmetic -----------------------------------------------------------------------------------------------------


@op(kind="promote", ufunc="add", inplace=True)
def add(xp: Any, input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`input + alpha * other`."""
    return xp.add(input, other) if alpha == 1 else xp.add(input, _scaled(xp, other, alpha))


@add.vjp("input")
def _(g: Any) -> Any:
    return g


@add.vjp("other")
def _(g: Any, alpha: Any) -> Any:
    return g if alpha == 1 else mul(g, _conjugate_number(alpha))


@op(kind="promote", ufunc="subtract", inplace=True, aliases="subtract")
def sub(xp: Any, input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`input - alpha * other`."""
    if getattr(input, "dtype", None) == np.bool_ and getattr(other, "dtype", None) == np.bool_:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    return xp.subtract(input, other) if alpha == 1 else xp.subtract(input, _scaled(xp, other, alpha))


@sub.vjp("input")
def _(g: Any) -> Any:
    return g


@sub.vjp("other")
def _(g: Any, alpha: Any) -> Any:
    return neg(g) if alpha == 1 else mul(g, -_conjugate_number(alpha))


@op(kind="promote", inplace=True)
def rsub(xp: Any, input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`other - alpha * input`."""
    return xp.subtract(other, _scaled(xp, input, alpha))


@rsub.vjp("input")
def _(g: Any, alpha: Any) -> Any:
    return mul(g, -_conjugate_number(alpha))


@rsub.vjp("other")
def _(g: Any) -> Any:
    return g


@op(kind="promote", ufunc="multiply", inplace=True, aliases="multiply")
def mul(xp: Any, input: Array, other: Array) -> Array:
    """`input * other`."""
    return xp.multiply(input, other)


@mul.vjp("input")
def _(g: Any, other: Any) -> Any:
    return mul(g, conj(other))


@mul.vjp("other")
def _(g: Any, input: Any) -> Any:
    return mul(g, conj(input))


@op(kind="float", inplace=True)
def true_divide(xp: Any, input: Array, other: Array) -> Array:
    """`input / other`; integers divide into the default floating type."""
    return xp.true_divide(input, other)


@true_divide.vjp("input")
def _(g: Any, other: Any) -> Any:
    return div(g, conj(other))


@true_divide.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return neg(div(mul(g, conj(input)), conj(mul(other, other))))


@op(kind="promote", inplace=True)
def floor_divide(xp: Any, input: Array, other: Array) -> Array:
    """The quotient rounded towards minus infinity."""
    _refuse_integer_zero(xp, input, other)
    return xp.floor_divide(input, other)


@op(kind="promote", inplace=True, method=False)
def trunc_divide(xp: Any, input: Array, other: Array) -> Array:
    """The quotient rounded towards zero."""
    _refuse_integer_zero(xp, input, other)
    quotient = xp.trunc(xp.true_divide(input, other))
    return quotient.astype(input.dtype if hasattr(input, "dtype") else other.dtype)


for _function in (floor_divide, trunc_divide):
    _function.vjp("input")(lambda g: 0 * g)
    _function.vjp("other")(lambda g: 0 * g)


@op(kind="promote", inplace=True)
def remainder(xp: Any, input: Array, other: Array) -> Array:
    """Python's modulus: the sign of the divisor."""
    _refuse_integer_zero(xp, input, other)
    return xp.remainder(input, other)


@remainder.vjp("input")
def _(g: Any) -> Any:
    return g


@remainder.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return neg(mul(g, floor_divide(input, other)))


@op(kind="promote", inplace=True)
def fmod(xp: Any, input: Array, other: Array) -> Array:
    """C's modulus: the sign of the dividend."""
    _refuse_integer_zero(xp, input, other)
    return xp.fmod(input, other)


@fmod.vjp("input")
def _(g: Any) -> Any:
    return g


@fmod.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return neg(mul(g, trunc(div(input, other))))


@op(kind="promote", inplace=True)
def pow(xp: Any, input: Array, exponent: Array) -> Array:
    """`input` to the power `exponent`."""
    if isinstance(exponent, int) and exponent < 0 and CATEGORY[input.dtype] < 2:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return xp.power(input, exponent)


@pow.vjp("input")
def _(g: Any, input: Any, exponent: Any) -> Any:
    if isinstance(exponent, int | float | complex):
        if exponent == 0:
            return mul(g, 0)
        return mul(g, conj(mul(pow(input, exponent - 1), exponent)))
    safe = where(eq(exponent, 0), 1, exponent)
    return where(eq(exponent, 0), 0 * g, mul(g, conj(mul(exponent, pow(input, sub(safe, 1))))))


@pow.vjp("exponent")
def _(g: Any, input: Any, exponent: Any, out: Any) -> Any:
    if isinstance(input, int | float | complex):
        return mul(g, conj(mul(out, _log_number(input))))
    zero = eq(input, 0)
    grad = mul(g, conj(mul(out, log(where(zero, 1, input)))))
    return where(zero, 0 * g, grad)


@op(kind="promote", inplace=True)
def maximum(xp: Any, input: Array, other: Array) -> Array:
    """The larger of each pair; NaN where one is NaN."""
    return xp.maximum(input, other)


@op(kind="promote", inplace=True)
def minimum(xp: Any, input: Array, other: Array) -> Array:
    """The smaller of each pair; NaN where one is NaN."""
    return xp.minimum(input, other)


def _pick(g: Any, mine: Any, other: Any, wins: Any) -> Any:
    """The gradient of an elementwise choice; a tie is shared."""
    return mul(g, where(eq(mine, other), 0.5, where(wins(mine, other), 1.0, 0.0)))


@maximum.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, input, other, gt)


@maximum.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, other, input, gt)


@minimum.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, input, other, lt)


@minimum.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, other, input, lt)


@op(kind="float", inplace=True, aliases="arctan2")
def atan2(xp: Any, input: Array, other: Array) -> Array:
    """The angle of the point (`other`, `input`), in radians."""
    return xp.arctan2(input, other)


@atan2.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return div(mul(g, other), add(mul(input, input), mul(other, other)))


@atan2.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return neg(div(mul(g, input), add(mul(input, input), mul(other, other))))


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """`input / other`, rounded as `rounding_mode` says (None, "floor" or "trunc")."""
    kinds = {None: true_divide, "floor": floor_divide, "trunc": trunc_divide}
    if rounding_mode not in kinds:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return kinds[rounding_mode](input, other) if out is None else kinds[rounding_mode](input, other, out=out)


# -- comparisons and logic --------------------------------------------------------------------------------------------


@op(kind="bool", ufunc="equal")
def eq(xp: Any, input: Array, other: Array) -> Array:
    """Where the two are equal."""
    return xp.equal(input, other)


@op(kind="bool", ufunc="not_equal", aliases="not_equal")
def ne(xp: Any, input: Array, other: Array) -> Array:
    """Where the two differ."""
    return xp.not_equal(input, other)


@op(kind="bool", ufunc="less", aliases="less")
def lt(xp: Any, input: Array, other: Array) -> Array:
    """Where the first is less."""
    return xp.less(input, other)


@op(kind="bool", ufunc="less_equal", aliases="less_equal")
def le(xp: Any, input: Array, other: Array) -> Array:
    """Where the first is less or equal."""
    return xp.less_equal(input, other)


@op(kind="bool", ufunc="greater", aliases="greater")
def gt(xp: Any, input: Array, other: Array) -> Array:
    """Where the first is greater."""
    return xp.greater(input, other)


@op(kind="bool", ufunc="greater_equal", aliases="greater_equal")
def ge(xp: Any, input: Array, other: Array) -> Array:
    """Where the first is greater or equal."""
    return xp.greater_equal(input, other)


@op(kind="bool")
def logical_and(xp: Any, input: Array, other: Array) -> Array:
    """Where both are true (not zero)."""
    return xp.logical_and(input, other)


@op(kind="bool")
def logical_or(xp: Any, input: Array, other: Array) -> Array:
    """Where one or both are true (not zero)."""
    return xp.logical_or(input, other)


@op(kind="bool")
def logical_xor(xp: Any, input: Array, other: Array) -> Array:
    """Where exactly one is true (not zero)."""
    return xp.logical_xor(input, other)


@op(kind="bool")
def logical_not(xp: Any, input: Array) -> Array:
    """Where it is false (zero)."""
    return xp.logical_not(input)


@op(kind="promote", inplace=True)
def bitwise_and(xp: Any, input: Array, other: Array) -> Array:
    """Bits set in both."""
    return xp.bitwise_and(input, other)


@op(kind="promote", inplace=True)
def bitwise_or(xp: Any, input: Array, other: Array) -> Array:
    """Bits set in one or both."""
    return xp.bitwise_or(input, other)


@op(kind="promote", inplace=True)
def bitwise_xor(xp: Any, input: Array, other: Array) -> Array:
    """Bits set in exactly one."""
    return xp.bitwise_xor(input, other)


@op(inplace=True)
def bitwise_not(xp: Any, input: Array) -> Array:
    """Every bit turned."""
    return xp.invert(input)


@op
def isnan(xp: Any, input: Array) -> Array:
    """Where it is NaN."""
    return xp.isnan(input) if CATEGORY[input.dtype] > 1 else xp.zeros(input.shape, bool)


@op
def isinf(xp: Any, input: Array) -> Array:
    """Where it is plus or minus infinity."""
    return xp.isinf(input) if CATEGORY[input.dtype] > 1 else xp.zeros(input.shape, bool)


@op
def isfinite(xp: Any, input: Array) -> Array:
    """Where it is neither NaN nor infinite."""
    return xp.isfinite(input) if CATEGORY[input.dtype] > 1 else xp.ones(input.shape, bool)


# -- sign, rounding, complex parts --------------------------------------------------------------------------------------


@op(inplace=True, ufunc="negative", aliases="negative")
def neg(xp: Any, input: Array) -> Array:
    """`-input`."""
    if input.dtype == np.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
            "`~` or `logical_not()` operator instead."
        )
    return xp.negative(input)


@neg.vjp("input")
def _(g: Any) -> Any:
    return neg(g)


@op(inplace=True, aliases="absolute")
def abs(xp: Any, input: Array) -> Array:
    """The magnitude."""
    return xp.abs(input)


@abs.vjp("input")
def _(g: Any, input: Any) -> Any:
    return mul(g, sgn(input))


@op(inplace=True)
def sgn(xp: Any, input: Array) -> Array:
    """The sign; for complex numbers the point on the unit circle."""
    return xp.sign(input)


@sgn.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    if getattr(input, "_data", input).dtype.kind != "c":
        return 0 * g
    size = abs(input)
    inward = mul(real(mul(conj(out), g)), out)
    return where(eq(size, 0), 0 * g, div(sub(g, inward), where(eq(size, 0), 1, size)))


@op(inplace=True)
def sign(xp: Any, input: Array) -> Array:
    """-1, 0 or 1."""
    return xp.sign(input)


def _piecewise_constant(function: Any) -> None:
    function.vjp("input")(lambda g: 0 * g)


_piecewise_constant(sign)


@op(inplace=True)
def floor(xp: Any, input: Array) -> Array:
    """The largest integer not above."""
    return xp.floor(input) if CATEGORY[input.dtype] > 1 else input.copy()


@op(inplace=True)
def ceil(xp: Any, input: Array) -> Array:
    """The smallest integer not below."""
    return xp.ceil(input) if CATEGORY[input.dtype] > 1 else input.copy()


@op(inplace=True)
def trunc(xp: Any, input: Array) -> Array:
    """The integer part."""
    return xp.trunc(input) if CATEGORY[input.dtype] > 1 else input.copy()


@op(inplace=True)
def round(xp: Any, input: Array, *, decimals: int = 0) -> Array:
    """The nearest value of so many decimals; halves go to the even one."""
    return xp.round(input, decimals)


for _function in (floor, ceil, trunc, round):
    _piecewise_constant(_function)


def conj(input: Any) -> Any:
    """The complex conjugate; real tensors come back as they are."""
    kind = getattr(getattr(input, "_data", input), "dtype", None)
    if kind is None:
        return input.conjugate() if isinstance(input, complex) else input
    return _conj(input) if kind.kind == "c" else input


@op(method=False)
def _conj(xp: Any, input: Array) -> Array:
    """The complex conjugate."""
    return xp.conj(input)


@_conj.vjp("input")
def _(g: Any) -> Any:
    return conj(g)


@op(view=True)
def real(xp: Any, input: Array) -> Array:
    """The real part."""
    return input.real if input.dtype.kind == "c" else input[...]


@real.vjp("input")
def _(g: Any) -> Any:
    return g


@op(view=True)
def imag(xp: Any, input: Array) -> Array:
    """The imaginary part of a complex tensor."""
    if input.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return input.imag


@imag.vjp("input")
def _(g: Any) -> Any:
    return mul(g, 1j)


# -- exponentials, powers, trigonometry -----------------------------------------------------------------------------------


@op(kind="float", inplace=True)
def exp(xp: Any, input: Array) -> Array:
    """e to the power."""
    return xp.exp(input)


@exp.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(out))


@op(kind="float", inplace=True)
def exp2(xp: Any, input: Array) -> Array:
    """2 to the power."""
    return xp.exp2(input)


@exp2.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(mul(g, conj(out)), math.log(2))


@op(kind="float", inplace=True)
def expm1(xp: Any, input: Array) -> Array:
    """`exp(input) - 1`, exact near zero."""
    return xp.expm1(input)


@expm1.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(add(out, 1)))


@op(kind="float", inplace=True)
def log(xp: Any, input: Array) -> Array:
    """The natural logarithm."""
    return xp.log(input)


@log.vjp("input")
def _(g: Any, input: Any) -> Any:
    return div(g, conj(input))


@op(kind="float", inplace=True)
def log2(xp: Any, input: Array) -> Array:
    """The logarithm to base 2."""
    return xp.log2(input)


@log2.vjp("input")
def _(g: Any, input: Any) -> Any:
    return div(g, mul(conj(input), math.log(2)))


@op(kind="float", inplace=True)
def log10(xp: Any, input: Array) -> Array:
    """The logarithm to base 10."""
    return xp.log10(input)


@log10.vjp("input")
def _(g: Any, input: Any) -> Any:
    return div(g, mul(conj(input), math.log(10)))


@op(kind="float", inplace=True)
def log1p(xp: Any, input: Array) -> Array:
    """`log(1 + input)`, exact near zero."""
    return xp.log1p(input)


@log1p.vjp("input")
def _(g: Any, input: Any) -> Any:
    return div(g, conj(add(input, 1)))


@op(kind="float", inplace=True)
def sqrt(xp: Any, input: Array) -> Array:
    """The square root."""
    return xp.sqrt(input)


@sqrt.vjp("input")
def _(g: Any, out: Any) -> Any:
    return div(g, conj(mul(out, 2)))


@op(kind="float", inplace=True)
def rsqrt(xp: Any, input: Array) -> Array:
    """One over the square root."""
    return xp.reciprocal(xp.sqrt(input))


@rsqrt.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(mul(mul(mul(out, out), out), -0.5)))


@op(kind="float", inplace=True)
def reciprocal(xp: Any, input: Array) -> Array:
    """One over."""
    return xp.reciprocal(input)


@reciprocal.vjp("input")
def _(g: Any, out: Any) -> Any:
    return neg(mul(g, conj(mul(out, out))))


@op(inplace=True)
def square(xp: Any, input: Array) -> Array:
    """Times itself."""
    return xp.square(input) if input.dtype != np.bool_ else input.astype(np.int64)


@square.vjp("input")
def _(g: Any, input: Any) -> Any:
    return mul(g, conj(mul(input, 2)))


@op(kind="float", inplace=True)
def sin(xp: Any, input: Array) -> Array:
    """The sine of radians."""
    return xp.sin(input)


@sin.vjp("input")
def _(g: Any, input: Any) -> Any:
    return mul(g, conj(cos(input)))


@op(kind="float", inplace=True)
def cos(xp: Any, input: Array) -> Array:
    """The cosine of radians."""
    return xp.cos(input)


@cos.vjp("input")
def _(g: Any, input: Any) -> Any:
    return neg(mul(g, conj(sin(input))))


@op(kind="float", inplace=True)
def tan(xp: Any, input: Array) -> Array:
    """The tangent of radians."""
    return xp.tan(input)


@tan.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(add(mul(out, out), 1)))


@op(kind="float", inplace=True)
def tanh(xp: Any, input: Array) -> Array:
    """The hyperbolic tangent."""
    return xp.tanh(input)


@tanh.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(sub(1, mul(out, out))))


@op(kind="float", inplace=True)
def sigmoid(xp: Any, input: Array) -> Array:
    """`1 / (1 + exp(-input))`, without overflow."""
    if input.dtype.kind == "c":
        return 1 / (1 + xp.exp(-input))
    half = xp.exp(-xp.abs(input))
    return xp.where(input >= 0, 1, half) / (1 + half)


@sigmoid.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, conj(mul(out, sub(1, out))))


@op(kind="float", inplace=True)
def erf(xp: Any, input: Array) -> Array:
    """The error function."""
    return _scipy_special(xp).erf(input)


@erf.vjp("input")
def _(g: Any, input: Any) -> Any:
    return mul(g, mul(exp(neg(mul(input, input))), 2 / math.sqrt(math.pi)))


# -- activations ------------------------------------------------------------------------------------------------------------


@op(inplace=True)
def relu(xp: Any, input: Array) -> Array:
    """`max(input, 0)`."""
    return xp.maximum(input, 0)


@relu.vjp("input")
def _(g: Any, out: Any) -> Any:
    return mul(g, gt(out, 0))


@op(inplace=True, method=False)
def leaky_relu(xp: Any, input: Array, negative_slope: float = 0.01) -> Array:
    """`input` where positive, `negative_slope * input` elsewhere."""
    return xp.where(input > 0, input, input * negative_slope)


@leaky_relu.vjp("input")
def _(g: Any, input: Any, negative_slope: Any) -> Any:
    return leaky_relu_grad(g, input, negative_slope)


@op(method=False)
def leaky_relu_grad(xp: Any, g: Array, input: Array, negative_slope: float) -> Array:
    """The gradient of leaky_relu: `g` where the input is positive, times the slope elsewhere."""
    return xp.where(input > 0, g, g * negative_slope)


@leaky_relu_grad.vjp("g")
def _(g: Any, input: Any, negative_slope: Any) -> Any:
    return leaky_relu_grad(g, input, negative_slope)


@op(method=False, inplace=True)
def elu(xp: Any, input: Array, alpha: float = 1.0) -> Array:
    """`input` where positive, `alpha * (exp(input) - 1)` elsewhere (Clevert et al. 2016)."""
    return xp.where(input > 0, input, alpha * xp.expm1(xp.minimum(input, 0)))


@elu.vjp("input")
def _(g: Any, input: Any, alpha: Any) -> Any:
    return mul(g, where(gt(input, 0), 1.0, mul(exp(minimum(input, 0.0)), alpha)))


@op(method=False)
def softplus(xp: Any, input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """`log(1 + exp(beta * input)) / beta`; the input itself where `beta * input` exceeds the threshold."""
    scaled = input * beta
    return xp.where(scaled > threshold, input, xp.logaddexp(scaled, 0).astype(input.dtype) / beta)


@softplus.vjp("input")
def _(g: Any, input: Any, beta: Any, threshold: Any) -> Any:
    scaled = mul(input, beta)
    return mul(g, where(gt(scaled, threshold), 1.0, sigmoid(scaled)))


@op(method=False)
def silu(xp: Any, input: Array) -> Array:
    """`input * sigmoid(input)`, also called swish."""
    return input * sigmoid(input)


@silu.vjp("input")
def _(g: Any, input: Any) -> Any:
    gate = sigmoid(input)
    return mul(g, mul(gate, add(1, mul(input, sub(1, gate)))))


@op(method=False)
def gelu(xp: Any, input: Array, *, approximate: str = "none") -> Array:
    """The Gaussian error linear unit (Hendrycks and Gimpel 2016); `approximate` "none" or "tanh"."""
    if approximate == "none":
        return (input * 0.5 * (1 + _scipy_special(xp).erf(input * math.sqrt(0.5)))).astype(input.dtype)
    if approximate != "tanh":
        raise RuntimeError(f"approximate argument must be either none or tanh, got '{approximate}'")
    return 0.5 * input * (1 + xp.tanh(math.sqrt(2 / math.pi) * (input + 0.044715 * input**3)))


@gelu.vjp("input")
def _(g: Any, input: Any, approximate: Any) -> Any:
    if approximate == "none":
        cumulative = mul(add(erf(mul(input, math.sqrt(0.5))), 1), 0.5)
        density = mul(exp(mul(mul(input, input), -0.5)), 1 / math.sqrt(2 * math.pi))
        return mul(g, add(cumulative, mul(input, density)))
    inner = mul(add(input, mul(pow(input, 3), 0.044715)), math.sqrt(2 / math.pi))
    level = tanh(inner)
    slope = mul(add(mul(mul(input, input), 3 * 0.044715), 1), math.sqrt(2 / math.pi))
    right = mul(mul(mul(input, 0.5), sub(1, mul(level, level))), slope)
    return mul(g, add(mul(add(level, 1), 0.5), right))


# -- choice, limits, conversion -----------------------------------------------------------------------------------------------


@op(method=False)
def _where(xp: Any, condition: Array, input: Array, other: Array) -> Array:
    """The first where the condition holds, the second elsewhere."""
    return xp.where(condition, input, other)


@_where.vjp("input")
def _(g: Any, condition: Any) -> Any:
    return _where(condition, g, 0 * g)


@_where.vjp("other")
def _(g: Any, condition: Any) -> Any:
    return _where(condition, 0 * g, g)


@op(kind="promote", method=False)
def _meet(xp: Any, input: Array, other: Array) -> tuple[Array, Array]:
    """Both, in the type they promote to."""
    return xp.asarray(input), xp.asarray(other)


@_meet.vjp()
def _(g: Any) -> Any:
    return g


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere; the indices of true elements with one argument."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    kinds = [getattr(getattr(value, "_data", value), "dtype", None) for value in (input, other)]
    if kinds[0] is None and kinds[1] is None or kinds[0] != kinds[1]:
        scalar = [kind is None for kind in kinds]
        if any(scalar) and not all(scalar):
            kind = kinds[0] or kinds[1]
            values = [_weak(value, kind) if lone else value for value, lone in zip((input, other), scalar)]
            if all(getattr(getattr(v, "_data", v), "dtype", None) == kind for v in values):
                return _where(condition, *values)
            input, other = values
        input, other = _meet_any(input, other)
    return _where(condition, input, other)


def _weak(value: Any, dtype: Any) -> Any:
    """A Python number as a 0-d array of the other side's type, where its category allows that."""
    from framework.core.dtype import category_of_number

    if category_of_number(value) <= CATEGORY[dtype]:
        return np.asarray(value).astype(dtype)
    return value


def _meet_any(input: Any, other: Any) -> Any:
    if hasattr(input, "_data") or hasattr(other, "_data"):
        return _meet(input, other)
    from framework.core.dtype import result_dtype

    dtype = result_dtype((input, other))
    return np.asarray(input).astype(dtype), np.asarray(other).astype(dtype)


@op(inplace=True)
def masked_fill(xp: Any, input: Array, mask: Array, value: Array) -> Array:
    """`value` where the mask holds, `input` elsewhere."""
    if mask.dtype != np.bool_:
        raise RuntimeError(f"masked_fill only supports boolean masks, but got mask with dtype {mask.dtype}")
    return xp.where(mask, xp.asarray(value).astype(input.dtype), input)


@masked_fill.vjp("input")
def _(g: Any, mask: Any) -> Any:
    return _where(mask, 0 * g, g)


@masked_fill.vjp("value")
def _(g: Any, mask: Any) -> Any:
    return _where(mask, g, 0 * g)


@op(kind="promote", method=False)
def _clamp(xp: Any, input: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Limited from below and above."""
    result = input
    if min is not None:
        result = xp.maximum(result, min)
    if max is not None:
        result = xp.minimum(result, max)
    return result


@_clamp.vjp("input")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    inside = None
    if min is not None:
        inside = ge(input, min)
    if max is not None:
        inside = le(input, max) if inside is None else logical_and(inside, le(input, max))
    return mul(g, inside)


@_clamp.vjp("min")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    bites = lt(input, min)
    return mul(g, bites if max is None else logical_and(bites, lt(min, max)))


@_clamp.vjp("max")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    bites = gt(input, max)
    return mul(g, bites if min is None else logical_or(bites, gt(min, max)))


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """`input` limited to [min, max]; either may be missing, not both."""
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of 'min' or 'max' must not be None")
    return _clamp(input, min, max)


@op(method=False)
def to_dtype(xp: Any, input: Array, dtype: Any) -> Array:
    """A copy in another type (a NumPy dtype or one of ours)."""
    wanted = as_dtype(dtype).numpy_dtype
    if input.dtype.kind == "c" and CATEGORY[wanted] != COMPLEX:
        input = input.real
    if wanted.kind in "iu" and input.dtype.kind in "fV" and xp is np:
        with np.errstate(invalid="ignore"):
            return input.astype(np.int64).astype(wanted)
    return input.astype(wanted)


@to_dtype.vjp("input")
def _(g: Any) -> Any:
    return g  # the engine brings it to the input's type


@op(method=False)
def to_device(xp: Any, input: Array, target: Any) -> Array:
    """A copy on another device."""
    from framework.core.device import move

    return move(input, target)


@to_device.vjp("input")
def _(g: Any, target: Any) -> Any:
    from framework.core.device import device_of
    from framework.core.tensor import CPU

    here = CPU if target.type == "cuda" else device_of(getattr(g, "_data", g))
    return g.to(here) if hasattr(g, "_data") else to_device(g, here)


@op
def clone(xp: Any, input: Array) -> Array:
    """A copy that keeps the memory layout."""
    return input.copy(order="K")


@clone.vjp("input")
def _(g: Any) -> Any:
    return g


# -- helpers --------------------------------------------------------------------------------------------------------------------


def _scaled(xp: Any, value: Any, alpha: Any) -> Any:
    return xp.multiply(value, alpha) if hasattr(value, "dtype") else value * alpha


def _conjugate_number(number: Any) -> Any:
    return number.conjugate() if isinstance(number, complex) else number


def _log_number(number: Any) -> Any:
    if isinstance(number, complex):
        return np.log(number)
    return math.log(number) if number > 0 else (0.0 if number == 0 else math.nan)


def _refuse_integer_zero(xp: Any, input: Any, other: Any) -> None:
    """torch raises where NumPy would warn and return zero."""
    dtype = getattr(input, "dtype", None) or other.dtype
    if CATEGORY[dtype] < 2 and xp is np and not np.all(other):
        raise RuntimeError("ZeroDivisionError")


def _scipy_special(xp: Any) -> Any:
    if xp is np:
        import scipy.special as special
    else:
        import cupyx.scipy.special as special
    return special
