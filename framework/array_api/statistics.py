"""Sums, products, extremes, truth, running totals, differences."""

from typing import Any

import numpy as np

from framework.array_api.dtypes import meet, tensor_of
from framework.core.dtype import CATEGORY, INTEGER, DType, int64, uint64
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops import reduce as r
from framework.ops import scan
from framework.ops import shape as s

Axes = int | tuple[int, ...] | None


def all(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether all are true along axes."""
    return _over(lambda x, dims, keep: r.all(e.ne(x, 0), dims, keep), x, axis, keepdims)


def any(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether one or more are true along axes."""
    return _over(lambda x, dims, keep: r.any(e.ne(x, 0), dims, keep), x, axis, keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """How many are not zero along axes."""
    return _over(lambda x, dims, keep: r.sum(e.ne(x, 0), dims, keep), x, axis, keepdims)


def max(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest along axes; NaN where there is one."""
    return _over(r.amax, x, axis, keepdims)


def min(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest along axes; NaN where there is one."""
    return _over(r.amin, x, axis, keepdims)


def mean(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean along axes."""
    return _over(r.mean, x, axis, keepdims)


def prod(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The product along axes, of integers in (unsigned) 64 bits."""
    return _in_type(_over(r.prod, _summable(x, dtype), axis, keepdims), x, dtype)


def std(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation along axes; the divisor is the count less `correction`."""
    return e.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def sum(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The sum along axes, of integers in (unsigned) 64 bits."""
    return _in_type(_over(r.sum, _summable(x, dtype), axis, keepdims), x, dtype)


def var(x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance along axes; the divisor is the count less `correction`."""
    return _over(
        lambda x, dims, keep: r.var(x, dims, keepdim=keep, correction=correction),  # type: ignore[arg-type]
        x,
        axis,
        keepdims,
    )


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """The running sum along an axis, with `include_initial` from zero on."""
    return _running(r.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """The running product along an axis, with `include_initial` from one on."""
    return _running(scan.cumprod, 1, x, axis, dtype, include_initial)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along an axis, taken `n` times, after putting values before and behind."""
    return scan.diff(tensor_of(x), n, axis, prepend, append)


def _over(function: Any, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """A reduction over the axes; over none of them for an empty tuple, which torch takes for all."""
    if axis is None:
        dims = tuple(range(tensor_of(x).ndim))
    else:
        dims = (axis,) if isinstance(axis, int) else tuple(axis)
        for each in dims:
            if not -x.ndim <= each < x.ndim:
                raise IndexError(f"axis {each} is out of range for {x.ndim} dimensions")
    if not dims:  # each element is a group of its own
        return s.squeeze(function(s.unsqueeze(tensor_of(x), -1), (x.ndim,), True), (x.ndim,))
    return function(x, dims, keepdims)


def _summable(x: Tensor, dtype: DType | None) -> Tensor:
    return tensor_of(x).to(_sum_type(x, dtype))


def _in_type(total: Tensor, x: Tensor, dtype: DType | None) -> Tensor:
    """A total in the standard's type: torch's are signed, which in 64 bits are the same bits."""
    return total.to(_sum_type(x, dtype))


def _sum_type(x: Tensor, dtype: DType | None) -> DType:
    kind = x._data.dtype
    if dtype is not None or CATEGORY[kind] > INTEGER:
        return x.dtype if dtype is None else dtype
    return uint64 if kind.kind == "u" else int64


def _running(
    function: Any, start: int, x: Tensor, axis: int | None, dtype: DType | None, include_initial: bool
) -> Tensor:
    if axis is None:
        if tensor_of(x).ndim > 1:
            raise ValueError(f"an array of {x.ndim} dimensions needs an axis")
        x, axis = s.reshape(x, -1), 0
    place = check_dim(axis, x.ndim)
    result = _in_type(function(_summable(x, dtype), place), x, dtype)
    if not include_initial:
        return result
    shape = tuple(1 if number == place else length for number, length in enumerate(x.shape))
    first = Tensor._wrap(np.full(shape, start, result._data.dtype)).to(x.device)
    return s.cat(meet(first, result), place)


__all__ = [
    "all",
    "any",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]
