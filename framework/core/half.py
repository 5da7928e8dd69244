"""Half precision (float16, bfloat16): what is composed of several steps is computed in float32 and rounded once.

An op whose record says `wide` takes its half-precision inputs as float32, in the forward and in the derivative rules;
`in_float32` does the same for a function composed of ops. Each step rounded to eight bits would lose what PyTorch
keeps, and squares of float16 overflow beyond 256.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.dtype import bfloat16, float16
from framework.core.tensor import Tensor

HALVES = frozenset((float16.numpy_dtype, bfloat16.numpy_dtype))


def widened(value: Any) -> Any:
    """Arrays and Tensors of a half-precision type in float32, alone or in a sequence; anything else as it is."""
    if half_type(value) is None:
        return value
    if type(value) is tuple or type(value) is list:
        return [widened(item) for item in value]
    if isinstance(value, Tensor):
        from framework.ops.elementwise import to_dtype

        return to_dtype(value, np.float32)
    return value.astype(np.float32)


def rounded(value: Any, dtype: Any) -> Any:
    """What was computed from `widened` values in the half-precision type (None: nothing was widened)."""
    if isinstance(value, tuple | list):
        items = [rounded(item, dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if dtype is None or getattr(getattr(value, "_data", value), "dtype", None) != np.float32:
        return value
    if isinstance(value, Tensor):
        from framework.ops.elementwise import to_dtype

        return to_dtype(value, dtype)
    return np.asarray(value).astype(dtype) if isinstance(value, np.generic) else value.astype(dtype)


def half_type(value: Any) -> Any:
    """The half-precision type of an array, a Tensor or the first such member of a sequence; None for others."""
    if type(value) is tuple or type(value) is list:
        return next((found for found in map(half_type, value) if found is not None), None)
    dtype = getattr(getattr(value, "_data", value), "dtype", None)
    return dtype if dtype is not None and dtype.itemsize == 2 and dtype in HALVES else None


def wide_kernel(kernel: Callable[..., Any], slots: tuple[int, ...]) -> Callable[..., Any]:
    """A kernel that serves half precision by float32; `slots` are the places of its tensor arguments."""

    def wide(*values: Any) -> Any:
        kind = half_type([values[slot] for slot in slots])
        if kind is None:
            return kernel(*values)
        arguments = list(values)
        for slot in slots:
            arguments[slot] = widened(values[slot])
        return rounded(kernel(*arguments), kind)

    return wide


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Tensors that computes in float32 what is given in half precision, and rounds the results."""

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        kind = half_type([*args, *kwargs.values()])
        if kind is None:
            return function(*args, **kwargs)
        out = kwargs.pop("out", None)
        arguments = [widened(value) for value in args]
        result = function(*arguments, **{name: widened(value) for name, value in kwargs.items()})
        return rounded(result, kind) if out is None else out.copy_(result)

    return wide
