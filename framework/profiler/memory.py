"""Who holds memory: arrays followed from the operation that made them until they die, and what is alive now."""

import gc
import threading
import weakref
from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np

from framework.core.dtype import FROM_NUMPY
from framework.core.node import Node
from framework.core.observer import observer
from framework.core.tensor import Tensor


@dataclass
class Block:
    """Memory of one array: how much, for what, since and until when (nanoseconds; 0: alive), and what made it.

    `kind` is "op" or "backward" for what operations and derivatives made, and in a snapshot what holds the memory:
    "parameter", "gradient", "optimizer state", "saved for backward" or "tensor". `op` is "" where nobody was looking
    when it was made. `stack` is (file, line, function) from the innermost frame, with `with_stack`.
    """

    nbytes: int
    shape: tuple[int, ...]
    dtype: str
    op: str = ""
    kind: str = "tensor"
    stack: tuple[tuple[str, int, str], ...] = ()
    born: int = 0
    died: int = 0

    @property
    def line(self) -> str:
        """`file:line function` of the innermost frame outside this library, "" where it is not known."""
        for file, line, function in self.stack:
            if not file.startswith(_HOME):
                return f"{file}:{line} {function}"
        return ""


class Tracker:
    """Follows arrays by the memory they lie in; a view adds nothing."""

    def __init__(self) -> None:
        self.current = 0  # bytes of what was added and is alive
        self.blocks: list[Block] = []
        self._alive: dict[int, tuple[Any, Block]] = {}
        self._lock = threading.RLock()  # a death may come while this thread adds
        self._open = True

    def add(self, result: Any, event: Any, given: Any) -> int:
        """Follow the arrays of a result from now on, but for views of what was `given`; the bytes that are new."""
        if isinstance(result, tuple | list):
            return sum(self.add(each, event, given) for each in result)
        array = getattr(result, "_data", result)
        if not hasattr(array, "dtype") or not hasattr(array, "shape"):
            return 0
        holder = owner(array)
        key = id(holder)
        with self._lock:
            if key in self._alive or not self._open or any(owner(each) is holder for each in _arrays(given)):
                return 0
            name = str(FROM_NUMPY[array.dtype].name) if array.dtype in FROM_NUMPY else str(array.dtype)
            block = Block(
                _bytes(holder), tuple(array.shape), name, event.name, event.kind, event.stack, perf_counter_ns()
            )
            try:
                reference = weakref.ref(holder, lambda _: self._died(key))
            except TypeError:
                return 0
            self._alive[key] = (reference, block)
            self.blocks.append(block)
            self.current += block.nbytes
        return block.nbytes

    def block_of(self, array: Any) -> Block | None:
        """What is known of the memory that an array lies in."""
        found = self._alive.get(id(owner(array)))
        return None if found is None else found[1]

    def timeline(self) -> list[tuple[int, int]]:
        """(time, bytes alive from then on), ascending."""
        total = 0
        line = []
        for time, change in sorted(self._changes()):
            total += change
            line.append((time, total))
        return line

    def peak(self) -> tuple[int, list[Block]]:
        """The most bytes that were alive at once, and the blocks that were, largest first."""
        line = self.timeline()
        if not line:
            return 0, []
        time, most = max(line, key=lambda point: point[1])
        held = [block for block in self.blocks if block.born <= time and (not block.died or block.died > time)]
        return most, sorted(held, key=lambda block: -block.nbytes)

    def close(self) -> None:
        """Add nothing more; deaths are still seen, so that a later snapshot knows who is alive."""
        self._open = False

    def _changes(self) -> list[tuple[int, int]]:
        born = [(block.born, block.nbytes) for block in self.blocks]
        return born + [(block.died, -block.nbytes) for block in self.blocks if block.died]

    def _died(self, key: int) -> None:
        with self._lock:
            found = self._alive.pop(key, None)
            if found is not None:
                found[1].died = perf_counter_ns()
                self.current -= found[1].nbytes


