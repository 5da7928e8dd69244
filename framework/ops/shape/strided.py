"""Views by strides: any geometry on a tensor's memory, and sliding windows."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops.shape.views import sizes


@op(view=True, method=False)
def _as_strided(
    xp: Any,
    input: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    start: int,
    geometry: tuple[int, ...],
) -> Array:
    """The elements at `start` + index . stride of the memory that an input of strides `geometry` lies in.

    `start` counts elements from the first of the input. An array of another geometry (a gradient, or a base that a
    view is replayed on) is read as if it lay so.
    """
    if tuple(step // input.itemsize for step in input.strides) == geometry:
        first = input.ravel()[:1] if not input.size else input[(slice(0, 1),) * input.ndim]
        if start:
            first = _moved(first, start)
        return np.lib.stride_tricks.as_strided(first, size, tuple(step * input.itemsize for step in stride))
    return input.reshape(-1)[_places(input.shape, geometry, size, stride, start)]


@_as_strided.vjp("input")
def _(g: Any, input_shape: Any, size: Any, stride: Any, start: Any, geometry: Any) -> Any:
    return as_strided_add_zeros(g, tuple(input_shape), size, stride, start, geometry)


@op(method=False)
def as_strided_add_zeros(
    xp: Any,
    g: Array,
    shape: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    start: int,
    geometry: tuple[int, ...],
) -> Array:
    """Zeros with `g` added at a strided geometry: the derivative of as_strided."""
    result = xp.zeros(math.prod(shape), g.dtype)
    xp.add.at(result, _places(shape, geometry, size, stride, start), g)
    return result.reshape(shape)


@as_strided_add_zeros.vjp("g")
def _(g: Any, size: Any, stride: Any, start: Any, geometry: Any) -> Any:
    return _as_strided(g, size, stride, start, geometry)


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view of the memory below a tensor, of the given size and strides in elements, from the offset given.

    RuntimeError where it would leave the memory.
    """
    return _as_strided(input, *_geometry(input, size, stride, storage_offset))


def as_strided_scatter(input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A copy of `input` with `src` at the places that `as_strided` of the same arguments shows."""
    from framework.ops.index import index_put
    from framework.ops.shape.parts import expect_slice
    from framework.ops.shape.views import reshape

    shape, steps, start, geometry = _geometry(input, size, stride, storage_offset)
    expect_slice("as_strided_scatter", shape, src.shape)
    places = _places(tuple(input.shape), geometry, shape, steps, start)
    return reshape(index_put(reshape(input, -1), (places,), src), tuple(input.shape))


@op(view=True)
def unfold(xp: Any, input: Array, dimension: int, size: int, step: int) -> Array:
    """Windows of `size` elements, `step` apart, along a dimension; they are the new last dimension."""
    if not input.ndim:
        if size > 1 or size < 0:
            raise RuntimeError(f"maximum size for tensor at dimension 0 is 1 but size is {size}")
        return input.reshape(1)[:size]
    axis = check_dim(dimension, input.ndim)
    if size < 0 or size > input.shape[axis]:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {input.shape[axis]} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    count = (input.shape[axis] - size) // step + 1
    shape = (*input.shape[:axis], count, *input.shape[axis + 1 :], size)
    steps = (*input.strides[:axis], input.strides[axis] * step, *input.strides[axis + 1 :], input.strides[axis])
    return (np if xp is np else xp).lib.stride_tricks.as_strided(input, shape, steps)


@unfold.vjp("input")
def _(g: Any, input_shape: Any, dimension: Any, size: Any, step: Any) -> Any:
    return unfold_add_zeros(g, tuple(input_shape), dimension, size, step)


@op(method=False)
def unfold_add_zeros(xp: Any, g: Array, shape: tuple[int, ...], dimension: int, size: int, step: int) -> Array:
    """Zeros with each window of `g` added where it was taken: the derivative of `unfold`."""
    result = xp.zeros(shape, g.dtype)
    if not shape:
        return result + g.sum()
    axis = check_dim(dimension, len(shape))
    count = g.shape[axis]
    for place in range(size):
        result[(slice(None),) * axis + (slice(place, place + (count - 1) * step + 1, step),)] += g[..., place]
    return result


@unfold_add_zeros.vjp("g")
def _(g: Any, dimension: Any, size: Any, step: Any) -> Any:
    return unfold(g, dimension, size, step)


def _geometry(input: Any, size: Any, stride: Any, storage_offset: int | None) -> tuple[Any, ...]:
    """Size, strides, start relative to the input's first element, and the input's own strides."""
    array = getattr(input, "_data", input)
    shape, steps = sizes((size,)), sizes((stride,))
    if len(shape) != len(steps):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(steps)} and {len(shape)}")
    if any(step < 0 for step in steps):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(steps)}")
    if storage_offset is not None and storage_offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    before = (array.ctypes.data - owner.ctypes.data) // array.itemsize if array.size else 0
    start = 0 if storage_offset is None else storage_offset - before
    total = owner.nbytes // array.itemsize
    last = before + start + sum((length - 1) * step for length, step in zip(shape, steps))
    if math.prod(shape) and last >= total:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset {before + start}, and itemsize "
            f"{array.itemsize} requiring a storage size of {(last + 1) * array.itemsize} are out of bounds for storage "
            f"of size {total * array.itemsize}"
        )
    return shape, steps, start, tuple(step // array.itemsize for step in array.strides)


def _places(
    shape: tuple[int, ...], geometry: tuple[int, ...], size: tuple[int, ...], stride: tuple[int, ...], start: int
) -> Any:
    """For each element of the strided view, its number in the row-major order of the input."""
    offsets = np.full(size, start, np.int64)
    for axis, (length, step) in enumerate(zip(size, stride)):
        offsets += (np.arange(length) * step).reshape(-1, *(1,) * (len(size) - axis - 1))
    own = np.zeros(shape, np.int64)
    for axis, (length, step) in enumerate(zip(shape, geometry)):
        own += (np.arange(length) * step).reshape(-1, *(1,) * (len(shape) - axis - 1))
    flat = own.reshape(-1)
    order = np.argsort(flat, kind="stable")
    found = np.minimum(np.searchsorted(flat[order], offsets), max(flat.size - 1, 0))
    places = order[found]
    if offsets.size and not (flat[places] == offsets).all():
        raise RuntimeError("as_strided: a derivative cannot reach memory outside the elements of its input")
    return places


def _moved(array: Any, start: int) -> Any:
    """A one-element array moved by elements within the memory of its owner."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    flat = np.lib.stride_tricks.as_strided(owner, (owner.nbytes // owner.itemsize,), (owner.itemsize,))
    place = (array.ctypes.data - owner.ctypes.data) // array.itemsize + start
    return flat.view(array.dtype)[place : place + 1]
