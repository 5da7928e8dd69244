"""Elements put or added at places that tensors name, in a fixed order."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops import index as ix
from framework.ops.index.gathering import checked, cover, expect_covered, expect_same_rank, within


@op(inplace=True, autocast="cuda:widest")
def scatter_add(xp: Any, input: Array, dim: int, index: Array, src: Array) -> Array:
    """A copy of `input` with `src` added at the places along `dim` that `index` names, in a fixed order."""
    result, places, values = _prepared(xp, "scatter_add", input, dim, index, src)
    xp.add.at(result, places, values)
    return result.reshape(input.shape)


@scatter_add.vjp("input")
def _(g: Any) -> Any:
    return g


@scatter_add.vjp("src")
def _(g: Any, dim: Any, index: Any, src_shape: Any) -> Any:
    return _gathered(g, dim, index, src_shape)


@op(method=False)
def scatter_values(xp: Any, input: Array, dim: int, index: Array, src: Array) -> Array:
    """A copy of `input` with `src` written at the places along `dim` that `index` names; of several the last stays."""
    result, places, values = _prepared(xp, "scatter", input, dim, index, src)
    result[places] = values
    return result.reshape(input.shape)


@scatter_values.vjp("input")
def _(g: Any, dim: Any, index: Any) -> Any:
    return scatter_values(g, dim, index, _zeros(index, g))


@scatter_values.vjp("src")
def _(g: Any, dim: Any, index: Any, src_shape: Any) -> Any:
    return _gathered(g, dim, index, src_shape)


_REDUCTIONS = {"sum": "add", "prod": "multiply", "mean": "add", "amax": "maximum", "amin": "minimum"}


@op(inplace=True)
def scatter_reduce(
    xp: Any, input: Array, dim: int, index: Array, src: Array, reduce: str, *, include_self: bool = True
) -> Array:
    """A copy of `input` with `src` reduced into the places along `dim` that `index` names.

    `reduce`: "sum", "prod", "mean", "amax" or "amin"; without `include_self` the values of `input` there do not count.
    """
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    result, places, values = _prepared(xp, "scatter_reduce", input, dim, index, src)
    if result.dtype.kind == "c" and reduce in ("amax", "amin"):
        raise RuntimeError(f"scatter_reduce(): {reduce} is not defined for complex numbers")
    if not include_self:
        result[places] = _neutral(reduce, result.dtype)
    getattr(xp, _REDUCTIONS[reduce]).at(result, places, values)
    if reduce == "mean":
        count = xp.full(result.shape, 1 if include_self else 0, np.int64)
        xp.add.at(count, places, 1)
        count = xp.maximum(count, 1)
        result = result // count if result.dtype.kind in "iu" else (result / count).astype(result.dtype)
    return result.reshape(input.shape)


@scatter_reduce.vjp()
def _(g: Any, input: Any, dim: Any, index: Any, src: Any, reduce: Any, include_self: Any, out: Any, needs: Any) -> Any:
    """The gradients of input and src, as torch's scatter_reduce_backward forms them."""
    if reduce == "sum":
        own, other = g, gather_back(g, dim, index, src)
    elif reduce == "mean":
        ones = 0 * g + 1
        count = scatter_add(ones if include_self else 0 * g, dim, index, 0 * src + 1)
        share = e.div(g, e.clamp(_constant(count), min=1))
        own, other = share, gather_back(share, dim, index, src)
    elif reduce == "prod":
        own, other = _product_gradients(g, input, dim, index, src, include_self, out)
    else:
        is_own = e.mul(e.eq(input, out), 0 * g + 1)
        is_src = e.mul(e.eq(src, gather_back(out, dim, index, src)), 0 * src + 1)
        ties = scatter_add(is_own, dim, index, is_src) if include_self else scatter_add(0 * g, dim, index, is_src)
        share = e.div(g, e.clamp(_constant(ties), min=1))
        own, other = e.mul(_constant(is_own), share), e.mul(_constant(is_src), gather_back(share, dim, index, src))
    if not include_self:
        own = scatter_values(own, dim, index, _zeros(index, g))
    return own if needs[0] else None, None, other if needs[2] else None


def gather_back(g: Any, dim: int, index: Any, src: Any) -> Any:
    """What was scattered, read back in the shape of its source (zero where the index did not reach)."""
    return _gathered(g, dim, index, src.shape)


def scatter(input: Any, dim: int, index: Any, src: Any, *, reduce: str | None = None) -> Any:
    """A copy of `input` with `src` (a tensor or a number) at the places along `dim` that `index` names.

    `reduce`: None replaces, "add" adds, "multiply" multiplies.
    """
    values = src if hasattr(src, "shape") else _filled(input, index, src)
    if reduce is None:
        return scatter_values(input, dim, index, values)
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return scatter_reduce(input, dim, index, values, "sum" if reduce == "add" else "prod")


