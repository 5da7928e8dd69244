"""Copies in another arrangement: reversed, rolled, repeated."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.layout import arranged, contiguous_format, is_arranged
from framework.core.op import Array, op
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops.index import index_select
from framework.ops.shape.views import expand, reshape, sizes, transpose


@op
def contiguous(xp: Any, input: Array, memory_format: Any = contiguous_format) -> Array:
    """The elements in row-major order, or another memory format; the tensor itself where they are."""
    return input[...] if is_arranged(input, memory_format) else arranged(xp, input, memory_format)


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
    axes = tuple(check_dim(dim, input.ndim) for dim in sizes((dims, *more)))
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {axes[0]} appears multiple times in the list of dims")
    return _flip(input, axes if input.ndim else ())


def fliplr(input: Any) -> Any:
    """A copy with its columns reversed."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """A copy with its rows reversed."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """A copy turned by 90 degrees `k` times, from the first of `dims` towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    first, second = (check_dim(dim, input.ndim) for dim in dims)
    if first == second:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    if k % 4 == 0:
        return e.clone(input)
    if k % 4 == 2:
        return flip(input, (first, second))
    turned = flip(input, second if k % 4 == 1 else first)
    return transpose(turned, first, second)


@op(method=False)
def _roll(xp: Any, input: Array, shifts: Any, dims: Any) -> Array:
    """Moved along dimensions."""
    return xp.roll(input, shifts, dims)


@_roll.vjp("input")
def _(g: Any, shifts: Any, dims: Any) -> Any:
    return _roll(g, -shifts if isinstance(shifts, int) else tuple(-shift for shift in shifts), dims)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Moved along dimensions (all elements as one row when None); what leaves at one end enters at the other."""
    steps = (int(shifts),) if isinstance(shifts, int) else tuple(int(shift) for shift in shifts)
    axes = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not steps:
        raise RuntimeError("`shifts` required")
    if not axes and len(steps) == 1:
        return _roll(input, steps[0], None)
    if len(steps) != len(axes):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(axes)}")
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return _roll(input, steps, tuple(check_dim(dim, input.ndim) for dim in axes))


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


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element (or each slice along `dim`) repeated in place; with one argument, the indices so repeated."""
    counts = np.asarray(getattr(input if repeats is None else repeats, "_data", input if repeats is None else repeats))
    if counts.dtype.kind not in "iu":
        raise RuntimeError(f"repeats has to be Long or Int tensor, got {counts.dtype}")
    if counts.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 0D or 1D vector as repeat")
    if counts.size and int(counts.min()) < 0:
        raise RuntimeError("repeats can not be negative")
    if repeats is None:
        return Tensor._wrap(np.repeat(np.arange(len(counts)), counts))
    source = reshape(input, -1) if dim is None else input
    axis = check_dim(-1 if dim is None else dim, source.ndim)
    length = source.shape[axis] if source.ndim else 1
    if counts.ndim and len(counts) not in (1, length):
        raise RuntimeError("repeats must have the same size as input along dim")
    places = np.repeat(np.arange(length), counts)
    if output_size is not None and len(places) != output_size:
        raise RuntimeError(f"allocated size {output_size} does not match required size {len(places)}")
    return index_select(source if source.ndim else reshape(source, 1), axis, Tensor._wrap(places))


@operation(autocast="cuda:float32")
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it."""
    from framework.ops.norms import norm

    if p <= 0 or isinstance(p, complex):
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    axis = check_dim(dim, input.ndim)
    length = norm(input, p, tuple(each for each in range(input.ndim) if each != axis), True)
    # as torch: 1e-7 keeps the scaled norm from exceeding the limit
    scale = e.where(e.gt(length, maxnorm), e.true_divide(maxnorm, e.add(length, 1e-7)), 1.0)
    return e.mul(input, scale)
