"""Memory layout of activations: logical (N, C, *spatial) arrays whose channels lie side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import memory

Array = np.ndarray[Any, Any]


def served(*arrays: Array | None) -> bool:
    """Whether all are aligned, non-empty, native arrays of one element type that kernels are generated for."""
    given = [array for array in arrays if array is not None]
    kind = given[0].dtype
    return (kind == np.float32 or kind == np.float64) and all(
        array.dtype == kind and array.size and array.flags.aligned and array.dtype.isnative for array in given
    )


def channels_last(x: Array) -> Array:
    """x itself where the channels of each position lie side by side and no spatial axis runs backwards, else a copy."""
    if (x.shape[1] == 1 or x.strides[1] == x.itemsize) and min(x.strides[2:]) >= 0:
        return x
    copy = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    return np.moveaxis(copy, -1, 1)


def empty_channels_last(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """An array of logical `shape` (N, C, *spatial) over channels-last memory, not filled."""
    return memory.empty(shape, dtype, channels_last=True)


def is_dense(x: Array) -> bool:
    """Whether x is contiguous (N, C, *spatial) or contiguous (N, *spatial, C) memory."""
    return x.flags.c_contiguous or (x.ndim > 2 and bool(np.moveaxis(x, 1, -1).flags.c_contiguous))


def dense(x: Array) -> Array:
    """x itself where it is contiguous in one of the two layouts, else a channels-last copy."""
    return x if is_dense(x) else np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def empty_like(x: Array) -> Array:
    """An array of the shape and memory layout of a dense x, not filled."""
    if x.flags.c_contiguous:
        return memory.empty(x.shape, x.dtype)
    return empty_channels_last(x.shape, x.dtype)


def like(g: Array, x: Array) -> Array:
    """g in the memory layout of a dense x."""
    if g.strides == x.strides or (g.flags.c_contiguous and x.flags.c_contiguous):
        return g
    copy = empty_like(x)
    np.copyto(copy, g)
    return copy
