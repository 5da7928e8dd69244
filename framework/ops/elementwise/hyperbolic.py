"""Hyperbolic functions, the inverses of trigonometric and hyperbolic ones, and angles in degrees."""

import math
from typing import Any

from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(kind="float", inplace=True, autocast="cuda:float32")
def sinh(xp: Any, input: Array) -> Array:
    """The hyperbolic sine."""
    return xp.sinh(input)


@sinh.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(cosh(input)))


@op(kind="float", inplace=True, autocast="cuda:float32")
def cosh(xp: Any, input: Array) -> Array:
    """The hyperbolic cosine."""
    return xp.cosh(input)


@cosh.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(sinh(input)))


@op(kind="float", inplace=True, aliases="arcsin", autocast="cuda:float32")
def asin(xp: Any, input: Array) -> Array:
    """The angle in [-pi/2, pi/2] of a sine, in radians."""
    return xp.arcsin(input)


@asin.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(e.rsqrt(e.sub(1, e.mul(input, input)))))


@op(kind="float", inplace=True, aliases="arccos", autocast="cuda:float32")
def acos(xp: Any, input: Array) -> Array:
    """The angle in [0, pi] of a cosine, in radians."""
    return xp.arccos(input)


@acos.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.neg(e.mul(g, e.conj(e.rsqrt(e.sub(1, e.mul(input, input))))))


@op(kind="float", inplace=True, aliases="arctan")
def atan(xp: Any, input: Array) -> Array:
    """The angle in [-pi/2, pi/2] of a tangent, in radians."""
    return xp.arctan(input)


@atan.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.conj(e.add(e.mul(input, input), 1)))


@op(kind="float", inplace=True, aliases="arcsinh")
def asinh(xp: Any, input: Array) -> Array:
    """The inverse of the hyperbolic sine."""
    return xp.arcsinh(input)


@asinh.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, e.conj(e.rsqrt(e.add(e.mul(input, input), 1))))


@op(kind="float", inplace=True, aliases="arccosh")
def acosh(xp: Any, input: Array) -> Array:
    """The inverse of the hyperbolic cosine, for values of one and more."""
    return xp.arccosh(input)


@acosh.vjp("input")
def _(g: Any, input: Any) -> Any:
    # two roots, so that the branch is right in the whole complex plane
    return e.mul(g, e.conj(e.mul(e.rsqrt(e.sub(input, 1)), e.rsqrt(e.add(input, 1)))))


@op(kind="float", inplace=True, aliases="arctanh")
def atanh(xp: Any, input: Array) -> Array:
    """The inverse of the hyperbolic tangent, for values within (-1, 1)."""
    return xp.arctanh(input)


@atanh.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.div(g, e.conj(e.sub(1, e.mul(input, input))))


@op(kind="float", inplace=True)
def deg2rad(xp: Any, input: Array) -> Array:
    """Degrees as radians."""
    return input * (math.pi / 180)


@deg2rad.vjp("input")
def _(g: Any) -> Any:
    return e.mul(g, math.pi / 180)


@op(kind="float", inplace=True)
def rad2deg(xp: Any, input: Array) -> Array:
    """Radians as degrees."""
    return input * (180 / math.pi)


@rad2deg.vjp("input")
def _(g: Any) -> Any:
    return e.mul(g, 180 / math.pi)
