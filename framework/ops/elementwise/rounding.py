"""Signs, rounding, and the parts of complex numbers."""

import math
from typing import Any, NamedTuple

import numpy as np

from framework.core.dtype import CATEGORY, FLOATING, get_default_dtype
from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(inplace=True, ufunc="negative", aliases="negative")
def neg(xp: Any, input: Array) -> Array:
    """`-input`."""
    if input.dtype == np.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
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
    return e.mul(g, sgn(input))


@op(inplace=True)
def sgn(xp: Any, input: Array) -> Array:
    """The sign; for complex numbers the point on the unit circle."""
    return xp.sign(input) if input.dtype != np.bool_ else input.copy()


@sgn.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    if getattr(input, "_data", input).dtype.kind != "c":
        return 0 * g
    size = abs(input)
    inward = e.mul(real(e.mul(conj(out), g)), out)
    return e.where(e.eq(size, 0), 0 * g, e.div(e.sub(g, inward), e.where(e.eq(size, 0), 1, size)))


@op(inplace=True)
def sign(xp: Any, input: Array) -> Array:
    """-1, 0 or 1."""
    return xp.sign(input) if input.dtype != np.bool_ else input.copy()


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
    if type(input) is np.ndarray and input.dtype.kind != "c":
        return input
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
    return e.mul(g, 1j)


@op(inplace=True)
def conj_physical(xp: Any, input: Array) -> Array:
    """The complex conjugate, computed at once."""
    return xp.conj(input) if input.dtype.kind == "c" else input.copy()


@conj_physical.vjp("input")
def _(g: Any) -> Any:
    return conj(g)


@op
def angle(xp: Any, input: Array) -> Array:
    """The angle of complex numbers in radians; pi for negative real ones, 0 for the others."""
    if input.dtype.kind == "c":
        return xp.angle(input)
    floating = input if CATEGORY[input.dtype] > 1 else input.astype(get_default_dtype().numpy_dtype)
    return xp.where(xp.isnan(floating), floating, xp.where(floating < 0, math.pi, 0)).astype(floating.dtype)


@angle.vjp("input")
def _(g: Any, input: Any) -> Any:
    if getattr(input, "_data", input).dtype.kind != "c":
        return 0 * g
    zero = e.eq(input, 0)
    size = e.where(zero, 1, e.real(e.mul(input, conj(input))))
    return e.where(zero, 0, e.mul(e.mul(input, 1j), e.div(g, size)))


@op(method=False)
def _frexp(xp: Any, input: Array) -> tuple[Array, Array]:
    """A factor within [0.5, 1) and a power of two."""
    mantissa, exponent = xp.frexp(input)
    return mantissa, exponent.astype(np.int32)


@_frexp.vjp("input")
def _(g: Any, out1: Any) -> Any:
    return e.div(g[0], e.exp2(e.to_dtype(out1, getattr(g[0], "_data", g[0]).dtype)))


class Frexp(NamedTuple):
    """`input = mantissa * 2**exponent`."""

    mantissa: Any
    exponent: Any


def frexp(input: Any) -> Frexp:
    """Each number as a factor within [0.5, 1) and a power of two."""
    if CATEGORY[input._data.dtype] != FLOATING:
        raise RuntimeError(f"frexp() only supports floating-point dtypes, got {input.dtype.name}")
    return Frexp(*_frexp(input))
