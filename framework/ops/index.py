"""Indexing: basic, boolean and integer, with gradients by gathering and scattering."""

from typing import Any

import numpy as np

from framework.core.device import array_module
from framework.core.op import Array, op
from framework.core.tensor import Tensor, check_dim


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
def _take(xp: Any, input: Array, index: tuple[Any, ...]) -> Array:
    """An index with arrays of integers or booleans: a copy."""
    return input[index]


@_take.vjp("input")
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
    return _take(g, index)


@op(method=False)
def index_put(xp: Any, input: Array, value: Array, index: tuple[Any, ...]) -> Array:
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


@index_put.vjp("input")
def _(g: Any, index: Any) -> Any:
    return index_put(g, np.zeros((), getattr(g, "_data", g).dtype), index)


@index_put.vjp("value")
def _(g: Any, index: Any, value_shape: Any) -> Any:
    from framework.ops.reduce import sum_to_size

    return sum_to_size(_take(g, index), value_shape)


def getitem(input: Tensor, index: Any) -> Tensor:
    """`input[index]` with NumPy's rules; negative steps work."""
    index = normalise(index, input._data.ndim)
    try:
        return _slice(input, index) if is_basic(index) else _take(input, index)
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
            if not item.ndim and item.dtype.kind != "b":
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
        isinstance(item, np.ndarray | bool | np.bool_) or hasattr(item, "__cuda_array_interface__") for item in index
    )


def _reword(message: str, index: tuple[Any, ...], input: Tensor) -> str:
    if "too many indices" in message:
        return f"too many indices for tensor of dimension {input.ndim}"
    return message.replace("axis", "dimension")


@op
def gather(xp: Any, input: Array, dim: int, index: Array) -> Array:
    """`out[i][j] = input[index[i][j]][j]` for `dim` 0, and so on."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return xp.broadcast_to(input, index.shape).copy()
    if not index.ndim:
        index = index.reshape(1)
        return xp.take_along_axis(input, _checked(xp, index, input.shape[axis], "gather"), axis)[0]
    return xp.take_along_axis(input[_cover(index, axis)], _checked(xp, index, input.shape[axis], "gather"), axis)


@gather.vjp("input")
def _(g: Any, input_shape: Any, dim: Any, index: Any) -> Any:
    return scatter_add(np.zeros(input_shape, getattr(g, "_data", g).dtype), dim, index, g)


@op(inplace=True)
def scatter_add(xp: Any, input: Array, dim: int, index: Array, src: Array) -> Array:
    """A copy of `input` with `src` added at the places along `dim` that `index` names, in a fixed order."""
    axis = check_dim(dim, input.ndim)
    result = input.copy()
    if not input.ndim:
        return result + src.sum()
    xp.add.at(result, _places(xp, index, axis, input.shape[axis], "scatter_add"), src[_cover(index, None)])
    return result


@scatter_add.vjp("input")
def _(g: Any) -> Any:
    return g


@scatter_add.vjp("src")
def _(g: Any, dim: Any, index: Any, src_shape: Any) -> Any:
    grad = gather(g, dim, index)
    if tuple(grad.shape) == tuple(src_shape):
        return grad
    return slice_scatter_zeros(grad, tuple(src_shape), _cover(index, None))


@op(inplace=True)
def index_select(xp: Any, input: Array, dim: int, index: Array) -> Array:
    """The places of a dimension that `index` (a vector) names."""
    axis = check_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not input.ndim:
        return input.copy()
    return xp.take(
        input, _checked(xp, xp.atleast_1d(index), input.shape[axis] if input.ndim else 1, "index_select"), axis
    )


@index_select.vjp("input")
def _(g: Any, input_shape: Any, dim: Any, index: Any) -> Any:
    if not input_shape:
        return g
    flat = getattr(index, "_data", index).reshape(-1)
    axis = check_dim(dim, len(input_shape))
    return index_add_zeros(g, tuple(input_shape), (slice(None),) * axis + (flat,))


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


@op(method=False)
def embedding(xp: Any, input: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """The rows of `weight` (V, E) that integer `input` (*) names: (*, E). The padding row gets no gradient."""
    return weight[_checked(xp, input, weight.shape[0], "embedding")]


@embedding.vjp("weight")
def _(g: Any, input: Any, weight_shape: Any, padding_idx: Any) -> Any:
    from framework.ops.elementwise import where

    index = getattr(input, "_data", input)
    if padding_idx is not None:
        g = where((index != padding_idx)[..., None], g, 0 * g)
    return index_add_zeros(g, tuple(weight_shape), (index,))


@op
def one_hot(xp: Any, input: Array, num_classes: int = -1) -> Array:
    """Integers (*) as rows of zeros with a one: (*, num_classes), int64."""
    if input.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if input.size and int(input.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(input.max()) + 1
    if input.size and int(input.max()) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return (input[..., None] == xp.arange(num_classes)).astype(np.int64)


def _cover(index: Any, axis: int | None) -> tuple[slice, ...]:
    """The corner of a tensor that an index of smaller shape addresses, whole along `axis`."""
    return tuple(slice(None) if number == axis else slice(length) for number, length in enumerate(index.shape))


def _places(xp: Any, index: Any, axis: int, length: int, name: str) -> tuple[Any, ...]:
    grid = list(xp.indices(index.shape, sparse=True))
    grid[axis] = _checked(xp, index, length, name)
    return tuple(grid)


def _checked(xp: Any, index: Any, length: int, name: str) -> Any:
    """The index, which must lie in [0, length)."""
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): expected an index of integers, got {index.dtype}")
    if xp is np and index.size and not (int(index.min()) >= 0 and int(index.max()) < length):
        wrong = int(index.max()) if int(index.max()) >= length else int(index.min())
        error = IndexError if name == "embedding" else RuntimeError
        raise error(f"{name}(): index {wrong} is out of bounds for a dimension of size {length}")
    return index
