"""Functions of two or three values: lengths, sums in the logarithm, signs taken over, interpolation."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, COMPLEX, FLOATING
from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(kind="promote", inplace=True, wide=True)
def hypot(xp: Any, input: Array, other: Array) -> Array:
    """`sqrt(input**2 + other**2)`, without overflow."""
    return xp.hypot(input, other)


@hypot.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.div(input, out))


@hypot.vjp("other")
def _(g: Any, other: Any, out: Any) -> Any:
    return e.mul(g, e.div(other, out))


@op(kind="float")
def logaddexp(xp: Any, input: Array, other: Array) -> Array:
    """`log(exp(input) + exp(other))`, without overflow."""
    if input.dtype.kind != "c":
        return xp.logaddexp(input, other)
    above = xp.where(input.real >= other.real, input, other)
    below = xp.where(input.real >= other.real, other, input)
    return above + xp.log1p(xp.exp(below - above))


@logaddexp.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.div(g, e.conj(e.add(e.exp(e.sub(other, input)), 1)))


@logaddexp.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.div(g, e.conj(e.add(e.exp(e.sub(input, other)), 1)))


@op(kind="float")
def logaddexp2(xp: Any, input: Array, other: Array) -> Array:
    """`log2(2**input + 2**other)`, without overflow."""
    return xp.logaddexp2(input, other)


@logaddexp2.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.div(g, e.add(e.exp2(e.sub(other, input)), 1))


@logaddexp2.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.div(g, e.add(e.exp2(e.sub(input, other)), 1))


@op(kind="float", inplace=True)
def copysign(xp: Any, input: Array, other: Array) -> Array:
    """The magnitude of the first with the sign of the second."""
    return xp.copysign(input, other)


@copysign.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    zero = e.eq(input, 0)
    return e.where(zero, 0 * g, e.mul(g, e.div(out, e.where(zero, 1, input))))


@copysign.vjp("other")
def _(g: Any) -> Any:
    return 0 * g


@op(kind="promote", inplace=True)
def fmax(xp: Any, input: Array, other: Array) -> Array:
    """The larger of each pair; where one is NaN, the other."""
    return xp.fmax(input, other)


@op(kind="promote", inplace=True)
def fmin(xp: Any, input: Array, other: Array) -> Array:
    """The smaller of each pair; where one is NaN, the other."""
    return xp.fmin(input, other)


def _pick_rules(function: Any, wins: Any) -> None:
    """All of the gradient to the chosen one; the first on a tie."""

    def first(g: Any, input: Any, other: Any) -> Any:
        return e.where(e.logical_or(wins(input, other), e.isnan(other)), g, 0 * g)

    def second(g: Any, input: Any, other: Any) -> Any:
        return e.where(e.logical_or(wins(input, other), e.isnan(other)), 0 * g, g)

    function.vjp("input")(first)
    function.vjp("other")(second)


_pick_rules(fmax, e.ge)
_pick_rules(fmin, e.le)


@op(kind="promote", inplace=True)
def heaviside(xp: Any, input: Array, values: Array) -> Array:
    """0 below zero, 1 above, `values` at zero."""
    result = xp.where(input == 0, values, (input > 0).astype(input.dtype))
    return xp.where(xp.isnan(input), xp.zeros((), input.dtype), result) if CATEGORY[input.dtype] == FLOATING else result


@op(kind="promote", inplace=True)
def nextafter(xp: Any, input: Array, other: Array) -> Array:
    """The next number that the type can hold, from the first towards the second."""
    return xp.nextafter(input, other)


@nextafter.vjp("input")
def _(g: Any) -> Any:
    return g


@nextafter.vjp("other")
def _(g: Any) -> Any:
    return 0 * g


@op(kind="promote", inplace=True, wide=True)
def lerp(xp: Any, input: Array, end: Array, weight: Array) -> Array:
    """`input + weight * (end - input)`, exact at both ends."""
    span = end - input
    return xp.where(xp.abs(xp.asarray(weight)) < 0.5, input + weight * span, end - span * (1 - weight)).astype(
        span.dtype
    )


@lerp.vjp("input")
def _(g: Any, weight: Any) -> Any:
    return e.mul(g, e.conj(e.sub(1, weight)) if hasattr(weight, "dtype") else e.conj(1 - weight))


@lerp.vjp("end")
def _(g: Any, weight: Any) -> Any:
    return e.mul(g, e.conj(weight))


@lerp.vjp("weight")
def _(g: Any, input: Any, end: Any) -> Any:
    return e.mul(g, e.conj(e.sub(end, input)))


@op(kind="promote", inplace=True, autocast="cuda:widest", wide=True)
def addcmul(xp: Any, input: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Array:
    """`input + value * tensor1 * tensor2`."""
    return input + (tensor1 * tensor2 if value == 1 else value * tensor1 * tensor2)


@addcmul.vjp("input")
def _(g: Any) -> Any:
    return g


@addcmul.vjp("tensor1")
def _(g: Any, tensor2: Any, value: Any) -> Any:
    return e.mul(g, e.conj(e.mul(tensor2, value)))


@addcmul.vjp("tensor2")
def _(g: Any, tensor1: Any, value: Any) -> Any:
    return e.mul(g, e.conj(e.mul(tensor1, value)))


@op(kind="promote", inplace=True, autocast="cuda:widest", wide=True)
def addcdiv(xp: Any, input: Array, tensor1: Array, tensor2: Array, *, value: Any = 1) -> Array:
    """`input + value * tensor1 / tensor2`."""
    if CATEGORY[input.dtype] < FLOATING:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: convert the inputs to a floating type first."
        )
    return input + (tensor1 / tensor2 if value == 1 else value * (tensor1 / tensor2))


@addcdiv.vjp("input")
def _(g: Any) -> Any:
    return g


@addcdiv.vjp("tensor1")
def _(g: Any, tensor2: Any, value: Any) -> Any:
    return e.mul(g, e.conj(e.div(value, tensor2)))


@addcdiv.vjp("tensor2")
def _(g: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    return e.neg(e.mul(g, e.conj(e.div(e.mul(tensor1, value), e.mul(tensor2, tensor2)))))


@op(inplace=True)
def frac(xp: Any, input: Array) -> Array:
    """What is left of the integer part, with the sign of the input."""
    return input - xp.trunc(input)


@frac.vjp("input")
def _(g: Any) -> Any:
    return g


@op(inplace=True)
def nan_to_num(
    xp: Any, input: Array, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """NaN and infinities replaced: by zero and by the type's largest and smallest number when not given."""
    if CATEGORY[input.dtype] < FLOATING:
        return input.copy()
    if input.dtype.kind == "c":
        result = input.copy()
        result.real = _finite(xp, input.real, nan, posinf, neginf)
        result.imag = _finite(xp, input.imag, nan, posinf, neginf)
        return result
    return _finite(xp, input, nan, posinf, neginf)


