"""Questions about values, whole numbers and their bits; nothing here has a derivative."""

from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, COMPLEX, FLOATING
from framework.core.op import Array, op
from framework.core.tensor import Tensor
from framework.ops import elementwise as e


@op
def signbit(xp: Any, input: Array) -> Array:
    """Where the sign is minus, that of -0.0 included."""
    if input.dtype.kind == "c":
        raise RuntimeError("signbit is not implemented for complex tensors.")
    return xp.signbit(input) if CATEGORY[input.dtype] == FLOATING else input < 0


@op
def isposinf(xp: Any, input: Array) -> Array:
    """Where it is plus infinity."""
    if input.dtype.kind == "c":
        raise RuntimeError("isposinf does not support complex inputs.")
    return input == np.inf


@op
def isneginf(xp: Any, input: Array) -> Array:
    """Where it is minus infinity."""
    if input.dtype.kind == "c":
        raise RuntimeError("isneginf does not support complex inputs.")
    return input == -np.inf


@op
def isreal(xp: Any, input: Array) -> Array:
    """Where the imaginary part is zero."""
    return input.imag == 0 if input.dtype.kind == "c" else xp.ones(input.shape, bool)


@op
def isclose(
    xp: Any, input: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Where `|input - other| <= atol + rtol * |other|`, or both are the same infinity."""
    if input.dtype != other.dtype:
        raise RuntimeError(f"{_name(input)} did not match {_name(other)}: isclose() needs tensors of one type")
    if rtol < 0 or atol < 0:
        what, value = ("rtol", rtol) if rtol < 0 else ("atol", atol)
        raise RuntimeError(f"{what} must be greater than or equal to zero, but got {value}")
    close = input == other
    if equal_nan and CATEGORY[input.dtype] >= FLOATING:
        close |= xp.isnan(input) & xp.isnan(other)
    if not rtol and not atol:
        return close
    if input.dtype == np.bool_:
        input, other = input.astype(np.uint8), other.astype(np.uint8)
    apart = xp.abs(input - other)
    return close | (xp.isfinite(apart) & (apart <= atol + xp.abs(rtol * other)))


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same values."""
    return tuple(input.shape) == tuple(other.shape) and bool(e.eq(input, other).all())


@op(method=False)
def _isin(xp: Any, elements: Array, test_elements: Array, invert: bool) -> Array:
    """Where an element is one of the others."""
    return xp.isin(elements, test_elements, invert=invert)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Where an element is one of `test_elements` (with `invert`, none of them); either may be a number."""
    tensors = [value if hasattr(value, "dtype") else np.asarray(value) for value in (elements, test_elements)]
    if all(type(value) is np.ndarray for value in tensors):
        raise TypeError("isin(): one of elements and test_elements must be a Tensor")
    return _isin(*(value if isinstance(value, Tensor) else Tensor._wrap(value) for value in tensors), invert)


@op(kind="promote", inplace=True)
def gcd(xp: Any, input: Array, other: Array) -> Array:
    """The greatest common divisor of whole numbers."""
    return xp.gcd(input, other)


@op(kind="promote", inplace=True)
def lcm(xp: Any, input: Array, other: Array) -> Array:
    """The least common multiple of whole numbers."""
    return xp.abs(xp.lcm(input, other))


@op(kind="promote", inplace=True)
def bitwise_left_shift(xp: Any, input: Array, other: Array) -> Array:
    """Bits moved to the left by `other` places."""
    return xp.left_shift(input, other)


@op(kind="promote", inplace=True)
def bitwise_right_shift(xp: Any, input: Array, other: Array) -> Array:
    """Bits moved to the right by `other` places; the sign stays."""
    return xp.right_shift(input, other)


def is_nonzero(input: Any) -> bool:
    """Whether the one element of a tensor is not zero."""
    return bool(input)


def _name(array: Any) -> str:
    return {COMPLEX: "Complex"}.get(CATEGORY[array.dtype], "") + str(array.dtype)
