"""Shapes: views, joins, splits, padding."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, Arrays, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(args) == 1 and not isinstance(args[0], int | np.integer) and not hasattr(args[0], "item"):
        return tuple(int(length) for length in args[0])
    return tuple(int(length) for length in args)


# -- views ------------------------------------------------------------------------------------------------------------


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
    moved = [check_dim(dim, input.ndim) for dim in start]
    order = [dim for dim in range(input.ndim) if dim not in moved]
    for place, dim in sorted(zip([check_dim(dim, input.ndim) for dim in end], moved)):
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


def broadcast_to(input: Any, size: Any) -> Any:
    """`expand` under NumPy's name."""
    return expand(input, size)


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the other tensor's shape."""
    return expand(input, other.shape)


def view_as(input: Any, other: Any) -> Any:
    """Viewed in the other tensor's shape."""
    return view(input, other.shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Neighbouring dimensions joined into one."""
    if not input.ndim:
        return reshape(input, 1)
    first, last = check_dim(start_dim, input.ndim), check_dim(end_dim, input.ndim)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return reshape(input, (*input.shape[:first], math.prod(input.shape[first : last + 1]), *input.shape[last + 1 :]))


def unflatten(input: Any, dim: int, sizes_: Any) -> Any:
    """One dimension split into several."""
    axis = check_dim(dim, input.ndim)
    parts = list(sizes_)
    if -1 in parts:
        parts[parts.index(-1)] = input.shape[axis] // max(-math.prod(parts), 1)
    return reshape(input, (*input.shape[:axis], *parts, *input.shape[axis + 1 :]))


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """A stretch of one dimension."""
    axis = check_dim(dim, input.ndim)
    total = input.shape[axis]
    start = start + total if start < 0 else int(start)
    if not 0 <= start <= total or start + length > total:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({total}).")
    return input[(slice(None),) * axis + (slice(start, start + length),)]


def select(input: Any, dim: int, index: int) -> Any:
    """One place of a dimension, which goes away."""
    axis = check_dim(dim, input.ndim)
    if not -input.shape[axis] <= index < input.shape[axis]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return input[(slice(None),) * axis + (index,)]


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension."""
    return tuple(select(input, dim, index) for index in range(input.shape[check_dim(dim, input.ndim)]))


def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Stretches of one dimension, of one size (the last may be shorter) or of given sizes."""
    total = input.shape[check_dim(dim, input.ndim)]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
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
    return diagonal_scatter(g, tuple(input_shape), offset, dim1, dim2)


@op(method=False)
def diagonal_scatter(xp: Any, g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros with `g` on a diagonal: the derivative of `diagonal`."""
    result = xp.zeros(shape, g.dtype)
    target = result.diagonal(offset, dim1, dim2)
    if xp is np:
        target.flags.writeable = True
    target[...] = g
    return result


@diagonal_scatter.vjp("g")
def _(g: Any, offset: Any, dim1: Any, dim2: Any) -> Any:
    return diagonal(g, offset, dim1, dim2)


# -- copies -----------------------------------------------------------------------------------------------------------


@op
def contiguous(xp: Any, input: Array) -> Array:
    """The elements in row-major order; the tensor itself where they are."""
    return xp.ascontiguousarray(input) if not input.flags.c_contiguous else input[...]


@contiguous.vjp("input")
def _(g: Any) -> Any:
    return g


@op(method=False)
def _flip(xp: Any, input: Array, dims: tuple[int, ...]) -> Array:
    """Reversed along dimensions."""
    return xp.flip(input, dims).copy()


@_flip.vjp("input")
def _(g: Any, dims: Any) -> Any:
    return _flip(g, dims)


def flip(input: Any, dims: Any, *more: Any) -> Any:
    """A copy reversed along dimensions."""
    return _flip(input, tuple(check_dim(dim, input.ndim) for dim in sizes((dims, *more))))


@op
def roll(xp: Any, input: Array, shifts: Any, dims: Any = None) -> Array:
    """Moved along dimensions; what leaves at one end enters at the other."""
    return xp.roll(input, shifts, dims if dims is None or isinstance(dims, int) else tuple(dims))


@roll.vjp("input")
def _(g: Any, shifts: Any, dims: Any) -> Any:
    return roll(g, -shifts if isinstance(shifts, int) else tuple(-shift for shift in shifts), dims)


@op(method=False, kind="promote")
def _cat(xp: Any, tensors: Arrays, dim: int) -> Array:
    """Joined along a dimension."""
    return xp.concatenate(tensors, dim)


@_cat.vjp()
def _(g: Any, dim: Any, tensors_shape: Any, needs: Any, tensors: Any) -> Any:
    lengths = [tensor.shape[dim] for tensor in tensors]
    parts = split(g, lengths, dim)
    return [part if wanted else None for part, wanted in zip(parts, needs)]


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """The tensors joined along a dimension; all other lengths must agree."""
    items = list(tensors)
    if not items:
        raise RuntimeError("cat(): expected a non-empty list of Tensors")
    items = [
        item for item in items if item.ndim != 1 or item.shape[0] or all(each.ndim == 1 for each in items)
    ] or items[:1]
    axis = check_dim(dim, items[0].ndim)
    for number, item in enumerate(items):
        if item.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {number}) cannot be concatenated")
        for other in range(item.ndim):
            if item.ndim != items[0].ndim:
                raise RuntimeError(f"Tensors must have same number of dimensions: got {items[0].ndim} and {item.ndim}")
            if other != axis and item.shape[other] != items[0].shape[other]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {items[0].shape[other]} "
                    "but got "
                    f"size {item.shape[other]} for tensor number {number} in the list."
                )
    return _cat(items, axis) if out is None else _cat(items, axis, out=out)


