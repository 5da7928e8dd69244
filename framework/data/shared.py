"""Memory that two processes see: where the arrays of a batch pass from a worker to the loader.

A block has no name in any file system: it is anonymous memory (memfd on Linux, which the size of /dev/shm does not
limit) or an unlinked temporary file, handed over as a file descriptor. Whatever becomes of the processes, nothing is
left behind. The memory is reserved when the block is made, so that a full machine is an error and not a crash.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_FRACTION = 0.5  # of the memory that is free, for all blocks of a loader together
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


class Block:
    """`size` bytes that can be mapped by another process, too. `in_file`: they lie in a temporary file."""

    def __init__(self, descriptor: int, size: int, in_file: bool) -> None:
        """Takes the descriptor over, and closes it: the mapping holds its own."""
        try:
            self.bytes: Array = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
        finally:
            os.close(descriptor)
        self.size, self.in_file = size, in_file


def reserve(size: int, blocks: int) -> tuple[int, bool]:
    """A descriptor of `size` new bytes, and whether they lie in a file.

    They lie in memory if `blocks` such blocks take at most half of what is free, else in a file of the folder for
    temporary files (TMPDIR). RuntimeError where neither has room.
    """
    if hasattr(os, "memfd_create") and size * blocks <= _FRACTION * free_memory():
        descriptor = os.memfd_create("voxhelix-loader")
        if _allocate(descriptor, size):
            return descriptor, False
    with tempfile.TemporaryFile(prefix="voxhelix-loader-") as file:
        descriptor = os.dup(file.fileno())
    if _allocate(descriptor, size):
        return descriptor, True
    raise RuntimeError(
        f"a batch of {size / 1e6:.0f} MB passes from a worker process through a buffer, of which the loader keeps "
        f"{blocks}: there are {free_memory() / 1e6:.0f} MB of free memory and no room in {tempfile.gettempdir()}. "
        "Make batches smaller, num_workers or prefetch_factor lower, point TMPDIR to a larger disk, or use threads"
    )


def free_memory() -> int:
    """Bytes that new allocations can have: of the machine, or of the container if that has less."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if _MEMINFO.exists():
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = (_CGROUP / limit).read_text().strip()
            if most != "max":
                free = min(free, max(int(most) - int((_CGROUP / used).read_text()), 0))
        except (OSError, ValueError):
            continue  # not this kind of container
    return free


def _allocate(descriptor: int, size: int) -> bool:
    """Give a file its size; False, and the file closed, where there is no room."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EFBIG):
            return False
        raise
    return True
