"""Comparisons and logic: results are boolean, nothing has a derivative."""

from typing import Any

from framework.core.dtype import CATEGORY
from framework.core.op import Array, op


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


@op(kind="bool", inplace=True)
def logical_and(xp: Any, input: Array, other: Array) -> Array:
    """Where both are true (not zero)."""
    return xp.logical_and(input, other)


@op(kind="bool", inplace=True)
def logical_or(xp: Any, input: Array, other: Array) -> Array:
    """Where one or both are true (not zero)."""
    return xp.logical_or(input, other)


@op(kind="bool", inplace=True)
def logical_xor(xp: Any, input: Array, other: Array) -> Array:
    """Where exactly one is true (not zero)."""
    return xp.logical_xor(input, other)


@op(kind="bool", inplace=True)
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
