"""Parts of a tensor: stretches, slices, pieces and diagonals, as views."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.shape.views import reshape


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """A stretch of one dimension."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, got {length}")
    axis = check_dim(dim, input.ndim)
    total = input.shape[axis]
    if getattr(start, "ndim", 0) or getattr(getattr(start, "_data", None), "dtype", np.dtype(int)).kind not in "iu":
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    start = int(start)
    if not -total <= start <= total:
        raise IndexError(f"start out of range (expected to be in range of [{-total}, {total}], but got {start})")
    start = start + total if start < 0 else start
    if start + length > total:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({total}).")
    return input[(slice(None),) * axis + (slice(start, start + length),)]


def select(input: Any, dim: int, index: int) -> Any:
    """One place of a dimension, which goes away."""
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = check_dim(dim, input.ndim)
    if not -input.shape[axis] <= index < input.shape[axis]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return input[(slice(None),) * axis + (index,)]


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension."""
    if not input.ndim:
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(select(input, dim, index) for index in range(input.shape[check_dim(dim, input.ndim)]))


def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Stretches of one dimension, of one size (the last may be shorter) or of given sizes."""
    total = input.shape[check_dim(dim, input.ndim)]
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and total):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        lengths = [min(size, total - start) for start in range(0, total, max(size, 1))] or [0]
    else:
        lengths = list(split_size_or_sections)
        if math.fsum(lengths) != total:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {total} (input tensor's size at dimension "
                f"{dim}), "
                f"but got split_sizes={lengths}"
            )
    starts = [int(math.fsum(lengths[:number])) for number in range(len(lengths))]
    return tuple(narrow(input, dim, start, length) for start, length in zip(starts, lengths))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most so many stretches of one dimension, of equal length but for the last."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    total = input.shape[check_dim(dim, input.ndim)]
    return split(input, max(-(-total // chunks), 1), dim)


@op(view=True)
def diagonal(xp: Any, input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The diagonal of two dimensions, as the last."""
    result = input.diagonal(offset, check_dim(dim1, input.ndim), check_dim(dim2, input.ndim))
    if xp is np:
        result.flags.writeable = input.flags.writeable
    return result


@diagonal.vjp("input")
def _(g: Any, input_shape: Any, offset: Any, dim1: Any, dim2: Any) -> Any:
    return diagonal_scatter_zeros(g, tuple(input_shape), offset, dim1, dim2)


@op(method=False)
def diagonal_scatter_zeros(xp: Any, g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros with `g` on a diagonal: the derivative of `diagonal`."""
    result = xp.zeros(shape, g.dtype)
    _writable_diagonal(xp, result, offset, dim1, dim2)[...] = g
    return result


@diagonal_scatter_zeros.vjp("g")
def _(g: Any, offset: Any, dim1: Any, dim2: Any) -> Any:
    return diagonal(g, offset, dim1, dim2)


@op
def diagonal_scatter(xp: Any, input: Array, src: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """A copy of `input` with `src` on a diagonal."""
    result = input.copy(order="K")
    target = _writable_diagonal(xp, result, offset, dim1, dim2)
    expect_slice("diagonal_scatter", target.shape, src.shape)
    target[...] = src
    return result


@diagonal_scatter.vjp("input")
def _(g: Any, offset: Any, dim1: Any, dim2: Any) -> Any:
    return diagonal_scatter(g, 0 * diagonal(g, offset, dim1, dim2), offset, dim1, dim2)


@diagonal_scatter.vjp("src")
def _(g: Any, offset: Any, dim1: Any, dim2: Any) -> Any:
    return diagonal(g, offset, dim1, dim2)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in the dimensions `dim1` and `dim2`, whose diagonals are the last dimension of `input`."""
    ndim = input.ndim + 1
    first, second = check_dim(dim1, ndim), check_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    side = input.shape[-1] + abs(offset)
    rest = iter(input.shape[:-1])
    shape = tuple(side if axis in (first, second) else next(rest) for axis in range(ndim))
    return diagonal_scatter_zeros(input, shape, offset, first, second)


def diag(input: Any, diagonal: int = 0) -> Any:
    """A vector as the diagonal of a matrix, or a copy of a matrix's diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return _diagonal_copy(input, diagonal, 0, 1)


def diagflat(input: Any, offset: int = 0) -> Any:
    """All elements on the diagonal of a matrix."""
    return diag_embed(reshape(input, -1), offset)


@operation(autocast="cpu:float32")
def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    from framework.ops.reduce import sum

    if input.ndim != 2:
        raise RuntimeError("trace: expected a matrix")
    return sum(diagonal(input))


# -- pieces of one dimension ------------------------------------------------------------------------------------------


def split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> tuple[Any, ...]:
    """Stretches of given lengths."""
    return split(input, list(split_sizes), dim)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Stretches between the given indices, or so many of nearly equal length (the first ones longer)."""
    if not input.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    axis = check_dim(dim, input.ndim)
    total = input.shape[axis]
    if hasattr(indices_or_sections, "tolist"):
        if indices_or_sections.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero or one-dimensional tensor"
            )
        if getattr(indices_or_sections, "_data", indices_or_sections).dtype.name != "int64":
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to have dtype of long")
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        size, longer = divmod(total, count)
        edges = [number * size + min(number, longer) for number in range(1, count)]
    else:
        edges = [int(index) for index in indices_or_sections]
    pieces = []
    for start, end in zip([0, *edges], [*edges, total]):
        pieces.append(input[(slice(None),) * axis + (slice(start, end),)])
    return tuple(pieces)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split by columns (a vector by its only dimension)."""
    if not input.ndim:
        raise RuntimeError(
            "torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with 0 dimensions!"
        )
    return _split_evenly("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split by rows."""
    if input.ndim < 2:
        raise RuntimeError(f"vsplit requires a tensor with at least 2 dimension, but got a tensor with {input.ndim}")
    return _split_evenly("vsplit", input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split along the third dimension."""
    if input.ndim < 3:
        raise RuntimeError(f"dsplit requires a tensor with at least 3 dimension, but got a tensor with {input.ndim}")
    return _split_evenly("dsplit", input, indices_or_sections, 2)


def _split_evenly(name: str, input: Any, indices_or_sections: Any, axis: int) -> tuple[Any, ...]:
    if isinstance(indices_or_sections, int) and (indices_or_sections <= 0 or input.shape[axis] % indices_or_sections):
        raise RuntimeError(
            f"{name} attempted to split along dimension {axis}, but the size of the dimension {input.shape[axis]} is "
            f"not divisible by the split_size {indices_or_sections}!"
        )
    return tensor_split(input, indices_or_sections, axis)


def expect_slice(name: str, place: Any, src: Any) -> None:
    """RuntimeError where a source does not have the shape of the part it is to replace."""
    if tuple(place) != tuple(src):
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = {list(src)}, slice size = "
            f"{list(place)}"
        )


def _writable_diagonal(xp: Any, array: Any, offset: int, dim1: int, dim2: int) -> Any:
    target = array.diagonal(offset, check_dim(dim1, array.ndim), check_dim(dim2, array.ndim))
    if type(target).__module__ == "numpy":
        target.flags.writeable = True
    return target


def _diagonal_copy(input: Any, offset: int, dim1: int, dim2: int) -> Any:
    return e.clone(diagonal(input, offset, dim1, dim2))
