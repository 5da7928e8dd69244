"""Indexing: basic, boolean and integer, with gradients by gathering and scattering."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.device import array_module
from framework.core.op import Array, op
from framework.core.tensor import Tensor


@op(view=True, method=False)
def _slice(xp: Any, input: Array, index: tuple[Any, ...]) -> Array:
    """A basic index (numbers, slices, None, ...): a view."""
    return input[index if Ellipsis in index else (*index, ...)]  # the dots keep a lone element a view


@_slice.vjp("input")
def _(g: Any, input_shape: Any, index: Any) -> Any:
    return slice_scatter_zeros(g, tuple(input_shape), index)


@op(method=False)
def slice_scatter_zeros(xp: Any, g: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
    """Zeros with `g` at a basic index: the derivative of slicing."""
    result = xp.zeros(shape, g.dtype)
    result[index] = g
    return result


@slice_scatter_zeros.vjp("g")
def _(g: Any, index: Any) -> Any:
    return _slice(g, index)


@op(method=False)
def take_at(xp: Any, input: Array, index: tuple[Any, ...]) -> Array:
    """An index with arrays of integers or booleans: a copy."""
    return input[index]


@take_at.vjp("input")
def _(g: Any, input_shape: Any, index: Any) -> Any:
    return index_add_zeros(g, tuple(input_shape), index)


@op(method=False)
def index_add_zeros(xp: Any, g: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
    """Zeros with `g` added at an advanced index, in a fixed order: the derivative of taking."""
    result = xp.zeros(shape, g.dtype)
    xp.add.at(result, index, g)
    return result


@index_add_zeros.vjp("g")
def _(g: Any, index: Any) -> Any:
    return take_at(g, index)


@op(method=False)
def put_at(xp: Any, input: Array, value: Array, index: tuple[Any, ...]) -> Array:
    """A copy of `input` with `value` at an index."""
    result = input.copy(order="K")
    try:
        result[index] = value
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of "
            "shape "
            f"{list(input[index].shape)}"
        ) from None
    return result


@put_at.vjp("input")
def _(g: Any, index: Any) -> Any:
    return put_at(g, np.zeros((), getattr(g, "_data", g).dtype), index)


@put_at.vjp("value")
def _(g: Any, index: Any, value_shape: Any) -> Any:
    from framework.ops.reduce import sum_to_size

    return sum_to_size(take_at(g, index), value_shape)


def getitem(input: Tensor, index: Any) -> Tensor:
    """`input[index]` with NumPy's rules; negative steps work."""
    index = normalise(index, input._data.ndim)
    try:
        return _slice(input, index) if is_basic(index) else take_at(input, index)
    except IndexError as error:
        raise IndexError(_reword(str(error), index, input)) from None


def normalise(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index as a tuple of numbers, slices, None, Ellipsis and arrays."""
    items = index if isinstance(index, tuple) else (index,)
    result = []
    for item in items:
        if isinstance(item, Tensor):
            item = item._data
            if item.dtype == np.uint8:
                item = item.astype(bool)
            if item.dtype.kind not in "iub":
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            if not item.ndim and item.dtype.kind != "b" and not hasattr(item, "level"):
                item = int(item)
        elif isinstance(item, list | range):
            item = np.asarray([each._data if isinstance(each, Tensor) else each for each in item])
            if not item.size:
                item = item.astype(np.int64)
        elif isinstance(item, np.ndarray) and not item.ndim and item.dtype.kind in "iu":
            item = int(item)
        elif isinstance(item, slice):
            item = slice(*(None if part is None else part.__index__() for part in (item.start, item.stop, item.step)))
        elif not (
            item is None
            or item is Ellipsis
            or isinstance(item, bool | np.bool_ | np.ndarray)
            or hasattr(item, "__index__")
        ):
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
                "(got "
                f"{type(item).__name__})"
            )
        result.append(item)
    return tuple(result)


def is_basic(index: tuple[Any, ...]) -> bool:
    """Whether an index makes a view: no arrays and no booleans."""
    return not any(
        isinstance(item, np.ndarray | bool | np.bool_)
        or hasattr(item, "__cuda_array_interface__")
        or hasattr(item, "level")
        for item in index
    )


def _reword(message: str, index: tuple[Any, ...], input: Tensor) -> str:
    if "too many indices" in message:
        return f"too many indices for tensor of dimension {input.ndim}"
    return message.replace("axis", "dimension")


@op
def masked_select(xp: Any, input: Array, mask: Array) -> Array:
    """The elements where the mask holds, as a vector."""
    if mask.dtype != np.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    both = xp.broadcast_arrays(input, mask)
    return both[0][both[1]]


@masked_select.vjp("input")
def _(g: Any, input_shape: Any, mask: Any) -> Any:
    flags = getattr(mask, "_data", mask)
    shape = np.broadcast_shapes(tuple(input_shape), flags.shape)
    from framework.ops.reduce import sum_to_size

    return sum_to_size(index_add_zeros(g, shape, (np.broadcast_to(flags, shape),)), input_shape)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero: a (n, ndim) tensor, or a tuple of vectors."""
    array = input._data
    found = array_module(array).nonzero(array) if array.ndim else (np.zeros(int(bool(array)), np.int64),)
    if as_tuple:
        return tuple(Tensor._wrap(each) for each in found)
    stacked = array_module(array).stack(found, 1) if array.ndim else np.zeros((int(bool(array)), 0), np.int64)
    return Tensor._wrap(stacked)


def argwhere(input: Any) -> Any:
    """The indices of elements that are not zero: (n, ndim)."""
    return nonzero(input)


@operation()
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """`nonzero` with exactly `size` rows: cut off, or filled up with `fill_value`."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = nonzero(input)._data
    result = np.full((size, found.shape[1]), fill_value, np.int64)
    result[: len(found)] = found[:size]
    return Tensor._wrap(result)
