"""Sums, products, quotients, powers, and the larger or smaller of two."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY
from framework.core.half import half_type, rounded, widened
from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(kind="promote", ufunc="add", inplace=True)
def add(xp: Any, input: Array, other: Array, *, alpha: Any = 1) -> Array:
    """`input + alpha * other`."""
    return xp.add(input, other) if alpha == 1 else _sum_scaled(xp, input, other, alpha)


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
    return xp.subtract(input, other) if alpha == 1 else _sum_scaled(xp, input, other, -alpha)


@sub.vjp("input")
def _(g: Any) -> Any:
    return g


@sub.vjp("other")
def _(g: Any, alpha: Any) -> Any:
    return e.neg(g) if alpha == 1 else mul(g, -_conjugate_number(alpha))


@op(kind="promote", inplace=True, wide=True)
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
    return mul(g, e.conj(other))


@mul.vjp("other")
def _(g: Any, input: Any) -> Any:
    return mul(g, e.conj(input))


@op(kind="float", inplace=True)
def true_divide(xp: Any, input: Array, other: Array) -> Array:
    """`input / other`; integers divide into the default floating type."""
    return xp.true_divide(input, other)


@true_divide.vjp("input")
def _(g: Any, other: Any) -> Any:
    return div(g, e.conj(other))


@true_divide.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(div(mul(g, e.conj(input)), e.conj(mul(other, other))))


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


@op(kind="promote", inplace=True, wide=True)
def remainder(xp: Any, input: Array, other: Array) -> Array:
    """Python's modulus: the sign of the divisor."""
    _refuse_integer_zero(xp, input, other)
    return xp.remainder(input, other)


@remainder.vjp("input")
def _(g: Any) -> Any:
    return g


@remainder.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(mul(g, floor_divide(input, other)))


@op(kind="promote", inplace=True, wide=True)
def fmod(xp: Any, input: Array, other: Array) -> Array:
    """C's modulus: the sign of the dividend."""
    _refuse_integer_zero(xp, input, other)
    return xp.fmod(input, other)


@fmod.vjp("input")
def _(g: Any) -> Any:
    return g


@fmod.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(mul(g, e.trunc(div(input, other))))


@op(kind="promote", inplace=True, autocast="cuda:float32")
def pow(xp: Any, input: Array, exponent: Array) -> Array:
    """`input` to the power `exponent`."""
    if isinstance(exponent, int) and exponent < 0 and CATEGORY[input.dtype] < 2:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    dtype = getattr(input, "dtype", None) or exponent.dtype
    if CATEGORY[dtype] < 2 and not isinstance(exponent, int) and (exponent < 0).any():
        parity = xp.where(exponent % 2 == 0, 1, input)  # what is not 1 or -1 has no whole reciprocal
        below = xp.where(xp.abs(input) == 1, parity, 0)
        return xp.where(exponent < 0, below, xp.power(input, xp.maximum(exponent, 0))).astype(dtype)
    return xp.power(input, exponent)


@pow.vjp("input")
def _(g: Any, input: Any, exponent: Any) -> Any:
    if isinstance(exponent, int | float | complex):
        if exponent == 0:
            return mul(g, 0)
        return mul(g, e.conj(mul(pow(input, exponent - 1), exponent)))
    safe = e.where(e.eq(exponent, 0), 1, exponent)
    return e.where(e.eq(exponent, 0), 0 * g, mul(g, e.conj(mul(exponent, pow(input, sub(safe, 1))))))


@pow.vjp("exponent")
def _(g: Any, input: Any, exponent: Any, out: Any) -> Any:
    if isinstance(input, int | float | complex):
        return mul(g, e.conj(mul(out, _log_number(input))))
    zero = e.eq(input, 0)
    grad = mul(g, e.conj(mul(out, e.log(e.where(zero, 1, input)))))
    return e.where(zero, 0 * g, grad)


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
    return mul(g, e.where(e.eq(mine, other), 0.5, e.where(wins(mine, other), 1.0, 0.0)))


@maximum.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, input, other, e.gt)


@maximum.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, other, input, e.gt)


@minimum.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, input, other, e.lt)


@minimum.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return _pick(g, other, input, e.lt)


@op(kind="float", inplace=True, aliases="arctan2", autocast="cuda:widest")
def atan2(xp: Any, input: Array, other: Array) -> Array:
    """The angle of the point (`other`, `input`), in radians."""
    return xp.arctan2(input, other)


@atan2.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    return div(mul(g, other), add(mul(input, input), mul(other, other)))


@atan2.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(div(mul(g, input), add(mul(input, input), mul(other, other))))


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """`input / other`, rounded as `rounding_mode` says (None, "floor" or "trunc")."""
    kinds = {None: true_divide, "floor": floor_divide, "trunc": trunc_divide}
    if rounding_mode not in kinds:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return kinds[rounding_mode](input, other) if out is None else kinds[rounding_mode](input, other, out=out)


def _scaled(xp: Any, value: Any, alpha: Any) -> Any:
    return xp.multiply(value, alpha) if hasattr(value, "dtype") else value * alpha


def _sum_scaled(xp: Any, input: Any, other: Any, alpha: Any) -> Any:
    """`input + alpha * other`, rounded once in half precision."""
    kind = half_type((input, other))
    return rounded(xp.add(widened(input), _scaled(xp, widened(other), alpha)), kind)


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
