"""Elements taken by tensors of places."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.device import array_module
from framework.core.op import Array, op
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops import index as ix


@op
def gather(xp: Any, input: Array, dim: int, index: Array, *, sparse_grad: bool = False) -> Array:
    """`out[i][j] = input[index[i][j]][j]` for `dim` 0, and so on; gradients are dense, whatever `sparse_grad` says."""
    axis = check_dim(dim, input.ndim)
    places = checked(xp, index, input.shape[axis] if input.ndim else 1, "gather")
    expect_same_rank("gather", input, index)
    if not input.ndim:
        return xp.broadcast_to(input, index.shape).copy()
    if not index.ndim:
        return input.reshape(-1)[places]
    if not index.size:
        return xp.empty(index.shape, input.dtype)
    expect_covered("gather", index.shape, input.shape, axis, "input")
    return xp.take_along_axis(input[cover(index, axis)], places, axis)


@gather.vjp("input")
def _(g: Any, input_shape: Any, dim: Any, index: Any) -> Any:
    zeros = np.zeros(input_shape, getattr(g, "_data", g).dtype)
    return ix.scatter_add(zeros, dim, index, g) if math.prod(g.shape) else e.mul(zeros, g.sum())


@op
def index_select(xp: Any, input: Array, dim: int, index: Array) -> Array:
    """The places of a dimension that `index` (a vector) names."""
    axis = check_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not input.ndim:
        return input.copy()
    return xp.take(
        input, checked(xp, xp.atleast_1d(index), input.shape[axis] if input.ndim else 1, "index_select"), axis
    )


@index_select.vjp("input")
def _(g: Any, input_shape: Any, dim: Any, index: Any) -> Any:
    if not input_shape:
        return g
    flat = getattr(index, "_data", index).reshape(-1)
    axis = check_dim(dim, len(input_shape))
    return ix.index_add_zeros(g, tuple(input_shape), (slice(None),) * axis + (flat,))


@operation()
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with the two broadcast against each other; of the flattened tensor when `dim` is None."""
    from framework.ops.shape import broadcast_shapes, expand, reshape

    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    axis = check_dim(dim, input.ndim)
    rest = [tuple(1 if number == axis else n for number, n in enumerate(item.shape)) for item in (input, indices)]
    shape = broadcast_shapes(*rest)
    wide, places = (
        expand(item, tuple(item.shape[axis] if number == axis else n for number, n in enumerate(shape)))
        for item in (input, indices)
    )
    return gather(wide, axis, Tensor._wrap(within(places._data, input.shape[axis], "take_along_dim")))


@operation()
def take(input: Any, index: Any) -> Any:
    """The elements at these places of the flattened tensor; negative ones count from the end."""
    from framework.ops.shape import reshape

    places = getattr(index, "_data", index)
    if places.dtype != np.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {places.dtype}")
    flat = reshape(input, -1)
    return ix.take_at(flat, (within(places, flat.shape[0], "take"),))


@op(method=False)
def embedding(
    xp: Any, input: Array, weight: Array, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> Array:
    """The rows of `weight` (V, E) that integer `input` (*) names: (*, E). The padding row gets no gradient.

    With `scale_grad_by_freq` a row's gradient is divided by how often it is named.
    """
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    return weight[checked(xp, input, weight.shape[0], "embedding")]


@embedding.vjp("weight")
def _(g: Any, input: Any, weight_shape: Any, padding_idx: Any, scale_grad_by_freq: Any) -> Any:
    index = getattr(input, "_data", input)
    if scale_grad_by_freq:
        counts = array_module(index).bincount(index.reshape(-1), minlength=weight_shape[0])
        g = e.mul(g, (1 / counts[index])[..., None].astype(g.dtype if not hasattr(g, "_data") else g._data.dtype))
    if padding_idx is not None:
        g = e.where((index != padding_idx)[..., None], g, 0 * g)
    return ix.index_add_zeros(g, tuple(weight_shape), (index,))


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


def cover(index: Any, axis: int | None) -> tuple[slice, ...]:
    """The corner of a tensor that an index of smaller shape addresses, whole along `axis`."""
    return tuple(slice(None) if number == axis else slice(length) for number, length in enumerate(index.shape))


def checked(xp: Any, index: Any, length: int, name: str) -> Any:
    """The index, which must lie in [0, length)."""
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, but got {index.dtype}")
    if xp is np and index.size and not (int(index.min()) >= 0 and int(index.max()) < length):
        wrong = int(index.max()) if int(index.max()) >= length else int(index.min())
        error = IndexError if name in ("embedding", "index_select") else RuntimeError
        raise error(f"{name}(): index {wrong} is out of bounds for a dimension of size {length}")
    return index


def within(places: Any, length: int, name: str) -> Any:
    """Places in [-length, length) counted from the front."""
    if places.size and (int(places.min()) < -length or int(places.max()) >= length):
        raise IndexError(f"{name}(): out of range: index outside a tensor of {length} elements")
    return np.where(places < 0, places + length, places)


def expect_same_rank(name: str, input: Any, index: Any) -> None:
    """RuntimeError unless an index has the number of dimensions of the tensor (numbers pass for vectors)."""
    if index.size and max(input.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError(f"{name}(): Index tensor must have the same number of dimensions as input tensor")


def expect_covered(name: str, index: Any, other: Any, axis: int | None, what: str) -> None:
    """RuntimeError where an index is longer than a tensor in a dimension other than `axis`."""
    if any(n > m for number, (n, m) in enumerate(zip(index, other)) if number != axis):
        raise RuntimeError(
            f"{name}(): Expected index {list(index)} to be no larger than {what} {list(other)} apart from dimension "
            f"{axis}"
        )
