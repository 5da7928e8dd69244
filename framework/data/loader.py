"""The loader: batches of a dataset, made ahead by threads, in a fixed order."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import Any

from framework.core.random import fold
from framework.data.collate import default_collate
from framework.data.sampler import BatchSampler, RandomSampler, SequentialSampler, fresh_seed
from framework.data.worker import WorkerInfo, enter_item, enter_worker, leave_item

_WORKER = 0x776F726B  # keeps the seeds of workers apart from those of items
_JOIN_SECONDS = 10.0  # how long a closing loader waits for items that are being read


class DataLoader:
    """Iterates over batches of a dataset; each `iter()` is one epoch.

    Workers are threads: reading, decompressing and NumPy release the interpreter, and nothing is copied between
    processes. The order of batches, and what `item_rng` gives each item, depend on `seed` and the epoch only, not on
    the number of workers. An exception of the dataset reaches the caller as it is, with a note that names the item.

    `batch_size=None` yields single items. At most `prefetch_factor` batches per worker are made ahead.
    `state_dict()` says where the run stands; after `load_state_dict` the next `iter()` continues in that epoch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        prefetch_factor: int = 2,
        seed: int | None = None,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable threads.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if prefetch_factor < 1:
            raise ValueError("prefetch_factor should be at least 1")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and batch_sampler is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.worker_init_fn, self.prefetch_factor = worker_init_fn, prefetch_factor
        self.seed = fresh_seed() if seed is None else int(seed)
        if sampler is None and batch_sampler is None:
            sampler = RandomSampler(dataset, seed=self.seed) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.batch_size = batch_size if batch_sampler is None else getattr(batch_sampler, "batch_size", None)
        self.drop_last = drop_last
        self.collate_fn = default_collate if collate_fn is None and batch_sampler is not None else collate_fn
        self.epoch = 0
        self._batch = 0  # batches of this epoch handed out so far
        self._begun = False  # whether a pass of this epoch was begun
        self._resume = False  # whether the next pass continues this epoch
        self._current: weakref.ref[_Pass] | None = None

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Any]:
        if not self._resume:
            self.epoch += self._begun
            self._batch = 0
        self._resume, self._begun = False, True
        for thing in (self._order, self.dataset):
            if hasattr(thing, "set_epoch"):
                thing.set_epoch(self.epoch)
        batches = islice(iter(self._order), self._batch, None)
        current = _Pass(self, self.epoch, batches, self._batch)
        self._current = weakref.ref(current)
        return current

    def set_epoch(self, epoch: int) -> None:
        """Make the next `iter()` the beginning of this epoch."""
        self.epoch, self._batch, self._begun, self._resume = int(epoch), 0, False, False

    def state_dict(self) -> dict[str, Any]:
        """Epoch, batches handed out in it, and the seeds that fix the order; numbers only."""
        state = {"epoch": self.epoch, "batch": self._batch, "seed": self.seed, "batches": len(self)}
        sampler_seed = getattr(self.sampler, "seed", None)
        return state if sampler_seed is None else {**state, "sampler_seed": sampler_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, with the next `iter()`, where the loader stood that gave this state.

        ValueError where this loader has another number of batches, because its order would be another too.
        """
        if state["batches"] != len(self):
            raise ValueError(
                f"cannot resume the loader: an epoch had {state['batches']} batches when its state was saved and has "
                f"{len(self)} now; use the same dataset, batch size and sampler, or start a new epoch with set_epoch"
            )
        self.seed = int(state["seed"])
        if "sampler_seed" in state and hasattr(self.sampler, "seed"):
            self.sampler.seed = int(state["sampler_seed"])
        self.epoch, self._batch = int(state["epoch"]), int(state["batch"])
        self._resume, self._begun = True, self._batch > 0

    @property
    def _order(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _delivered(self, by: _Pass, batch: int) -> None:
        if self._current is not None and self._current() is by:
            self._batch = batch

    def _finished(self, by: _Pass) -> None:
        if self._current is not None and self._current() is by:
            self.set_epoch(self.epoch + 1)


class _Pass(Iterator[Any]):
    """One pass over the data. Worker threads know only the `_Exchange`, so that a dropped pass is closed at once."""

    def __init__(self, loader: DataLoader, epoch: int, batches: Iterator[Any], first: int) -> None:
        self._loader, self._batches = loader, enumerate(batches, first)
        self._next = first
        self._sent = first
        self._timeout = loader.timeout
        self._fetch = _Fetch(loader, epoch)
        self._exchange = _Exchange()
        self._queues: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(loader.num_workers)]
        self._threads: list[threading.Thread] = []
        for number, queue in enumerate(self._queues):
            seed = fold(loader.seed, epoch, number, _WORKER)
            info = WorkerInfo(number, loader.num_workers, seed, epoch, loader.dataset)
            work = self._fetch, self._exchange, queue, info, loader.worker_init_fn
            self._threads.append(threading.Thread(target=_work, args=work, name=f"loader-{number}", daemon=True))
        for thread in self._threads:
            thread.start()
        for _ in range(loader.num_workers * loader.prefetch_factor):
            self._send()

    def __next__(self) -> Any:
        try:
            batch = self._receive() if self._queues else self._fetch(next(self._batches)[1])
        except StopIteration:
            self.close()
            self._loader._finished(self)
            raise
        except BaseException:
            self.close()
            raise
        self._next += 1
        self._loader._delivered(self, self._next)
        return batch

    def close(self) -> None:
        """Stop the workers; items that are being read are waited for."""
        self._exchange.stop()
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)
        self._batches = enumerate(())
        self._queues, self._threads = [], []

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not end
            self.close()

    def _send(self) -> None:
        for number, indices in islice(self._batches, 1):
            self._queues[number % len(self._queues)].put((number, indices))
            self._sent = number + 1

    def _receive(self) -> Any:
        if self._next == self._sent:
            raise StopIteration
        self._send()
        good, value = self._exchange.take(self._next, self._timeout)
        if good:
            return value
        try:
            raise value
        finally:
            del value  # a reference cycle through the traceback would keep the batch alive


class _Fetch:
    """Makes the batch of some indices."""

    def __init__(self, loader: DataLoader, epoch: int) -> None:
        self.dataset, self.collate = loader.dataset, loader.collate_fn
        self.batched = loader.batch_sampler is not None
        self.seed, self.epoch = loader.seed, epoch

    def __call__(self, indices: Any) -> Any:
        try:
            batch = [self._item(index) for index in indices] if self.batched else self._item(indices)
        finally:
            leave_item()
        if self.collate is None:
            return batch
        try:
            return self.collate(batch)
        except Exception as error:
            error.add_note(f"while joining items {indices} of the dataset into a batch")
            raise

    def _item(self, index: Any) -> Any:
        enter_item(self.seed, self.epoch, index)
        try:
            return self.dataset[index]
        except Exception as error:
            error.add_note(f"while loading item {index!r} of the dataset in epoch {self.epoch}")
            raise


class _Exchange:
    """Where workers lay down finished batches, by number."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._ready: dict[int, tuple[bool, Any]] = {}
        self.stopped = False

    def give(self, number: int, good: bool, value: Any) -> None:
        with self._condition:
            if not self.stopped:
                self._ready[number] = (good, value)
                self._condition.notify_all()

    def take(self, number: int, timeout: float) -> tuple[bool, Any]:
        with self._condition:
            waited = 0.0
            while number not in self._ready:
                # In slices, because on Windows a wait without an end cannot be interrupted by Ctrl-C.
                slice_ = min(1.0, timeout - waited) if timeout else 1.0
                if not self._condition.wait(slice_):
                    waited += slice_
                    if timeout and waited >= timeout:
                        raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            return self._ready.pop(number)

    def stop(self) -> None:
        with self._condition:
            self.stopped = True
            self._ready.clear()


def _work(
    fetch: _Fetch,
    exchange: _Exchange,
    tasks: SimpleQueue[Any],
    info: WorkerInfo,
    worker_init_fn: Callable[[int], Any] | None,
) -> None:
    """The life of a worker thread."""
    enter_worker(info)
    broken: BaseException | None = None
    if worker_init_fn is not None:
        try:
            worker_init_fn(info.id)
        except BaseException as error:
            error.add_note(f"in worker_init_fn of worker {info.id}")
            broken = error
    while (task := tasks.get()) is not None and not exchange.stopped:
        number, indices = task
        if broken is not None:
            exchange.give(number, False, broken)
            continue
        try:
            result = True, fetch(indices)
        except BaseException as error:
            result = False, error
        exchange.give(number, *result)
        del result, task, indices
