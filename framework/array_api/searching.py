"""Where, which and how often: searching, selecting, sorting, distinct values."""

from typing import Any, NamedTuple

import numpy as np

from framework.array_api.dtypes import meet, tensor_of
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops import index as ix
from framework.ops import reduce as r
from framework.ops import shape as s
from framework.ops import sort as _sort
from framework.ops.counting import searchsorted as _searchsorted


class UniqueAll(NamedTuple):
    """The distinct values, where each first stood, where each element went, and how often each was there."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The distinct values and how often each was there."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The distinct values and where each element went."""

    values: Tensor
    inverse_indices: Tensor


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest stands, along an axis or in the flattened array."""
    return _argument(r.argmax, x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest stands, along an axis or in the flattened array."""
    return _argument(r.argmin, x, axis, keepdims)


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The places of the values in their order along an axis; equal ones keep theirs."""
    return _sort.argsort(_ordered(x), axis, descending, stable)


def isin(x1: Tensor | complex, x2: Tensor | complex, /, *, invert: bool = False) -> Tensor:
    """Whether each element of the first is among those of the second."""
    return e.isin(*meet(x1, x2), invert=invert)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The places that are not zero, an array of indices for each axis."""
    if not tensor_of(x).ndim:
        raise ValueError("nonzero: a zero-dimensional array has no indices")
    places = ix.nonzero(x)
    return tuple(places[:, axis] for axis in range(x.ndim))


def searchsorted(x1: Tensor, x2: Tensor | float, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where each value of `x2` would stand in the sorted `x1`: before equals ("left") or after ("right")."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    if tensor_of(x1).ndim != 1:
        raise ValueError(f"searchsorted: x1 must have one dimension, it has {x1.ndim}")
    ordered, values = meet(x1, x2)
    return _searchsorted(ordered, values, side=side, sorter=None if sorter is None else sorter.to("cpu").long())


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The values in order along an axis; NaN counts as the largest."""
    return _sort.sort(_ordered(x), axis, descending, stable).values


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices along an axis at places given by an integer array; a vector needs no axis."""
    if axis is None:
        if tensor_of(x).ndim != 1:
            raise ValueError(f"take: an array of {x.ndim} dimensions needs an axis")
        axis = 0
    if indices._data.dtype.kind not in "iu":
        raise TypeError(f"take: indices must be integers, got {indices.dtype!r}")
    place = check_dim(axis, x.ndim)
    return x[(*(slice(None),) * place, indices)] if indices.ndim else s.select(x, place, int(indices))


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The values at the places that `indices` gives for each row along an axis."""
    if tensor_of(x).ndim != indices.ndim:
        raise ValueError(f"take_along_axis: x has {x.ndim} dimensions and indices {indices.ndim}")
    return ix.take_along_dim(x, indices.long(), check_dim(axis, x.ndim))


def unique_all(x: Tensor, /) -> UniqueAll:
    """See `UniqueAll`; each NaN is a value of its own."""
    return UniqueAll(*_distinct(x))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """See `UniqueCounts`; each NaN is a value of its own."""
    values, _, _, counts = _distinct(x)
    return UniqueCounts(values, counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """See `UniqueInverse`; each NaN is a value of its own."""
    values, _, inverse, _ = _distinct(x)
    return UniqueInverse(values, inverse)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct values, in order; each NaN is a value of its own."""
    return _distinct(x)[0]


def where(condition: Tensor, x1: Tensor | complex, x2: Tensor | complex, /) -> Tensor:
    """`x1` where the condition holds, `x2` elsewhere."""
    return e.where(tensor_of(condition), *meet(x1, x2))


def _argument(function: Any, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if axis is not None and not -tensor_of(x).ndim <= axis < x.ndim:
        raise IndexError(f"axis {axis} is out of range for {x.ndim} dimensions")
    return function(x, axis, keepdims)


def _ordered(x: Tensor) -> Tensor:
    if tensor_of(x).is_complex():
        raise TypeError("complex numbers have no order: sort by real(x) or abs(x)")
    if not x.ndim:
        raise ValueError("a zero-dimensional array has no order")
    return x


def _distinct(x: Tensor) -> list[Tensor]:
    values = tensor_of(x).numpy(force=True)
    short = values.astype(np.float32) if values.dtype.kind == "V" else values
    found = np.unique(short, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    distinct, first, inverse, counts = found
    arrays = (distinct.astype(values.dtype), first, inverse.reshape(values.shape), counts)
    return [Tensor._wrap(array).to(x.device) for array in arrays]


__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "isin",
    "nonzero",
    "searchsorted",
    "sort",
    "take",
    "take_along_axis",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "where",
]
