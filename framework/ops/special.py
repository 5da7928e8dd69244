"""Special functions of mathematical physics and statistics: the gamma family, error functions, x log y."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.elementwise.transcendental import scipy_special


def evaluate(xp: Any, name: str, *arrays: Any) -> Any:
    """A function of scipy.special in the type of its last argument."""
    kind = arrays[-1].dtype if hasattr(arrays[-1], "dtype") else arrays[0].dtype
    return xp.asarray(getattr(scipy_special(xp), name)(*arrays)).astype(kind)


# -- the gamma family --------------------------------------------------------------------------------------------------


@op(kind="float", inplace=True)
def lgamma(xp: Any, input: Array) -> Array:
    """The logarithm of the magnitude of the gamma function."""
    result = evaluate(xp, "gammaln", input)
    return xp.where(xp.isinf(input), xp.abs(input), result)


@lgamma.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, digamma(input))


@op(kind="float", inplace=True)
def digamma(xp: Any, input: Array) -> Array:
    """The derivative of lgamma; minus or plus infinity at zero by its sign, NaN at negative whole numbers."""
    result = evaluate(xp, "digamma", input)
    result = xp.where((input < 0) & (input == xp.floor(input)), xp.asarray(np.nan, input.dtype), result)
    return xp.where(input == 0, xp.copysign(xp.asarray(np.inf, input.dtype), -input), result)


@digamma.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, polygamma(1, input))


@op(kind="float", method=False)
def polygamma(xp: Any, n: int, input: Array) -> Array:
    """The derivative of order `n` of digamma."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return digamma(input)
    if n == 1:
        return _trigamma(xp, input)
    return ((-1) ** (n + 1) * math.factorial(n) * evaluate(xp, "zeta", float(n + 1), input)).astype(input.dtype)


@polygamma.vjp("input")
def _(g: Any, n: Any, input: Any) -> Any:
    return e.mul(g, polygamma(n + 1, input))


def _trigamma(xp: Any, input: Any) -> Any:
    """The derivative of digamma, by reflection below one half."""
    mirrored = evaluate(xp, "zeta", 2.0, xp.where(input < 0.5, 1 - input, input))
    return xp.where(input < 0.5, (math.pi / xp.sin(math.pi * input)) ** 2 - mirrored, mirrored).astype(input.dtype)