# -- whole slices along a dimension -----------------------------------------------------------------------------------


@operation()
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy of `input` with the slices of `source` along `dim`, times `alpha`, added to those `index` names."""
    places, values, whole = _slices("index_add", input, dim, index, source)
    if alpha != 1:
        values = e.mul(values, alpha)
    return _back(scatter_add(whole, dim, places, values), input)


@operation(autocast="cpu:widest")
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of `input` with its slices that `index` names replaced by those of `source` along `dim`."""
    places, values, whole = _slices("index_copy", input, dim, index, source)
    return _back(scatter_values(whole, dim, places, values), input)


@operation()
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with its slices along `dim` that `index` names filled with one value."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    if getattr(index, "ndim", 1) > 1:
        raise IndexError("index_fill_(): Index is supposed to be a vector")
    whole = input if input.ndim else input.reshape(1)
    axis = check_dim(dim, whole.ndim)
    length = whole.shape[axis]
    flat = within(np.atleast_1d(_array(index)), length, "index_fill")
    selected = np.zeros(length, bool)
    selected[flat] = True
    mask = Tensor._wrap(selected.reshape(-1, *(1,) * (whole.ndim - axis - 1)))
    return _back(e.masked_fill(whole, mask, value), input)


@operation()
def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """A copy of `input` with the slices of `source` along `dim` reduced into those that `index` names."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    places, values, whole = _slices("index_reduce", input, dim, index, source)
    return _back(scatter_reduce(whole, dim, places, values, reduce, include_self=include_self), input)


# -- places of the flattened tensor, masks, and parts -----------------------------------------------------------------


@operation(autocast="cuda:widest")
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with `values` at (or added to) the places that a tuple of index tensors names."""
    if not isinstance(indices, tuple | list):
        raise TypeError(f"index_put(): argument 'indices' must be tuple of Tensors, not {type(indices).__name__}")
    index = ix.normalise(tuple(slice(None) if each is None else each for each in indices), input.ndim)
    if _array(values).dtype != _array(input).dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{_array(input).dtype} for the destination and {_array(values).dtype} for the source."
        )
    return add_at(input, values, index) if accumulate else ix.put_at(input, values, index)


@op(method=False)
def add_at(xp: Any, input: Array, value: Array, index: tuple[Any, ...]) -> Array:
    """A copy of `input` with `value` added at an index, in a fixed order."""
    result = input.copy(order="K")
    xp.add.at(result, index, value)
    return result


@add_at.vjp("input")
def _(g: Any) -> Any:
    return g


@add_at.vjp("value")
def _(g: Any, index: Any, value_shape: Any) -> Any:
    from framework.ops.reduce import sum_to_size

    return sum_to_size(ix.take_at(g, index), value_shape)


@operation()
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with `source` at (or added to) these places of the flattened tensor."""
    from framework.ops.shape import reshape

    places = _array(index)
    if places.dtype != np.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {places.dtype}")
    if _array(source).dtype != _array(input).dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype")
    if places.size != _array(source).size:
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{_array(source).size}, index.numel() = {places.size}"
        )
    flat = (within(places.reshape(-1), _array(input).size, "put_"),)
    rows, values = reshape(input, -1), reshape(source, -1)
    return reshape(add_at(rows, values, flat) if accumulate else ix.put_at(rows, values, flat), tuple(input.shape))


@operation()
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy of `input` with its elements under the mask replaced by those of `source`, in order."""
    from framework.ops.shape import broadcast_shapes, expand, reshape

    flags = _array(mask)
    if flags.dtype != np.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {flags.dtype}")
    if _array(source).dtype != _array(input).dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {_array(input).dtype} and "
            f"{_array(source).dtype}"
        )
    shape = broadcast_shapes(input.shape, flags.shape)
    flags = np.broadcast_to(flags, shape)
    count = int(flags.sum())
    if count > _array(source).size:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have compatible sizes: {count} places, "
            f"{_array(source).size} elements"
        )
    return ix.put_at(expand(input, shape), reshape(source, -1)[:count], (flags,))


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of `input` with `src` at one place of a dimension."""
    from framework.ops.shape import expect_slice, select

    expect_slice("select_scatter", select(input, dim, index).shape, src.shape)
    return ix.put_at(input, src, (slice(None),) * check_dim(dim, input.ndim) + (index,))


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy of `input` with `src` in a stretch of a dimension."""
    from framework.ops.shape import expect_slice

    index = (slice(None),) * check_dim(dim, input.ndim) + (slice(start, end, step),)
    expect_slice("slice_scatter", _array(input)[index].shape, src.shape)
    return ix.put_at(input, src, index)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _prepared(xp: Any, name: str, input: Any, dim: int, index: Any, src: Any) -> tuple[Any, Any, Any]:
    """A copy of at least one dimension, the places to write to, and the values for them."""
    axis = check_dim(dim, input.ndim)
    expect_same_rank(name, input, index)
    if src.dtype != input.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    result = input.reshape(1).copy() if not input.ndim else input.copy(order="K")
    wide = index.reshape(1) if not index.ndim else index
    values = src.reshape(1) if not src.ndim else src
    expect_same_rank(name, values, wide)
    if wide.size:
        expect_covered(name, wide.shape, values.shape, None, "src")
        expect_covered(name, wide.shape, result.shape, axis, "self")
    grid = list(xp.indices(wide.shape, sparse=True))
    grid[axis] = checked(xp, wide, result.shape[axis], name)
    return result, tuple(grid), values[cover(wide, None)]