def stack(tensors: Any, dim: int = 0) -> Any:
    """The tensors joined along a new dimension."""
    items = list(tensors)
    if not items:
        raise RuntimeError("stack expects a non-empty TensorList")
    for number, item in enumerate(items):
        if tuple(item.shape) != tuple(items[0].shape):
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(items[0].shape)} at entry 0 and "
                f"{list(item.shape)} at entry {number}"
            )
    return cat([unsqueeze(item, dim) for item in items], dim if dim >= 0 else dim + items[0].ndim + 1)


def tile(input: Any, dims: Any, *more: Any) -> Any:
    """Repeated along each dimension, with NumPy's rule for missing ones."""
    counts = sizes((dims, *more))
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat(input: Any, repeats: Any, *more: Any) -> Any:
    """A copy repeated along each dimension."""
    counts = sizes((repeats, *more))
    if len(counts) < input.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(counts) - input.ndim) + tuple(input.shape)
    spread = tuple(part for count, length in zip(counts, shape) for part in (count, length))
    single = tuple(part for length in shape for part in (1, length))
    return reshape(
        e.clone(expand(reshape(input, single), spread)), tuple(count * length for count, length in zip(counts, shape))
    )


_MODES: dict[str, Any] = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@op(method=False)
def _pad(xp: Any, input: Array, widths: tuple[tuple[int, int], ...], mode: str, value: float) -> Array:
    """With borders put on; negative widths cut."""
    if mode != "constant" and min(map(min, widths)) < 0 < max(map(max, widths)):  # torch grows first, then cuts
        grown = xp.pad(input, [(max(low, 0), max(high, 0)) for low, high in widths], _MODES[mode])
        return _pad.record.forward(
            xp, grown, tuple((min(low, 0), min(high, 0)) for low, high in widths), "constant", 0.0
        )
    cut = tuple(slice(max(-low, 0), length - max(-high, 0)) for (low, high), length in zip(widths, input.shape))
    grow = [(max(low, 0), max(high, 0)) for low, high in widths]
    options = {"constant_values": value} if mode == "constant" else {}
    return xp.pad(input[cut], grow, _MODES[mode], **options)


@_pad.vjp("input")
def _(g: Any, input_shape: Any, widths: Any, mode: Any) -> Any:
    if mode == "constant":
        return _pad(g, tuple((-low, -high) for low, high in widths), "constant", 0.0)
    return _unpad(g, tuple(input_shape), widths, mode)


@op(method=False)
def _unpad(xp: Any, g: Array, shape: tuple[int, ...], widths: tuple[tuple[int, int], ...], mode: str) -> Array:
    """The derivative of padding by copies: each border element's gradient goes to where it came from."""
    if min(map(min, widths)) < 0:
        widen = [(max(-low, 0), max(-high, 0)) for low, high in widths]
        g = xp.pad(g, widen)
        widths = tuple((max(low, 0), max(high, 0)) for low, high in widths)
    result = g
    for axis, (low, high) in enumerate(widths):
        if not low and not high:
            continue
        source = np.pad(np.arange(shape[axis]), (low, high), _MODES[mode])
        total = xp.zeros((*result.shape[:axis], shape[axis], *result.shape[axis + 1 :]), g.dtype)
        xp.add.at(total, (slice(None),) * axis + (xp.asarray(source),), result)
        result = total
    return result


@_unpad.vjp("g")
def _(g: Any, widths: Any, mode: Any) -> Any:
    return _pad(g, widths, mode, 0.0)


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Borders of (last dimension low, high, the one before low, high, ...), filled as `mode` says.

    Modes: "constant" (with `value`, default 0), "reflect", "replicate", "circular".
    """
    widths = [int(width) for width in pad]
    if len(widths) % 2 or len(widths) > 2 * input.ndim:
        raise RuntimeError(
            f"Padding length must be divisible by 2 and at most twice the number of dimensions, got {len(widths)}"
        )
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}; the modes are: {', '.join(_MODES)}")
    pairs = [(0, 0)] * (input.ndim - len(widths) // 2) + [
        (widths[number], widths[number + 1]) for number in range(len(widths) - 2, -1, -2)
    ]
    if mode == "reflect":
        for (low, high), length in zip(pairs, input.shape):
            if max(low, high) >= length and (low or high):
                raise RuntimeError(
                    f"Padding size should be less than the corresponding input dimension, but got: padding ({low}, "
                    f"{high}) "
                    f"for a dimension of {length} of input {list(input.shape)}"
                )
    return _pad(input, tuple(pairs), mode, 0.0 if value is None else value)


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