@dataclass
class Snapshot:
    """What is alive: `blocks`, largest first, each memory once; and at the peak of the profile, where there was one."""

    blocks: list[Block]
    cached: int  # bytes of free blocks that are kept for the next arrays
    peak: int = 0
    peak_blocks: list[Block] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Bytes of all blocks."""
        return sum(block.nbytes for block in self.blocks)

    def by_kind(self) -> dict[str, int]:
        """Bytes by what holds them, most first."""
        return _grouped(self.blocks, "kind")

    def by_op(self) -> dict[str, int]:
        """Bytes by what made them, most first."""
        return _grouped(self.blocks, "op")

    def peak_by_op(self) -> dict[str, int]:
        """Bytes alive at the peak by what made them, most first."""
        return _grouped(self.peak_blocks, "op")

    def table(self, row_limit: int = 20) -> str:
        """The largest blocks as text."""
        from framework.profiler.table import memory_table

        return memory_table(self, row_limit)

    def __str__(self) -> str:
        return self.table()


def memory_snapshot() -> Snapshot:
    """The memory of all living tensors, gradients and arrays saved for backward.

    Which operation made a block is known for those made while a profile with `profile_memory=True` recorded (the one
    that runs, or the last one), and on which line with `with_stack=True`. The search goes over all Python objects:
    milliseconds to a second, by their number.
    """
    from framework.backends.cpu.memory import cached_bytes

    tracker: Tracker | None = observer.tracker
    blocks: dict[int, Block] = {}
    order = ("parameter", "gradient", "optimizer state", "tensor", "saved for backward")
    for kind, array in sorted(_living(), key=lambda item: order.index(item[0])):
        holder = owner(array)
        if id(holder) in blocks or not _bytes(holder):
            continue
        known = tracker.block_of(array) if tracker is not None else None
        made_by = known.op if known is not None else "AccumulateGrad" if kind == "gradient" else ""
        name = FROM_NUMPY[array.dtype].name if array.dtype in FROM_NUMPY else str(array.dtype)
        blocks[id(holder)] = Block(
            _bytes(holder),
            tuple(array.shape),
            name,
            made_by,
            kind,
            known.stack if known is not None else (),
            known.born if known is not None else 0,
        )
    peak, held = tracker.peak() if tracker is not None else (0, [])
    return Snapshot(sorted(blocks.values(), key=lambda block: -block.nbytes), cached_bytes(), peak, held)


def owner(array: Any) -> Any:
    """The array (or CuPy memory) that holds the memory of a view."""
    if type(array) is not np.ndarray:
        return getattr(getattr(array, "data", array), "mem", array)
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _living() -> list[tuple[str, Any]]:
    """Arrays that tensors, gradients, optimizers and the graph hold, with what they serve as."""
    from framework.nn.parameter import Parameter
    from framework.optim import Optimizer

    found: list[tuple[str, Any]] = []
    for item in gc.get_objects():
        kind = type(item)
        if issubclass(kind, Tensor):
            found.append(("parameter" if issubclass(kind, Parameter) else "tensor", item._data))
            if item._grad is not None:
                found.append(("gradient", item._grad._data))
        elif issubclass(kind, Node):
            saved = getattr(item, "saved", None) or ()
            values = saved.values() if isinstance(saved, dict) else saved
            found += [("saved for backward", value) for value in _arrays(values)]
        elif issubclass(kind, Optimizer):
            for state in item.state.values():
                found += [("optimizer state", value._data) for value in state.values() if isinstance(value, Tensor)]
    return found


def _arrays(values: Any) -> Any:
    """The arrays, also those of Tensors, in nested sequences."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _arrays(value)
        else:
            array = getattr(value, "_data", value)
            if hasattr(array, "dtype") and hasattr(array, "shape"):
                yield array


def _bytes(holder: Any) -> int:
    """NumPy's arrays say nbytes, CuPy's memory says size."""
    return int(holder.nbytes if hasattr(holder, "nbytes") else getattr(holder, "size", 0))


def _grouped(blocks: list[Block], by: str) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for block in blocks:
        sums[getattr(block, by) or "unknown"] += block.nbytes
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


_HOME = __file__.rpartition("profiler")[0]
