"""Views: the same memory in another shape or order."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.core.tensor import Size, check_dim
from framework.ops import elementwise as e


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(args) == 1 and not isinstance(args[0], int | np.integer) and not hasattr(args[0], "item"):
        return tuple(int(length) for length in args[0])
    return tuple(int(length) for length in args)


@op(view=True, method=False)
def _reshape(xp: Any, input: Array, shape: tuple[int, ...]) -> Array:
    """The elements in row-major order in another shape; a view where strides allow."""
    return input.reshape(shape)


@_reshape.vjp("input")
def _(g: Any, input_shape: Any) -> Any:
    return _reshape(g, tuple(input_shape))


def reshape(input: Any, shape: Any = (), *more: Any) -> Any:
    """The same elements in another shape (one length may be -1); a view where the memory allows, else a copy."""
    wanted = sizes((shape, *more))
    return _reshape(input, _infer(wanted, input.shape))


def view(input: Any, size: Any = (), *more: Any) -> Any:
    """The same memory in another shape (or read as another dtype); RuntimeError where that needs a copy."""
    from framework.core.dtype import DType

    if isinstance(size, DType):
        return _reinterpret(input, size.numpy_dtype)
    result = _reshape(input, _infer(sizes((size, *more)), input.shape))
    array, source = getattr(result, "_data", result), getattr(input, "_data", input)
    if source.size and not np.may_share_memory(array, source):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return result


@op(view=True, method=False)
def _reinterpret(xp: Any, input: Array, dtype: Any) -> Array:
    """The same bytes as another type."""
    return input.view(dtype)


@op(view=True, method=False)
def _permute(xp: Any, input: Array, dims: tuple[int, ...]) -> Array:
    """The dimensions in another order."""
    return input.transpose(dims)


@_permute.vjp("input")
def _(g: Any, dims: Any) -> Any:
    return _permute(g, tuple(sorted(range(len(dims)), key=dims.__getitem__)))


def permute(input: Any, dims: Any = (), *more: Any) -> Any:
    """The dimensions in another order."""
    order = sizes((dims, *more))
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute: number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}"
        )
    axes = tuple(check_dim(dim, input.ndim) for dim in order)
    if len(set(axes)) != len(axes):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permute(input, axes)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    a, b = check_dim(dim0, input.ndim), check_dim(dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return _permute(input, tuple(order))


def t(input: Any) -> Any:
    """The transpose of a matrix; vectors stay."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions moved to other places, the rest in order."""
    start = [source] if isinstance(source, int) else list(source)
    end = [destination] if isinstance(destination, int) else list(destination)
    if len(start) != len(end):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({start} dims) should contain the same number of "
            f"dims as destination ({end} dims)"
        )
    moved = [check_dim(dim, input.ndim) for dim in start]
    places = [check_dim(dim, input.ndim) for dim in end]
    if len(set(moved)) != len(moved) or len(set(places)) != len(places):
        raise RuntimeError(f"movedim: repeated dim in source ({start}) or destination ({end})")
    order = [dim for dim in range(input.ndim) if dim not in moved]
    for place, dim in sorted(zip(places, moved)):
        order.insert(place, dim)
    return _permute(input, tuple(order))


@op(view=True, method=False)
def _squeeze(xp: Any, input: Array, dims: tuple[int, ...]) -> Array:
    """Without these dimensions of length one."""
    return input.squeeze(dims)


@_squeeze.vjp("input")
def _(g: Any, input_shape: Any) -> Any:
    return _reshape(g, tuple(input_shape))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without dimensions of length one: all of them, or those named."""
    chosen = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [check_dim(each, input.ndim) for each in chosen] if input.ndim else []
    return _squeeze(input, tuple(axis for axis in axes if input.shape[axis] == 1))


@op(view=True)
def unsqueeze(xp: Any, input: Array, dim: int) -> Array:
    """With a dimension of length one put in."""
    limit = input.ndim + 1
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return xp.expand_dims(input, dim % limit)


@unsqueeze.vjp("input")
def _(g: Any, input_shape: Any) -> Any:
    return _reshape(g, tuple(input_shape))


@op(view=True, method=False)
def _expand(xp: Any, input: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast to a shape without copying."""
    if xp is np:  # a writable view: writes through it are refused by stride, as torch does
        steps = (0,) * (len(shape) - input.ndim) + tuple(
            0 if have == 1 != want else step
            for have, want, step in zip(input.shape, shape[len(shape) - input.ndim :], input.strides)
        )
        return np.lib.stride_tricks.as_strided(input, shape, steps)
    return xp.broadcast_to(input, shape)


@_expand.vjp("input")
def _(g: Any, input_shape: Any) -> Any:
    from framework.ops.reduce import sum_to_size

    return sum_to_size(g, input_shape)