@nan_to_num.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.isfinite(input))


def _finite(xp: Any, array: Any, nan: float | None, posinf: float | None, neginf: float | None) -> Any:
    import ml_dtypes

    limits = ml_dtypes.finfo(array.dtype)
    kind = array.dtype.type
    array = xp.where(xp.isnan(array), kind(0 if nan is None else nan), array)
    array = xp.where(array == math.inf, kind(limits.max if posinf is None else posinf), array)
    return xp.where(array == -math.inf, kind(limits.min if neginf is None else neginf), array)


def ldexp(input: Any, other: Any) -> Any:
    """`input * 2**other`."""
    return e.mul(input, e.pow(2.0, other))


def float_power(input: Any, exponent: Any) -> Any:
    """`input ** exponent`, computed in float64 (or complex128)."""
    wide = np.complex128 if COMPLEX in (_category(input), _category(exponent)) else np.float64
    base, power = (e.to_dtype(each, wide) if hasattr(each, "dtype") else each for each in (input, exponent))
    return e.pow(base, power)


def clamp_min(input: Any, min: Any) -> Any:
    """`input`, at least `min`."""
    return e.clamp(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """`input`, at most `max`."""
    return e.clamp(input, None, max)


def _category(value: Any) -> int:
    if not hasattr(value, "dtype"):
        return COMPLEX if isinstance(value, complex) else FLOATING
    return CATEGORY[getattr(value, "_data", value).dtype]