def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`, for values above `(p - 1) / 2`."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    shifts = np.arange(p, dtype=np.float64) * -0.5
    total = lgamma(input)
    for shift in shifts[1:]:
        total = e.add(total, lgamma(e.add(input, float(shift))))
    return e.add(total, p * (p - 1) * math.log(math.pi) / 4)


@op(kind="float", inplace=True)
def igamma(xp: Any, input: Array, other: Array) -> Array:
    """The lower incomplete gamma function P(input, other), regularised."""
    return evaluate(xp, "gammainc", input, other)


@op(kind="float", inplace=True)
def igammac(xp: Any, input: Array, other: Array) -> Array:
    """The upper incomplete gamma function Q(input, other), regularised."""
    return evaluate(xp, "gammaincc", input, other)


def _gamma_density(input: Any, other: Any) -> Any:
    return e.exp(e.sub(e.sub(e.mul(e.sub(input, 1), e.log(other)), other), lgamma(input)))


@igamma.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.mul(g, _gamma_density(input, other))


@igammac.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(e.mul(g, _gamma_density(input, other)))


@op(kind="float", method=False)
def zeta(xp: Any, input: Array, other: Array) -> Array:
    """The Hurwitz zeta function: the sum of `(other + k) ** -input` over k = 0, 1, 2, ..."""
    return evaluate(xp, "zeta", input, other)


@zeta.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.neg(e.mul(g, e.mul(input, zeta(e.add(input, 1), other))))


# -- error functions and the normal distribution -----------------------------------------------------------------------


@op(kind="float", inplace=True)
def erfc(xp: Any, input: Array) -> Array:
    """One less the error function, exact far from zero."""
    return evaluate(xp, "erfc", input)


@erfc.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.mul(e.exp(e.neg(e.mul(input, input))), -2 / math.sqrt(math.pi)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def erfinv(xp: Any, input: Array) -> Array:
    """The inverse of the error function, for values within (-1, 1)."""
    return evaluate(xp, "erfinv", input)


@erfinv.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.mul(e.exp(e.mul(out, out)), math.sqrt(math.pi) / 2))


@op(kind="float", method=False)
def erfcx(xp: Any, input: Array) -> Array:
    """`exp(input**2) * erfc(input)`, without overflow."""
    return evaluate(xp, "erfcx", input)


@erfcx.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.sub(e.mul(e.mul(input, out), 2), 2 / math.sqrt(math.pi)))


@op(kind="float", method=False)
def ndtr(xp: Any, input: Array) -> Array:
    """The area under the standard normal density up to `input`."""
    return evaluate(xp, "ndtr", input)


@ndtr.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.mul(e.exp(e.mul(e.mul(input, input), -0.5)), 1 / math.sqrt(2 * math.pi)))


@op(kind="float", method=False)
def ndtri(xp: Any, input: Array) -> Array:
    """The inverse of `ndtr`, for values within (0, 1)."""
    return evaluate(xp, "ndtri", input)


@ndtri.vjp("input")
def _(g: Any, out: Any) -> Any:
    return e.mul(g, e.mul(e.exp(e.mul(e.mul(out, out), 0.5)), math.sqrt(2 * math.pi)))


@op(kind="float", method=False)
def log_ndtr(xp: Any, input: Array) -> Array:
    """The logarithm of `ndtr`, exact far below zero."""
    return evaluate(xp, "log_ndtr", input)


@log_ndtr.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.div(math.sqrt(2 / math.pi), erfcx(e.mul(input, -math.sqrt(0.5)))))


# -- logarithms --------------------------------------------------------------------------------------------------------


@op(kind="float", inplace=True)
def xlogy(xp: Any, input: Array, other: Array) -> Array:
    """`input * log(other)`, zero where `input` is zero and `other` is not NaN."""
    product = input * xp.log(other)
    return xp.where((input == 0) & ~xp.isnan(other), xp.zeros((), product.dtype), product)


@xlogy.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    void = e.logical_and(e.eq(input, 0), e.le(other, 0))
    return e.mul(g, e.where(void, 0.0, e.log(e.where(void, 1.0, other))))


@xlogy.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.mul(g, e.div(input, other))


@op(kind="float", method=False)
def xlog1py(xp: Any, input: Array, other: Array) -> Array:
    """`input * log1p(other)`, zero where `input` is zero and `other` is not NaN."""
    product = input * xp.log1p(other)
    return xp.where((input == 0) & ~xp.isnan(other), xp.zeros((), product.dtype), product)


@xlog1py.vjp("input")
def _(g: Any, input: Any, other: Any) -> Any:
    void = e.logical_and(e.eq(input, 0), e.le(other, -1))
    return e.mul(g, e.where(void, 0.0, e.log1p(e.where(void, 0.0, other))))


@xlog1py.vjp("other")
def _(g: Any, input: Any, other: Any) -> Any:
    return e.mul(g, e.div(input, e.add(other, 1)))


@op(kind="float", method=False)
def entr(xp: Any, input: Array) -> Array:
    """`-input * log(input)`, zero at zero, minus infinity below."""
    inside = -input * xp.log(xp.where(input > 0, input, 1))
    return xp.where(input >= 0, inside, xp.where(xp.isnan(input), input, -np.inf)).astype(input.dtype)


@entr.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.sub(e.neg(e.log(input)), 1))


@op(kind="float", inplace=True)
def logit(xp: Any, input: Array, eps: float | None = None) -> Array:
    """`log(input / (1 - input))`; with `eps` the input is first limited to [eps, 1 - eps]."""
    if eps is not None:
        input = xp.clip(input, eps, 1 - eps)
    return xp.log(input / (1 - input))


@logit.vjp("input")
def _(g: Any, input: Any, eps: Any) -> Any:
    low, high = (0.0, 1.0) if eps is None else (eps, 1.0 - eps)
    inside = e.logical_and(e.ge(input, low), e.le(input, high))
    slope = e.div(g, e.mul(input, e.sub(1, input)))
    return e.where(inside, slope, math.nan if eps is None else 0.0)


@op(kind="float", inplace=True)
def sinc(xp: Any, input: Array) -> Array:
    """`sin(pi * input) / (pi * input)`, one at zero."""
    scaled = input * input.dtype.type(math.pi)
    zero = scaled == 0
    return xp.where(zero, 1, xp.sin(scaled) / xp.where(zero, 1, scaled)).astype(input.dtype)


@sinc.vjp("input")
def _(g: Any, input: Any) -> Any:
    scaled = e.mul(input, math.pi)
    square = e.mul(scaled, input)
    zero = e.eq(square, 0)
    slope = e.div(e.sub(e.mul(e.cos(scaled), scaled), e.sin(scaled)), e.where(zero, 1, square))
    return e.mul(g, e.conj(e.where(zero, 0 * slope, slope)))
