"""Choosing between values, limiting them, and converting type and device."""

from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, COMPLEX, as_dtype
from framework.core.layout import arranged
from framework.core.op import Array, op
from framework.ops import elementwise as e


@op(method=False)
def _where(xp: Any, condition: Array, input: Array, other: Array) -> Array:
    """The first where the condition holds, the second elsewhere."""
    return xp.where(condition, input, other)


@_where.vjp("input")
def _(g: Any, condition: Any) -> Any:
    return _where(condition, g, 0)


@_where.vjp("other")
def _(g: Any, condition: Any) -> Any:
    return _where(condition, 0, g)


@op(kind="promote", method=False)
def _meet(xp: Any, input: Array, other: Array) -> tuple[Array, Array]:
    """Both, in the type they promote to."""
    return xp.asarray(input), xp.asarray(other)


@_meet.vjp()
def _(g: Any) -> Any:
    return g


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere; the indices of true elements with one argument."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    kinds = [getattr(getattr(value, "_data", value), "dtype", None) for value in (input, other)]
    if (kinds[0] is None and kinds[1] is None) or kinds[0] != kinds[1]:
        scalar = [kind is None for kind in kinds]
        if any(scalar) and not all(scalar):
            kind = kinds[0] or kinds[1]
            values = [_weak(value, kind) if lone else value for value, lone in zip((input, other), scalar)]
            if all(getattr(getattr(v, "_data", v), "dtype", None) == kind for v in values):
                return _where(condition, *values)
            input, other = values
        input, other = _meet_any(input, other)
    return _where(condition, input, other)


def _weak(value: Any, dtype: Any) -> Any:
    """A Python number as a 0-d array of the other side's type, where its category allows that."""
    from framework.core.dtype import category_of_number

    if category_of_number(value) <= CATEGORY[dtype]:
        return np.asarray(value).astype(dtype)
    return value


def _meet_any(input: Any, other: Any) -> Any:
    if hasattr(input, "_data") or hasattr(other, "_data"):
        return _meet(input, other)
    from framework.core.dtype import result_dtype

    dtype = result_dtype((input, other))
    return np.asarray(input).astype(dtype), np.asarray(other).astype(dtype)


@op(inplace=True)
def masked_fill(xp: Any, input: Array, mask: Array, value: Array) -> Array:
    """`value` where the mask holds, `input` elsewhere."""
    if mask.dtype != np.bool_:
        raise RuntimeError(f"masked_fill only supports boolean masks, but got mask with dtype {mask.dtype}")
    if getattr(value, "ndim", 0):
        raise RuntimeError(
            f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    if np.iscomplexobj(value) and input.dtype.kind != "c":
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
    return xp.where(mask, xp.asarray(value).astype(input.dtype), input)


@masked_fill.vjp("input")
def _(g: Any, mask: Any) -> Any:
    return _where(mask, 0, g)


@masked_fill.vjp("value")
def _(g: Any, mask: Any) -> Any:
    return _where(mask, g, 0)


@op(kind="promote", method=False)
def _clamp(xp: Any, input: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Limited from below and above."""
    result = input
    if min is not None:
        result = xp.maximum(result, min)
    if max is not None:
        result = xp.minimum(result, max)
    return result


@_clamp.vjp("input")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    inside = None
    if min is not None:
        inside = e.ge(input, min)
    if max is not None:
        inside = e.le(input, max) if inside is None else e.logical_and(inside, e.le(input, max))
    return e.mul(g, inside)


@_clamp.vjp("min")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    bites = e.lt(input, min)
    return e.mul(g, bites if max is None else e.logical_and(bites, e.lt(min, max)))


@_clamp.vjp("max")
def _(g: Any, input: Any, min: Any, max: Any) -> Any:
    bites = e.gt(input, max)
    return e.mul(g, bites if min is None else e.logical_or(bites, e.gt(min, max)))


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """`input` limited to [min, max]; either may be missing, not both."""
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of 'min' or 'max' must not be None")
    return _clamp(input, min, max)


@op(method=False)
def to_dtype(xp: Any, input: Array, dtype: Any) -> Array:
    """A copy in another type (a NumPy dtype or one of ours)."""
    wanted = as_dtype(dtype).numpy_dtype
    if input.dtype.kind == "c" and CATEGORY[wanted] != COMPLEX:
        input = input.real
    if wanted.kind in "iu" and input.dtype.kind in "fV" and xp is np:
        with np.errstate(invalid="ignore"):
            return input.astype(np.int64).astype(wanted)
    return input.astype(wanted)


@to_dtype.vjp("input")
def _(g: Any) -> Any:
    return g  # the engine brings it to the input's type


@op(method=False)
def to_device(xp: Any, input: Array, target: Any) -> Array:
    """A copy on another device."""
    from framework.core.device import move

    return move(input, target)


@to_device.vjp("input")
def _(g: Any, target: Any) -> Any:
    from framework.core.device import device_of
    from framework.core.tensor import CPU

    here = CPU if target.type == "cuda" else device_of(getattr(g, "_data", g))
    return g.to(here) if hasattr(g, "_data") else to_device(g, here)


@op
def clone(xp: Any, input: Array, *, memory_format: Any = None) -> Array:
    """A copy that keeps the memory layout, or takes a memory format."""
    return input.copy(order="K") if memory_format is None else arranged(xp, input, memory_format)


@clone.vjp("input")
def _(g: Any) -> Any:
    return g