def _gathered(g: Any, dim: int, index: Any, src_shape: Any) -> Any:
    grad = ix.gather(g, dim, index)
    if tuple(grad.shape) == tuple(src_shape):
        return grad
    return ix.slice_scatter_zeros(grad, tuple(src_shape), cover(index, None))


def _product_gradients(g: Any, input: Any, dim: int, index: Any, src: Any, include_self: bool, out: Any) -> Any:
    """Gradients of a product, right where one or more factors are zero."""
    zero = e.eq(input, 0)
    filled = e.where(zero, 1, input)
    rest = scatter_reduce(filled, dim, index, src, "prod", include_self=include_self)
    own = e.div(e.mul(g, rest), filled)
    src_zero = e.eq(src, 0)
    zeros = gather_back(scatter_add(0 * g, dim, index, e.mul(src_zero, 0 * src + 1)), dim, index, src)
    lone = e.logical_and(src_zero, e.eq(zeros, 1))
    without = scatter_reduce(input, dim, index, e.where(lone, 1, src), "prod", include_self=include_self)
    other = e.where(
        lone,
        gather_back(e.mul(g, without), dim, index, src),
        e.div(gather_back(e.mul(g, out), dim, index, src), e.where(src_zero, 1, src)),
    )
    return own, other


def _slices(name: str, input: Any, dim: int, index: Any, source: Any) -> tuple[Any, Any, Any]:
    """The index as scatter wants it, the source, and the input with at least one dimension."""
    from framework.ops.shape import expand, reshape

    flat = np.atleast_1d(_array(index))
    if flat.ndim > 1:
        raise IndexError(f"{name}_(): Index is supposed to be a vector, but got dim: {flat.ndim}")
    if flat.dtype.kind not in "iu":
        raise RuntimeError(f"{name}_(): Expected dtype int32/int64 for index but got: {flat.dtype}")
    if _array(source).dtype != _array(input).dtype:
        raise RuntimeError(f"{name}_(): self and source expected to have the same dtype")
    whole = input if input.ndim else reshape(input, 1)
    values = source if source.ndim else reshape(source, *(1,) * whole.ndim)
    axis = check_dim(dim, whole.ndim)
    if values.ndim != whole.ndim or any(
        n != m for number, (n, m) in enumerate(zip(whole.shape, values.shape)) if number != axis
    ):
        raise RuntimeError(
            f"{name}_(): source of shape {list(source.shape)} does not have the slices of {list(input.shape)} along "
            f"dimension {dim}"
        )
    if values.shape[axis] != flat.size:
        raise RuntimeError(
            f"{name}_(): Number of indices ({flat.size}) should be equal to source.size(dim): "
            f"({values.shape[axis]}), for dim: {dim}"
        )
    checked(np, flat, whole.shape[axis], name + "_")
    column = Tensor._wrap(flat.astype(np.int64).reshape(-1, *(1,) * (whole.ndim - axis - 1)))
    return expand(column, tuple(values.shape)), values, whole


def _back(result: Any, input: Any) -> Any:
    return result if input.ndim else result.reshape(())


def _array(value: Any) -> Any:
    return getattr(value, "_data", value)


def _constant(value: Any) -> Any:
    """A count, through which no gradient flows."""
    return value.detach() if isinstance(value, Tensor) else value


def _zeros(index: Any, like: Any) -> Any:
    return np.zeros(index.shape, _array(like).dtype)


def _filled(input: Any, index: Any, value: Any) -> Any:
    full = np.full(index.shape, value, _array(input).dtype)
    return Tensor._wrap(full) if isinstance(input, Tensor) else full


def _neutral(reduce: str, dtype: Any) -> Any:
    """The value that a reduction starts from."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.kind in "fV":
        return -np.inf if reduce == "amax" else np.inf
    if dtype.kind == "b":
        return reduce == "amin"
    return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max
