"""A file as bytes that arrays can lie on."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from framework.serialization.errors import SerializationError


class Source:
    """An open file (a path, or a readable binary object), with arrays on its bytes.

    With `mapped` arrays lie on the file itself, copy-on-write: a page is read when it is first touched, and a write
    stays in memory. Otherwise every array is read into memory of its own. A binary object is read whole.
    """

    def __init__(self, file: str | os.PathLike[str] | IO[bytes], mapped: bool = True) -> None:
        self._file: Any = None
        if hasattr(file, "read"):
            name = getattr(file, "name", None)
            self.label = Path(name).name if isinstance(name, str) else "the given file object"
            self._memory: Any = bytearray(file.read())
            self.size = len(self._memory)
            self._mapped = True
            return
        self.label = Path(file).name
        # Not blocking: a named pipe without a writer would otherwise hold this up for ever.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SerializationError(f"'{self.label}' is not a regular file: give the path of a file of tensors")
            self.size = status.st_size
            self._memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY) if self.size else b""
        except BaseException:
            self._file.close()
            raise
        self._mapped = mapped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Arrays that were taken from the file keep the mapping alive."""
        if self._file is not None:
            self._file.close()

    def view(self) -> memoryview:
        """All bytes, without a copy."""
        return memoryview(self._memory)

    def read(self, begin: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        self._check(begin, length)
        return bytes(self._memory[begin : begin + length])

    def array(self, begin: int, length: int, alignment: int = 8) -> np.ndarray[Any, Any]:
        """`length` bytes as a writable array of uint8, whose address is a multiple of `alignment` (up to 8)."""
        self._check(begin, length)
        if not length:
            return np.empty(0, np.uint8)
        if not self._mapped:
            array = np.empty(length, np.uint8)
            self._fill(memoryview(array.data), begin)
            return array
        array = np.frombuffer(self._memory, np.uint8, length, begin)
        return array if array.ctypes.data % alignment == 0 else array.copy()

    def _check(self, begin: int, length: int) -> None:
        if begin < 0 or length < 0 or begin + length > self.size:
            raise SerializationError(
                f"'{self.label}' is truncated or damaged: it has {self.size} bytes, but something in it should end at "
                f"byte {begin + length}; copy or download it again"
            )

    def _fill(self, target: memoryview, begin: int) -> None:
        self._file.seek(begin)
        while target:  # one read gives at most 2 GiB
            count = self._file.readinto(target)
            if not count:
                raise SerializationError(f"'{self.label}' became shorter while it was read: copy or download it again")
            target = target[count:]
