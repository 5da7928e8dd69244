"""Memory formats and the strided layout, under PyTorch's names.

A format says in which order the elements of a dense tensor lie; shapes stay logical (N, C, ...) whatever the order.
"""

from typing import Any

import numpy as np


class MemoryFormat:
    """An order of elements in memory; `rank` is the number of dimensions it needs, None for any."""

    __slots__ = ("name", "rank")

    def __init__(self, name: str, rank: int | None = None) -> None:
        self.name = name
        self.rank = rank

    def __repr__(self) -> str:
        return f"framework.{self.name}"


class Layout:
    """How elements are stored at all; this package stores them strided."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"framework.{self.name}"


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last", 4)
channels_last_3d = MemoryFormat("channels_last_3d", 5)
strided = Layout("strided")


def is_arranged(array: Any, memory_format: MemoryFormat) -> bool:
    """Whether an array lies densely in a format; every array does in preserve_format."""
    if memory_format is preserve_format:
        return True
    if memory_format.rank is None:
        return bool(array.flags.c_contiguous)
    return array.ndim == memory_format.rank and bool(np.moveaxis(array, 1, -1).flags.c_contiguous)


def arranged(xp: Any, array: Any, memory_format: MemoryFormat | None, dtype: Any = None) -> Any:
    """A copy in a format (None and preserve_format keep the order of the source), in another type if one is given."""
    result = blank(xp, array, memory_format, dtype)
    result[...] = array
    return result


def blank(xp: Any, like: Any, memory_format: MemoryFormat | None, dtype: Any = None) -> Any:
    """Uninitialised memory of an array's shape in a format."""
    kind = like.dtype if dtype is None else dtype
    if memory_format is None or memory_format is preserve_format:
        return xp.empty_like(like, dtype=kind, subok=False) if xp is np else xp.empty_like(like, dtype=kind)
    return in_format(xp, like.shape, kind, memory_format)


def in_format(xp: Any, shape: tuple[int, ...], dtype: Any, memory_format: MemoryFormat) -> Any:
    """Uninitialised memory of a shape in a format; RuntimeError where the format needs another number of dimensions."""
    if not isinstance(memory_format, MemoryFormat):
        raise TypeError(f"memory_format must be framework.memory_format, not {type(memory_format).__name__}")
    if memory_format.rank is None:
        return xp.empty(shape, dtype)
    if len(shape) != memory_format.rank:
        raise RuntimeError(f"required rank {memory_format.rank} tensor to use {memory_format.name} format")
    return xp.moveaxis(xp.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