def expand(input: Any, size: Any, *more: Any) -> Any:
    """Dimensions of length one (and new leading ones) stretched without copying; -1 keeps a length."""
    wanted = sizes((size, *more))
    extra = len(wanted) - input.ndim
    full = tuple(
        input.shape[number - extra] if length == -1 and number >= extra else length
        for number, length in enumerate(wanted)
    )
    for number in range(max(extra, 0), len(full)):
        have = input.shape[number - extra]
        if have not in (1, full[number]):
            raise RuntimeError(
                f"The expanded size of the tensor ({full[number]}) must match the existing size ({have}) at "
                "non-singleton "
                f"dimension {number}.  Target sizes: {list(full)}.  Tensor sizes: {list(input.shape)}"
            )
    if extra < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(wanted)}) must be greater or equal to the number of "
            "dimensions in "
            f"the tensor ({input.ndim})"
        )
    return _expand(input, full)


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Two dimensions exchanged: `transpose` under NumPy's name."""
    return transpose(input, axis0, axis1)


def broadcast_to(input: Any, size: Any) -> Any:
    """`expand` under NumPy's name."""
    return expand(input, size)


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the other tensor's shape."""
    return expand(input, other.shape)


def view_as(input: Any, other: Any) -> Any:
    """Viewed in the other tensor's shape."""
    return view(input, other.shape)


def reshape_as(input: Any, other: Any) -> Any:
    """Reshaped to the other tensor's shape."""
    return reshape(input, tuple(other.shape))


def ravel(input: Any) -> Any:
    """All elements as a vector; a view where the memory allows."""
    return reshape(input, -1) if input.ndim != 1 else input


def adjoint(input: Any) -> Any:
    """The conjugate of matrices with their last two dimensions exchanged."""
    turned = transpose(input, -2, -1)
    return e.conj(turned) if getattr(input, "_data", input).dtype.kind == "c" else turned


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes broadcast to."""
    plain = [(int(shape),) if isinstance(shape, int) else tuple(int(length) for length in shape) for shape in shapes]
    if any(length < 0 for shape in plain for length in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension: {plain}")
    try:
        return Size(np.broadcast_shapes(*plain))
    except ValueError:
        raise RuntimeError(f"Shape mismatch: the shapes {plain} cannot be broadcast to a single shape") from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    shape = broadcast_shapes(*(item.shape for item in items))
    return tuple(expand(item, shape) for item in items)


def atleast_1d(*tensors: Any) -> Any:
    """Views of at least one dimension."""
    return _each(lambda item: reshape(item, 1) if not item.ndim else item, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Views of at least two dimensions: a vector becomes a row."""
    return _each(lambda item: item if item.ndim > 1 else reshape(item, 1, -1), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Views of at least three dimensions: (n,) becomes (1, n, 1), (n, m) becomes (n, m, 1)."""

    def raised(item: Any) -> Any:
        if item.ndim < 2:
            return reshape(item, 1, -1, 1)
        return unsqueeze(item, -1) if item.ndim == 2 else item

    return _each(raised, tensors)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Neighbouring dimensions joined into one."""
    if not input.ndim:
        return reshape(input, 1)
    first, last = check_dim(start_dim, input.ndim), check_dim(end_dim, input.ndim)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return reshape(input, (*input.shape[:first], math.prod(input.shape[first : last + 1]), *input.shape[last + 1 :]))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One dimension split into several, of which one may be -1."""
    axis = check_dim(dim, input.ndim)
    parts = [int(length) for length in sizes]
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    total = input.shape[axis]
    try:
        found = _infer(tuple(parts), (total,))
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {parts} don't multiply up to the size of dim {dim} ({total})"
        ) from None
    return reshape(input, (*input.shape[:axis], *found, *input.shape[axis + 1 :]))


def _each(function: Any, tensors: tuple[Any, ...]) -> Any:
    """One result for one tensor, a tuple for several or for a sequence."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return function(tensors[0])
    return tuple(function(item) for item in (tensors[0] if len(tensors) == 1 else tensors))


def _infer(shape: tuple[int, ...], have: Any) -> tuple[int, ...]:
    """The shape with -1 filled in; RuntimeError where the counts differ."""
    total = math.prod(have)
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(length < -1 for length in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    if -1 in shape:
        rest = -math.prod(shape)
        if rest == 0:
            if total:
                raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {total}")
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension "
                "size -1 "
                "can be any value and is ambiguous"
            )
        if total % rest == 0:
            return tuple(total // rest if length == -1 else length for length in shape)
    if math.prod(shape) != total or -1 in shape:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {total}")
    return shape
