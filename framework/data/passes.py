"""One pass over the data: which worker makes which batch, and in what order they are handed out."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.data.fetch import Outcome, Start
from framework.data.pin import can_pin, pin
from framework.data.threads import Inline

if TYPE_CHECKING:
    from framework.data.loader import DataLoader


class Pass(Iterator[Any]):
    """An iterator over the batches of one epoch.

    Batches are numbered. With indices, batch k is made by worker k modulo their number; workers of an iterable dataset
    take turns, and leave the round when theirs is exhausted. At most `prefetch_factor` batches a worker are under way.
    """

    def __init__(self, loader: DataLoader, workers: Any, starts: list[Start], batches: Iterator[Any] | None) -> None:
        self._loader, self._workers, self._batches = loader, workers, batches
        self._generation = starts[0].generation
        self._most = 1 if isinstance(workers, Inline) else loader.prefetch_factor or 2
        self._in_order, self._timeout = loader.in_order or isinstance(workers, Inline), loader.timeout
        self._number = self._turn = loader._batch if batches is not None else loader._turn
        self._active = [not (start.place or {}).get("ended") for start in starts]
        self._under_way = [0] * len(starts)
        self._ahead: deque[tuple[int, int]] = deque()  # (number, worker) of the batches under way
        self._ready: dict[int, Outcome] = {}
        self._pin = loader.pin_memory and can_pin()
        workers.begin(starts)
        if not isinstance(workers, Inline):
            self._fill()

    def __next__(self) -> Any:
        if self._workers is None:
            raise StopIteration
        try:
            self._fill()
            outcome = self._take()
            while outcome is not None and outcome.kind == "end":
                self._active[outcome.worker] = False
                self._loader._ended(self, max(outcome.worker, 0), outcome.place)
                self._fill()
                outcome = self._take()
            if outcome is None:
                self._leave()
                self._loader._finished(self)
                raise StopIteration
            if outcome.kind == "error":
                error = outcome.value
                del outcome
                try:
                    raise error
                finally:
                    del error  # a reference cycle through the traceback would keep the batch alive
            self._loader._delivered(self, max(outcome.worker, 0), outcome.place)
            if not isinstance(self._workers, Inline):
                self._fill()
        except StopIteration:
            raise
        except BaseException:
            self._loader._failed(self)
            self.close()
            raise
        return pin(outcome.value) if self._pin else outcome.value

    def close(self) -> None:
        """Stop the workers, or leave them to the next pass where the loader keeps them."""
        workers, self._workers = self._workers, None
        if workers is not None and self._loader._keeps(workers):
            for outcome in self._ready.values():
                workers.drop(outcome)
        elif workers is not None:
            workers.close()
        self._ahead.clear()
        self._ready.clear()

    _leave = close

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not end
            self.close()

    def _fill(self) -> None:
        """Have as many batches made as may be under way."""
        while True:
            worker = self._next_worker()
            if worker is None:
                return
            indices = None
            if self._batches is not None:
                indices = next(self._batches, self)
                if indices is self:
                    self._active = [False] * len(self._active)
                    return
            self._workers.send(worker, self._number, indices)
            self._ahead.append((self._number, worker))
            self._under_way[worker] += 1
            self._number += 1
            self._turn = worker + 1

    def _next_worker(self) -> int | None:
        """The worker whose turn it is; None while it is busy enough, or when none is left."""
        count = len(self._active)
        order = [w % count for w in range(self._turn, self._turn + count) if self._active[w % count]]
        if not self._in_order:
            order.sort(key=lambda worker: self._under_way[worker])
        return order[0] if order and self._under_way[order[0]] < self._most else None

    def _take(self) -> Outcome | None:
        """The outcome whose turn it is; None when no batch is under way."""
        if not self._ahead:
            return None
        end = time.monotonic() + self._timeout if self._timeout else None
        while self._ahead[0][0] not in self._ready and (self._in_order or not self._ready):
            left = None if end is None else end - time.monotonic()
            outcome = self._workers.receive(left)
            if outcome is None:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
            if outcome.generation == self._generation:
                self._ready[outcome.number] = outcome
            else:
                self._workers.drop(outcome)
            del outcome
        number = self._ahead[0][0] if self._in_order else next(iter(self._ready))
        outcome = self._workers.open(self._ready.pop(number))
        worker = max(outcome.worker, 0)
        self._ahead.remove((number, worker))
        self._under_way[worker] -= 1
        return outcome
