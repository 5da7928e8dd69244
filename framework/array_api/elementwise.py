"""Elementwise functions, made from one table: the standard's name, and what serves it here."""

from collections.abc import Callable
from typing import Any

from framework.array_api.dtypes import is_complex, meet, tensor_of
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.tensor import Tensor
from framework.ops import elementwise as e


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """Values below `min` become `min`, above `max` become `max`; the type stays that of `x`."""
    low, high = (value.to(tensor_of(x).dtype) if isinstance(value, Tensor) else value for value in (min, max))
    if low is None and high is None:
        return e.clone(x)
    if isinstance(low, Tensor) == isinstance(high, Tensor) or low is None or high is None:
        return e.clamp(x, low, high)
    return e.clamp(e.clamp(x, low, None), None, high)


def round(x: Tensor, /) -> Tensor:
    """To the nearest whole number, halves to the even one; of complex numbers both parts."""
    if is_complex(tensor_of(x)):
        from framework.ops.complex import complex

        return complex(e.round(e.real(x)), e.round(e.imag(x)))
    return e.round(x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1; `x / abs(x)` of complex numbers; NaN of NaN."""
    if is_complex(tensor_of(x)):
        return e.sgn(x)
    return e.where(e.isnan(x), x, e.sign(x)) if CATEGORY[x._data.dtype] == FLOATING else e.sign(x)


def _unary(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def unary(x: Tensor, /) -> Tensor:
        return function(tensor_of(x))

    return _named(unary, name, function)


def _binary(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def binary(x1: Tensor | complex, x2: Tensor | complex, /) -> Tensor:
        return function(*meet(x1, x2))

    return _named(binary, name, function)


def _named(wrapper: Any, name: str, function: Any) -> Callable[..., Any]:
    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__doc__ = function.__doc__
    return wrapper


_UNARY = {
    name: getattr(e, name)
    for name in [
        "abs",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "ceil",
        "conj",
        "cos",
        "cosh",
        "exp",
        "expm1",
        "floor",
        "imag",
        "isfinite",
        "isinf",
        "isnan",
        "log",
        "log1p",
        "log2",
        "log10",
        "logical_not",
        "real",
        "reciprocal",
        "signbit",
        "sin",
        "sinh",
        "square",
        "sqrt",
        "tan",
        "tanh",
        "trunc",
    ]
} | {"bitwise_invert": e.bitwise_not, "negative": e.neg, "positive": e.clone}
_BINARY = {
    name: getattr(e, name)
    for name in [
        "add",
        "atan2",
        "bitwise_and",
        "bitwise_left_shift",
        "bitwise_or",
        "bitwise_right_shift",
        "bitwise_xor",
        "copysign",
        "floor_divide",
        "hypot",
        "logaddexp",
        "logical_and",
        "logical_or",
        "logical_xor",
        "maximum",
        "minimum",
        "nextafter",
        "pow",
        "remainder",
    ]
} | {
    "divide": e.true_divide,
    "equal": e.eq,
    "greater": e.gt,
    "greater_equal": e.ge,
    "less": e.lt,
    "less_equal": e.le,
    "multiply": e.mul,
    "not_equal": e.ne,
    "subtract": e.sub,
}

globals().update({name: _unary(name, function) for name, function in _UNARY.items()})
globals().update({name: _binary(name, function) for name, function in _BINARY.items()})
__all__ = ["clip", "round", "sign", *_UNARY, *_BINARY]
