"""Large arrays on recycled memory.

Fresh memory costs a page fault every 4 KB, or zeroing 2 MB at a time: more than most kernels need for the same bytes.
Blocks of arrays that have died are kept, up to a limit, and given to the next arrays of about their size.
"""

import contextlib
import math
import mmap
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def empty(shape: Sequence[int], dtype: np.dtype[Any], channels_last: bool = False) -> Array:
    """An array that is not filled; channels_last: logical (N, C, *spatial) over (N, *spatial, C) memory."""
    order = (shape[0], *shape[2:], shape[1]) if channels_last else tuple(shape)
    size = math.prod(order) * dtype.itemsize
    array = np.empty(order, dtype) if size < SMALLEST else np.asarray(_Lease(_take(size), order, dtype))
    if poison:
        array.reshape(-1).view(np.uint8)[:] = 0xFF  # not a number in every floating type
    return np.moveaxis(array, -1, 1) if channels_last and len(order) > 2 else array


def set_cache_limit(size: int) -> None:
    """Keep at most `size` bytes of free blocks; 0 keeps none."""
    global _limit
    _limit = size
    if _cached > size:
        empty_cache()


def cached_bytes() -> int:
    """Bytes of free blocks kept for later arrays."""
    return _cached


def empty_cache() -> None:
    """Give all free blocks back to the system."""
    global _cached
    with _lock:
        blocks = list(_free.values())
        _free.clear()
        _cached = 0
    del blocks  # the system's work is done outside the lock


SMALLEST = 1 << 20  # bytes; the C library recycles smaller ones well
poison = False  # tests: fill new arrays with NaN, so that an element a kernel forgets is seen


class _Lease:
    """What an array on a block is based on: when array and views are gone, the block is free."""

    def __init__(self, block: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.block = block
        self.__array_interface__ = {
            "shape": shape, "typestr": dtype.str, "data": (block.ctypes.data, False), "version": 3,
        }  # fmt: skip

    def __del__(self) -> None:
        """Runs in any thread, also inside the garbage collector while this thread holds the lock: so it never waits."""
        global _cached
        size = self.block.nbytes
        if _lock.acquire(blocking=False):
            try:
                if _cached + size <= _limit:
                    _free.setdefault(size, []).append(self.block)
                    _cached += size
            finally:
                _lock.release()


def _take(size: int) -> Array:
    """A free block of the class of `size`, or a new one."""
    global _cached
    size = _rounded(size)
    with _lock:
        if _free.get(size):
            _cached -= size
            return _free[size].pop()
    if 2 * _cached > _limit:
        empty_cache()  # what is kept is not what is asked for now
    return _new(size)


def _rounded(size: int) -> int:
    """The next of eight sizes in each doubling, in huge pages where there is room for one."""
    step = max(1 << (size.bit_length() - 4), 4096)
    return -(-size // step) * step


def _new(size: int) -> Array:
    """`size` bytes from the system on a boundary of huge pages."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(size, np.uint8)
    region = mmap.mmap(-1, size + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            region.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(region, np.uint8)
    start = -whole.ctypes.data % _HUGE
    return whole[start : start + size]


def _default_limit() -> int:
    """A quarter of the memory, at most 4 GB."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30
    return min(memory // 4, 4 << 30)


_HUGE = 2 << 20
_free: dict[int, list[Array]] = {}
_cached = 0
_limit = _default_limit()
_lock = threading.Lock()
