"""Joining, reshaping and reordering."""

from collections.abc import Sequence

import numpy as np

from framework.array_api.dtypes import meet, tensor_of
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops import shape as s

Axes = int | tuple[int, ...]


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after another along an axis; as flat rows when it is None."""
    items = meet(*arrays)
    if axis is None:
        return s.cat([s.reshape(item, -1) for item in items], 0)
    if not items[0].ndim:
        raise ValueError("concat: zero-dimensional arrays cannot be concatenated: give axis=None or use stack")
    ranks = {item.ndim for item in items}
    if len(ranks) > 1:
        raise ValueError(f"concat: the arrays must have one number of dimensions, got {sorted(ranks)}")
    return s.cat(items, check_dim(axis, items[0].ndim))


def expand_dims(x: Tensor, /, axis: int = 0) -> Tensor:
    """With an axis of length one put in."""
    return s.unsqueeze(tensor_of(x), axis)


def flip(x: Tensor, /, *, axis: Axes | None = None) -> Tensor:
    """Reversed along axes (all when None)."""
    return s.flip(tensor_of(x), tuple(range(x.ndim)) if axis is None else axis)


def moveaxis(x: Tensor, source: Axes, destination: Axes, /) -> Tensor:
    """With axes moved to other places."""
    return s.movedim(tensor_of(x), source, destination)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """With the axes in another order."""
    return s.permute(tensor_of(x), tuple(axes))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element (each slice along `axis`) repeated in place."""
    return s.repeat_interleave(tensor_of(x), repeats, axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements in row-major order in another shape; ValueError where `copy=False` would need a copy."""
    try:
        result = s.reshape(tensor_of(x), tuple(shape) if not isinstance(shape, int) else (shape,))
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    shared = np.may_share_memory(result._data, x._data) if isinstance(x._data, np.ndarray) else True
    if copy is False and not shared and x.numel():
        raise ValueError(f"reshape: {list(x.shape)} cannot become {list(result.shape)} without a copy")
    return e.clone(result) if copy and shared else result


def roll(x: Tensor, /, shift: Axes, *, axis: Axes | None = None) -> Tensor:
    """Moved along axes (all elements as one row when None); what leaves at one end enters at the other."""
    if axis is None and not isinstance(shift, int):
        raise ValueError("roll: several shifts need as many axes")
    if not isinstance(axis, int) and axis is not None and isinstance(shift, int):
        shift = (shift,) * len(axis)
    if isinstance(axis, int) and not isinstance(shift, int):
        axis = (axis,) * len(shift)
    return s.roll(tensor_of(x), shift, axis) if axis != () else e.clone(x)


def squeeze(x: Tensor, /, axis: Axes) -> Tensor:
    """Without the axes named, each of length one; ValueError for a longer one."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for each in axes:
        if not -x.ndim <= each < x.ndim:
            raise IndexError(f"squeeze: axis {each} is out of range for {x.ndim} dimensions")
        if tensor_of(x).shape[each] != 1:
            raise ValueError(f"squeeze: axis {each} has length {x.shape[each]}, not one")
    return s.squeeze(x, axes)


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The arrays beside one another along a new axis."""
    items = meet(*arrays)
    if len({tuple(item.shape) for item in items}) > 1:
        raise ValueError(f"stack: the arrays must have one shape, got {[list(item.shape) for item in items]}")
    return s.stack(items, axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """Repeated as a whole along each axis; missing repetitions, or axes, count as one."""
    counts = tuple(repetitions)
    return s.repeat(tensor_of(x), (1,) * (x.ndim - len(counts)) + counts) if counts or x.ndim else e.clone(x)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    if not tensor_of(x).ndim:
        raise ValueError("unstack: a zero-dimensional array has no axis")
    return tuple(s.unbind(x, check_dim(axis, x.ndim)))


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """The array in a larger shape, without a copy."""
    try:
        return s.broadcast_to(tensor_of(x), tuple(shape))
    except RuntimeError as error:
        raise ValueError(str(error)) from None


__all__ = [
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]
