"""Long lists of strings or arrays that worker processes share without copying them."""

from __future__ import annotations

import operator
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any, overload

import numpy as np

from framework.data.shared import Block, reserve

Array = np.ndarray[Any, Any]


class SharedList(Sequence[Any]):
    """A list that never changes, of strings, of bytes, or of arrays of one type, packed into one piece of memory.

    A list of a million strings is a million objects, whose reference counts every worker process writes to: each comes
    to hold a copy of the pages they lie on, and the memory a loader takes grows with its workers and with every epoch.
    A packed list is a few large arrays that nobody writes to. Processes that are forked share its pages, and to those
    that are spawned its memory is handed over, not its content. Items are made anew each time one is asked for.

    TypeError where the items are of different kinds.
    """

    _descriptor: int | None = None  # of the memory, once it was handed over

    def __init__(self, items: Iterable[Any]) -> None:
        items = list(items)
        first: Any = items[0] if items else b""
        self._kind: Any = next((kind for kind in (str, bytes, np.ndarray) if isinstance(first, kind)), None)
        if self._kind is None:
            raise TypeError(f"a SharedList holds strings, bytes or arrays, not {type(first).__name__}")
        self._dtype = first.dtype if self._kind is np.ndarray else np.dtype(np.uint8)
        if self._dtype.hasobject:
            raise TypeError("a SharedList holds arrays of numbers, not of objects")
        for number, item in enumerate(items):
            self._check(number, item, first)
        pieces = [self._bytes(item) for item in items]
        shapes = [item.shape for item in items] if self._kind is np.ndarray else []
        self._table = len(items), len(shapes[0]) if shapes else 0
        bytes_of_table = 8 * self._table[0] * (1 + self._table[1])
        memory = np.empty(bytes_of_table + sum(map(len, pieces)), np.uint8)
        memory[bytes_of_table:] = np.frombuffer(b"".join(pieces), np.uint8)
        self._place(memory)
        self._ends[:] = np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))
        if shapes:
            self._shapes[:] = shapes

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        number %= len(self)
        piece = self._content[self._ends[number - 1] if number else 0 : self._ends[number]]
        if self._kind is np.ndarray:
            return np.frombuffer(piece.tobytes(), self._dtype).reshape(self._shapes[number]).copy()
        return piece.tobytes().decode("utf-8", "surrogatepass") if self._kind is str else piece.tobytes()

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"SharedList({len(self)} items, {self.nbytes} bytes)"

    @property
    def nbytes(self) -> int:
        """Bytes of all items together with what finds them."""
        return int(self._memory.nbytes)

    def __reduce__(self) -> Any:
        if get_spawning_popen() is None:
            raise TypeError("a SharedList is handed over to processes as they are started, not pickled")
        if self._descriptor is None:  # move into memory that can be handed over; once, for all workers
            size = max(self.nbytes, 1)
            self._descriptor, in_file = reserve(size, 1)
            weakref.finalize(self, os.close, self._descriptor)
            shared = Block(os.dup(self._descriptor), size, in_file).bytes[: self.nbytes]
            shared[:] = self._memory
            self._place(shared)
        return _attach, (DupFd(self._descriptor), self.nbytes, self._table, self._kind.__name__, self._dtype)

    def _place(self, memory: Array) -> None:
        """Take memory that holds where each item ends, the arrays' shapes, and the items themselves."""
        count, ndim = self._table
        self._memory = memory
        self._ends = memory[: 8 * count].view(np.int64)
        self._shapes = memory[8 * count : 8 * count * (1 + ndim)].view(np.int64).reshape(count, ndim)
        self._content = memory[8 * count * (1 + ndim) :]

    def _check(self, number: int, item: Any, first: Any) -> None:
        if not isinstance(item, self._kind):
            raise TypeError(
                f"items of a SharedList must be of one kind: item 0 is {type(first).__name__}, item {number} is "
                f"{type(item).__name__}"
            )
        if self._kind is np.ndarray and (item.dtype, item.ndim) != (first.dtype, first.ndim):
            raise TypeError(
                f"arrays of a SharedList must have one type and number of dimensions: item 0 has {first.dtype} and "
                f"{first.ndim}, item {number} has {item.dtype} and {item.ndim}"
            )

    def _bytes(self, item: Any) -> bytes:
        if self._kind is np.ndarray:
            return item.tobytes()
        return item.encode("utf-8", "surrogatepass") if self._kind is str else bytes(item)


def _attach(handle: Any, size: int, table: tuple[int, int], kind: str, dtype: Any) -> SharedList:
    """The list in the process to which its memory was handed over."""
    result = object.__new__(SharedList)
    result._kind = {"str": str, "bytes": bytes, "ndarray": np.ndarray}[kind]
    result._dtype, result._table = dtype, table
    result._place(Block(handle.detach(), max(size, 1), False).bytes[:size])
    return result
