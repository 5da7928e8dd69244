"""How a worker makes batches, whatever kind of worker it is."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from framework.core.random import default_generator, fold
from framework.data.dataset import hand_on_epoch
from framework.data.worker import WorkerInfo, enter_worker, item_stream

_WORKER = 0x776F726B  # keeps the seeds of workers, and of batches, apart from those of items
_BATCH = 0x62617463


@dataclass(frozen=True)
class Job:
    """What a loader's workers need to know."""

    dataset: Any
    iterable: bool
    batched: bool
    batch_size: int | None  # of an iterable dataset
    drop_last: bool
    collate: Callable[[Any], Any]
    num_workers: int
    worker_init_fn: Callable[[int], Any] | None


class Start(NamedTuple):
    """The beginning of a pass."""

    generation: int  # counts the passes that one group of workers serves
    seed: int
    epoch: int
    place: dict[str, Any] | None  # where this worker's part of an iterable dataset goes on


class Outcome(NamedTuple):
    """What became of a batch. `kind`: "batch", "end" (the worker's dataset is exhausted) or "error"."""

    generation: int
    number: int
    worker: int
    kind: str
    value: Any
    place: dict[str, Any] | None = None


class Worker:
    """Makes batches in the thread or process it lives in. Number -1 is the caller of the loader itself."""

    def __init__(self, job: Job, number: int, own_process: bool = False) -> None:
        self._job, self._number, self._own_process = job, number, own_process
        self._dataset = job.dataset
        if job.iterable and number >= 0 and not own_process:
            self._dataset = copy.copy(job.dataset)  # as a process would have it: an iteration has a state
        self._broken: BaseException | None = None
        self._fetch: Any = None
        self._start: Start

    def begin(self, start: Start) -> None:
        """A pass begins."""
        self._start = start
        if self._number >= 0:
            self._enter(start)
        if self._broken is None:
            fetch = _IterableFetch if self._job.iterable else _MapFetch
            try:
                self._fetch = fetch(self._job, self._dataset, start, max(self._number, 0))
            except BaseException as error:
                error.add_note("while starting to iterate over the dataset")
                self._broken = error

    def make(self, number: int, indices: Any) -> Outcome:
        """The batch of these indices, or the next one of an iterable dataset."""
        own = self._start.generation, number, self._number
        if self._broken is not None:
            return Outcome(*own, "error", self._broken)
        try:
            value = self._fetch(number, indices)
        except BaseException as error:
            return Outcome(*own, "error", error)
        return Outcome(*own, "end" if value is END else "batch", value, self._fetch.place())

    def _enter(self, start: Start) -> None:
        seed = fold(start.seed, start.epoch, self._number, _WORKER)
        first = self._fetch is None
        enter_worker(WorkerInfo(self._number, self._job.num_workers, seed, start.epoch, self._dataset))
        if self._own_process:  # threads share these with the rest of the program
            random.seed(seed)
            np.random.seed(seed & 0xFFFFFFFF)
            default_generator.manual_seed(seed)
        if not first and (self._own_process or self._job.iterable):
            hand_on_epoch(self._dataset, start.epoch)  # the first one it was told before it was copied
        if first and self._job.worker_init_fn is not None:
            try:
                self._job.worker_init_fn(self._number)
            except BaseException as error:
                error.add_note(f"in worker_init_fn of worker {self._number}")
                self._broken = error


class _End:
    pass


END = _End()


class _Fetch:
    """What both kinds of dataset share: the pass, and joining items."""

    def __init__(self, job: Job, dataset: Any, start: Start, worker: int) -> None:
        self._job, self._dataset, self._worker = job, dataset, worker
        self._seed, self._epoch = start.seed, start.epoch

    def place(self) -> dict[str, Any] | None:
        return None

    def _join(self, number: int, items: Any, what: str) -> Any:
        try:
            with item_stream(self._seed, self._epoch, number, self._worker if self._job.iterable else 0, _BATCH):
                return self._job.collate(items)
        except Exception as error:
            if self._job.batched:
                error.add_note(f"while joining {what} of the dataset into a batch")
            raise


class _MapFetch(_Fetch):
    """Batches of items by their index."""

    def __call__(self, number: int, indices: Any) -> Any:
        if not self._job.batched:
            return self._join(number, self._item(indices), "")
        together = getattr(self._dataset, "__getitems__", None)
        items = [self._item(index) for index in indices] if together is None else self._items(number, together, indices)
        return self._join(number, items, f"items {indices}")

    def _item(self, index: Any) -> Any:
        try:
            with item_stream(self._seed, self._epoch, index):
                return self._dataset[index]
        except Exception as error:
            error.add_note(f"while loading item {index!r} of the dataset in epoch {self._epoch}")
            if isinstance(error, StopIteration):  # would end the loop over the loader without a word
                raise RuntimeError("the dataset raised StopIteration") from error
            raise

    def _items(self, number: int, together: Callable[[Any], Any], indices: Any) -> Any:
        try:
            with item_stream(self._seed, self._epoch, number, _BATCH, _BATCH):
                items = together(indices)
        except Exception as error:
            error.add_note(f"while loading items {indices} of the dataset in epoch {self._epoch}")
            raise
        if len(items) != len(indices):
            raise RuntimeError(f"__getitems__ gave {len(items)} items for {len(indices)} indices")
        return items


class _IterableFetch(_Fetch):
    """Batches of the next items of an iterable dataset."""

    def __init__(self, job: Job, dataset: Any, start: Start, worker: int) -> None:
        super().__init__(job, dataset, start, worker)
        place = start.place or {"batches": 0, "items": 0, "state": None}
        self._batches, self._items = place["batches"], place["items"]
        state = place["state"]
        if state is not None and hasattr(dataset, "state_dict"):
            dataset.load_state_dict(state)
        self._iterator = iter(dataset)
        if state is not None and not hasattr(dataset, "state_dict"):
            self._iterator.load_state_dict(state)
        if state is None:
            for item in range(self._items):
                with item_stream(self._seed, self._epoch, item, worker, 0):
                    next(self._iterator, None)

    def __call__(self, number: int, indices: Any) -> Any:
        if not self._job.batched:
            items = list(islice(self._draw(), 1))
            value = self._join(self._batches, items[0], "") if items else END
        else:
            size = self._job.batch_size or 1
            items = list(islice(self._draw(), size))
            short = len(items) < size and (self._job.drop_last or not items)
            value = END if short else self._join(self._batches, items, f"{len(items)} items up to number {self._items}")
        self._batches += value is not END
        return value

    def place(self) -> dict[str, Any]:
        """Where this worker stands: what a later pass needs to go on from here."""
        holder = self._dataset if hasattr(self._dataset, "state_dict") else self._iterator
        state = copy.deepcopy(holder.state_dict()) if hasattr(holder, "state_dict") else None
        return {"batches": self._batches, "items": self._items, "state": state}

    def _draw(self) -> Any:
        while True:
            try:
                with item_stream(self._seed, self._epoch, self._items, self._worker, 0):
                    item = next(self._iterator)
            except StopIteration:
                return
            except Exception as error:
                error.add_note(f"while loading item {self._items} of the iterable dataset in epoch {self._epoch}")
                raise
            self._items += 1
            yield item
