"""Signs, rounding, and the parts of complex numbers."""

from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY
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
    return xp.sign(input)


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
    return e.mul(g, 1j)
