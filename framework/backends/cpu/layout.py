"""Memory layout of activations: logical (N, C, *spatial) arrays whose channels lie side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def served(*arrays: Array | None) -> bool:
    """Whether all are aligned, non-empty, native arrays of one element type that kernels are generated for."""
    given = [array for array in arrays if array is not None]
    kind = given[0].dtype
    return (kind == np.float32 or kind == np.float64) and all(
        array.dtype == kind and array.size and array.flags.aligned and array.dtype.isnative for array in given
    )


def channels_last(x: Array) -> Array:
    """x itself where the channels of each position lie side by side, else a copy that is so."""
    if x.shape[1] == 1 or x.strides[1] == x.itemsize:
        return x
    copy = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    return np.moveaxis(copy, -1, 1)


def empty_channels_last(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """An array of logical `shape` (N, C, *spatial) over channels-last memory, not filled."""
    return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
