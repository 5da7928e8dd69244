"""Reductions and cumulative sums."""

import builtins
import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING, as_dtype
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.shape import views

Dims = int | tuple[int, ...] | list[int] | None


@operation(autocast="cuda:float32")
def sum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """The sum over `dim` (all dimensions when None); booleans and integers sum in int64."""
    if out is not None and dtype is None:
        dtype = out.dtype
    if dtype is not None:
        input = e.to_dtype(input, dtype) if as_dtype(dtype).numpy_dtype != _dtype(input) else input
    return _sum(input, dim, keepdim) if out is None else _sum(input, dim, keepdim, out=out)


@op(method=False, wide=True)
def _sum(xp: Any, input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """The sum over `dim`."""
    axis = _axes(dim, input.ndim)
    if CATEGORY[input.dtype] < FLOATING:
        return input.sum(axis, dtype=np.int64, keepdims=keepdim)
    return input.sum(axis, keepdims=keepdim)


@_sum.vjp("input")
def _(g: Any, input_shape: Any, dim: Any, keepdim: Any) -> Any:
    return views._expand(_restore(g, dim, keepdim, len(input_shape)), input_shape)


def mean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` (all dimensions when None) of a floating tensor."""
    if dtype is not None:
        input = e.to_dtype(input, dtype)
    if CATEGORY[_dtype(input)] < FLOATING:
        name = "Long" if _dtype(input) == np.int64 else str(_dtype(input))
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {name}"
        )
    return e.true_divide(_sum(input, dim, keepdim), _count(input.shape, dim))


@operation(autocast="float32")
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Any:
    """The product over one dimension, or all; booleans and integers multiply in int64."""
    if dtype is not None:
        input = e.to_dtype(input, dtype)
    return _prod(input, dim, keepdim) if out is None else _prod(input, dim, keepdim, out=out)


@op(method=False, wide=True)
def _prod(xp: Any, input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """The product over one dimension, or all."""
    kind = {"dtype": np.int64} if CATEGORY[input.dtype] < FLOATING else {}
    return input.prod(_axes(dim, input.ndim), keepdims=keepdim, **kind)


@_prod.vjp("input")
def _(g: Any, input: Any, out: Any, dim: Any, keepdim: Any) -> Any:
    upstream = _restore(g, dim, keepdim, input.ndim)
    values = getattr(input, "_data", input)
    if not (values == 0).any():
        return e.mul(upstream, e.conj(e.div(_restore(out, dim, keepdim, input.ndim), input)))
    if dim is None or not input.ndim:
        others = _products_of_others(input.reshape(-1), 0).reshape(tuple(input.shape))
    else:
        others = _products_of_others(input, check_dim(dim, input.ndim))
    return e.mul(upstream, e.conj(others))


def _products_of_others(input: Any, axis: int) -> Any:
    """For each element the product of all others along a dimension, right to any order where some are zero."""
    from framework.ops.scan import cumprod
    from framework.ops.shape import cat, flip, narrow

    length = input.shape[axis]
    one = np.ones(
        tuple(1 if number == axis else n for number, n in enumerate(input.shape)), getattr(input, "_data", input).dtype
    )
    first: Any = type(input)._wrap(one) if hasattr(input, "_data") else one
    before = cumprod(cat([first, narrow(input, axis, 0, length - 1)], axis), axis)
    after = flip(cumprod(cat([first, narrow(flip(input, axis), axis, 0, length - 1)], axis), axis), axis)
    return e.mul(before, after)


def var(
    input: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> Any:
    """The variance over `dim`; divides by the count less `correction` (1, or 0 for `unbiased=False`)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    centred = e.sub(input, mean(input, dim, True))
    squares = e.real(e.mul(centred, e.conj(centred)))
    return e.true_divide(_sum(squares, dim, keepdim), builtins.max(_count(input.shape, dim) - correction, 0))


def std(
    input: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> Any:
    """The standard deviation over `dim`; see `var`."""
    return e.sqrt(var(input, dim, unbiased, keepdim, correction=correction))


@op
def amax(xp: Any, input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """The largest value over `dim`; ties share the gradient."""
    return input.max(_axes(dim, input.ndim), keepdims=keepdim)


@op
def amin(xp: Any, input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """The smallest value over `dim`; ties share the gradient."""
    return input.min(_axes(dim, input.ndim), keepdims=keepdim)


def _extreme_gradient(g: Any, input: Any, out: Any, dim: Any, keepdim: Any) -> Any:
    hit = e.eq(input, _restore(out, dim, keepdim, input.ndim))
    share = e.div(_restore(g, dim, keepdim, input.ndim), _sum(hit, dim, True))
    return e.mul(share, hit)


amax.vjp("input")(_extreme_gradient)
amin.vjp("input")(_extreme_gradient)


@op(method=False)
def _max_along(xp: Any, input: Array, dim: int, keepdim: bool, largest: bool) -> tuple[Array, Array]:
    """The extreme value along one dimension and where it stands."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return input.copy(), xp.zeros((), np.int64)
    index = xp.expand_dims((xp.argmax if largest else xp.argmin)(input, axis=axis), axis)
    values = xp.take_along_axis(input, index, axis)
    return (values, index) if keepdim else (xp.squeeze(values, axis), xp.squeeze(index, axis))


@_max_along.vjp("input")
def _(g: Any, out1: Any, input_shape: Any, dim: Any, keepdim: Any) -> Any:
    from framework.ops.index import scatter_add
    from framework.ops.shape import unsqueeze

    if not input_shape:
        return g[0]
    axis = check_dim(dim, len(input_shape))
    values = g[0] if keepdim else unsqueeze(g[0], axis)
    index = out1 if keepdim else unsqueeze(out1, axis)
    zeros = np.zeros(input_shape, getattr(values, "_data", values).dtype)
    return scatter_add(zeros, axis, index, values)


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value of all; with a tensor, elementwise; with a dimension, (values, indices)."""
    return _extreme(input, dim, keepdim, True)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value of all; with a tensor, elementwise; with a dimension, (values, indices)."""
    return _extreme(input, dim, keepdim, False)


def _extreme(input: Any, dim: Any, keepdim: bool, largest: bool) -> Any:
    if dim is None:
        return (amax if largest else amin)(input)
    if hasattr(dim, "shape"):
        return (e.maximum if largest else e.minimum)(input, dim)
    from framework.ops.results import ValuesIndices

    return ValuesIndices(*_max_along(input, dim, keepdim, largest))


@op
def argmax(xp: Any, input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the largest value stands, along `dim` or in the flattened tensor."""
    return _argument(xp, xp.argmax, input, dim, keepdim)


@op
def argmin(xp: Any, input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the smallest value stands, along `dim` or in the flattened tensor."""
    return _argument(xp, xp.argmin, input, dim, keepdim)


def _argument(xp: Any, function: Any, input: Any, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        check_dim(dim, input.ndim)
        if not input.ndim:
            return xp.zeros((), np.int64)
    result = xp.asarray(function(input, axis=dim))
    if keepdim:
        result = xp.expand_dims(result, dim) if dim is not None else result.reshape((1,) * input.ndim)
    return result


@op
def all(xp: Any, input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether all are true over `dim`."""
    result = xp.asarray(xp.all(input, _axes(dim, input.ndim), keepdims=keepdim))
    return result.astype(np.uint8) if input.dtype == np.uint8 else result


@op
def any(xp: Any, input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether one or more are true over `dim`."""
    result = xp.asarray(xp.any(input, _axes(dim, input.ndim), keepdims=keepdim))
    return result.astype(np.uint8) if input.dtype == np.uint8 else result


@op
def count_nonzero(xp: Any, input: Array, dim: Dims = None) -> Array:
    """How many are not zero over `dim`."""
    return xp.asarray(xp.count_nonzero(input, axis=_axes(dim, input.ndim)))


@op(kind="float", autocast="cuda:float32")
def logsumexp(xp: Any, input: Array, dim: Dims, keepdim: bool = False) -> Array:
    """`log(sum(exp(input)))` over `dim`, without overflow."""
    axis = _axes(dim, input.ndim)
    top = input.real.max(axis, keepdims=True) if input.size else xp.zeros((), input.dtype)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.log(xp.exp(input - top).sum(axis, keepdims=True)) + top
    return (total if keepdim else xp.squeeze(total, axis)).astype(input.dtype)


@logsumexp.vjp("input")
def _(g: Any, input: Any, out: Any, dim: Any, keepdim: Any) -> Any:
    ndim = input.ndim
    share = e.exp(e.sub(input, _restore(out, dim, keepdim, ndim)))
    return e.mul(_restore(g, dim, keepdim, ndim), e.conj(share))


@operation(autocast="cuda:float32")
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running sum along a dimension."""
    return _cumsum(input if dtype is None else e.to_dtype(input, dtype), dim)


@op(method=False, wide=True)
def _cumsum(xp: Any, input: Array, dim: int) -> Array:
    """The running sum along a dimension."""
    axis = check_dim(dim, input.ndim)
    kind = np.int64 if CATEGORY[input.dtype] < FLOATING else input.dtype
    return input.astype(kind) if not input.ndim else xp.cumsum(input, axis=axis, dtype=kind)


@_cumsum.vjp("input")
def _(g: Any, dim: Any) -> Any:
    from framework.ops.shape import flip

    return flip(_cumsum(flip(g, dim), dim), dim) if g.ndim else g


def sum_to_size(input: Any, *size: Any) -> Any:
    """The sum over the dimensions along which a tensor of `size` would be broadcast to the input's shape."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    if not shape:
        return _sum(input)
    extra = input.ndim - len(shape)
    dims = tuple(range(extra)) + tuple(
        extra + number for number, length in enumerate(shape) if length == 1 and input.shape[extra + number] != 1
    )
    fits = extra >= 0 and [input.shape[extra + n] for n in range(len(shape)) if extra + n not in dims] == [
        length for n, length in enumerate(shape) if extra + n not in dims
    ]
    if not fits:
        raise RuntimeError(f"size {list(shape)} is not expandable to size {list(input.shape)}")
    result = _sum(input, dims, True) if dims else input
    return result.reshape(shape) if extra else result


# -- helpers ----------------------------------------------------------------------------------------------------------


def _dtype(value: Any) -> Any:
    return getattr(value, "_data", value).dtype


def _axes(dim: Dims, ndim: int) -> Any:
    """NumPy's axis argument; an empty sequence means all, as in torch."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return None
    if isinstance(dim, int):
        axis = check_dim(dim, ndim)
        return axis if ndim else None
    axes = tuple(check_dim(each, ndim) for each in dim)
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {axes[0]} appears multiple times in the list of dims")
    return axes if ndim else None


def _count(shape: Any, dim: Dims) -> int:
    axes = _axes(dim, len(shape))
    if axes is None:
        return math.prod(shape)
    return math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))


def _restore(value: Any, dim: Dims, keepdim: bool, ndim: int) -> Any:
    """A reduced tensor with its reduced dimensions back, of length one."""
    if keepdim and value.ndim == ndim:
        return value
    if value.ndim == 0:
        return value  # of all dimensions, which broadcasting adds
    axes = _axes(dim, ndim)
    kept = list(value.shape)
    shape = [1] * ndim
    if axes is not None:
        reduced = {axes} if isinstance(axes, int) else set(axes)
        rest = iter(kept)
        shape = [1 if axis in reduced else next(rest) for axis in range(ndim)]
    return value.reshape(shape)
