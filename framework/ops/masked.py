"""Reductions and normalisations that leave out what a mask does not hold: each fills it with what changes nothing."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, FLOATING
from framework.ops import attention, reduce, scan, sort
from framework.ops import elementwise as e
from framework.ops.norms import vector_norm
from framework.ops.shape import expand

Dims = int | tuple[int, ...] | None


def sum(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The sum over `dim` of the elements where `mask` holds."""
    return reduce.sum(_filled(input, mask, 0), dim, keepdim, dtype=dtype)


def prod(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The product over `dim` of the elements where `mask` holds."""
    result = _filled(input, mask, 1)
    if dtype is not None:
        result = e.to_dtype(result, dtype)
    elif CATEGORY[result._data.dtype] < FLOATING:
        result = e.to_dtype(result, np.int64)
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    for axis in sorted((each % max(input.ndim, 1) for each in dims), reverse=True):
        result = reduce.prod(result, axis, keepdim)
    return result


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The running sum of the elements where `mask` holds."""
    return _as(reduce.cumsum(_filled(input, mask, 0), dim), dtype, input)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The running product of the elements where `mask` holds."""
    return _as(scan.cumprod(_filled(input, mask, 1), dim), dtype, input)


def amax(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The largest of the elements where `mask` holds."""
    return _as(reduce.amax(_filled(input, mask, _lowest(input)), () if dim is None else dim, keepdim), dtype, input)


def amin(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The smallest of the elements where `mask` holds."""
    return _as(reduce.amin(_filled(input, mask, _highest(input)), () if dim is None else dim, keepdim), dtype, input)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Where the largest of the elements where `mask` holds stands."""
    return _as(reduce.argmax(_filled(input, mask, _lowest(input)), dim, keepdim), dtype, input)


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Where the smallest of the elements where `mask` holds stands."""
    return _as(reduce.argmin(_filled(input, mask, _highest(input)), dim, keepdim), dtype, input)


def mean(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The mean over `dim` of the elements where `mask` holds."""
    if CATEGORY[input._data.dtype if dtype is None else dtype.numpy_dtype] < FLOATING:
        raise ValueError(f"mean(): the dtype must be either a floating point or complex dtype. Got: {input.dtype.name}")
    return e.true_divide(sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask), _count(input, dim, keepdim, mask))


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The lower median along `dim` of the elements where `mask` holds."""
    is_float = CATEGORY[input._data.dtype] >= FLOATING
    values = input if is_float else e.to_dtype(input, np.float32)
    result = sort.nanmedian(_filled(values, mask, math.nan), dim, keepdim).values
    if not is_float and np.isnan(result._data).any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return _as(result, dtype, input)


def logsumexp(input: Any, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """`log(sum(exp(input)))` over `dim` of the elements where `mask` holds."""
    dims = tuple(range(input.ndim)) if dim is None else dim
    return _as(reduce.logsumexp(_filled(input, mask, _lowest(input)), dims, keepdim), dtype, input)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    """`log(exp(input) + exp(other))`; nothing is added where a mask does not hold."""
    first, second = _filled(input, input_mask, -math.inf), _filled(other, other_mask, -math.inf)
    return _as(e.logaddexp(first, second), dtype, input)


def norm(
    input: Any, ord: float | None = 2.0, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The vector norm of order `ord` of the elements where `mask` holds."""
    order = 2.0 if ord is None else ord
    return vector_norm(_filled(input, mask, math.inf if order == -math.inf else 0), order, dim, keepdim, dtype=dtype)


def var(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The variance over `dim` of the elements where `mask` holds."""
    if correction is None:
        correction = 0 if unbiased is False else 1
    if dtype is None:
        dtype = np.float32 if CATEGORY[input._data.dtype] < FLOATING else input.dtype
    centre = e.true_divide(sum(input, dim, keepdim=True, dtype=dtype, mask=mask), _count(input, dim, True, mask))
    apart = e.sub(input, centre)
    total = sum(e.mul(apart, e.conj(apart)), dim, keepdim=keepdim, dtype=dtype, mask=mask)
    count = e.clamp_min(e.sub(_count(input, dim, keepdim, mask), correction), 0)
    return e.true_divide(total, count)


def std(input: Any, dim: Dims = None, unbiased: bool | None = None, **how: Any) -> Any:
    """The standard deviation over `dim` of the elements where `mask` holds; see `var`."""
    return e.sqrt(var(input, dim, unbiased, **how))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Softmax along `dim` among the elements where `mask` holds."""
    return attention.softmax(_filled(input, mask, _lowest(input)), dim, dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of softmax along `dim` among the elements where `mask` holds."""
    return attention.log_softmax(_filled(input, mask, _lowest(input)), dim, dtype)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Softmax of the negative among the elements where `mask` holds."""
    return attention.softmin(_filled(input, mask, _highest(input)), dim, dtype)


def normalize(input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Any:
    """The elements where `mask` holds, divided by their norm along `dim` (at least `eps`); zero elsewhere."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return e.true_divide(_filled(input, mask, 0), e.maximum(length, eps))


def _filled(input: Any, mask: Any, value: Any) -> Any:
    """The input with a value where the mask does not hold."""
    if mask is None:
        return input
    if mask.ndim > input.ndim:
        raise IndexError(f"the mask has {mask.ndim} dimensions, more than the input's {input.ndim}")
    return e.where(expand(e.ne(mask, 0), input.shape), input, value)


def _count(input: Any, dim: Dims, keepdim: bool, mask: Any) -> Any:
    """How many elements a reduction takes in."""
    ones = scan.like(np.ones(tuple(input.shape), np.int64), input)
    return reduce.sum(_filled(ones, mask, 0), dim, keepdim)


def _lowest(input: Any) -> Any:
    kind = input._data.dtype
    return -math.inf if CATEGORY[kind] >= FLOATING else 0 if kind == np.bool_ else int(np.iinfo(kind).min)


def _highest(input: Any) -> Any:
    kind = input._data.dtype
    return math.inf if CATEGORY[kind] >= FLOATING else 1 if kind == np.bool_ else int(np.iinfo(kind).max)


def _as(result: Any, dtype: Any, input: Any) -> Any:
    """In the type asked for: that of the input where none is."""
    wanted = input.dtype if dtype is None else dtype
    return result if result.dtype is wanted else e.to_dtype(result, wanted)
