"""The loader: batches of a dataset, made ahead by threads or processes, in a fixed order."""

from __future__ import annotations

import multiprocessing
import weakref
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any

from framework.core.random import Generator
from framework.data.collate import default_collate, default_convert
from framework.data.dataset import IterableDataset, hand_on_epoch
from framework.data.fetch import Job, Start
from framework.data.passes import Pass
from framework.data.sampler import BatchSampler, RandomSampler, SequentialSampler, fresh_seed, samplers, set_epoch
from framework.data.threads import Inline, Threads


class DataLoader:
    """Iterates over batches of a dataset; each `iter()` is one epoch.

    Workers are threads: reading, decompressing and NumPy release the interpreter, and nothing is copied between
    processes. For datasets whose work holds the interpreter, `worker_type="process"` (or a `multiprocessing_context`,
    which implies it) makes them processes, that hand their arrays over in shared memory. `num_workers=0`: the caller
    does the work.

    The order of batches, and the random numbers that items draw (`item_rng`, `framework.rand`, ...), depend on the
    seed and the epoch only, not on the workers. The seed is `seed`, or drawn once from `generator`, or from the global
    stream. An exception of the dataset reaches the caller as it is, with the worker's traceback and a note that names
    the item.

    `batch_size=None` yields single items. At most `prefetch_factor` (2) batches per worker are made ahead.
    `persistent_workers` live on between epochs. `in_order=False` hands batches out as they come. `pin_memory` puts
    batches into memory from which a GPU copies faster; without one it does nothing. `timeout`: seconds to wait for a
    batch, 0 without end.

    `state_dict()` says where the run stands; after `load_state_dict` the next `iter()` continues in that epoch.
    """

    def __class_getitem__(cls, item: Any) -> type:  # DataLoader[...], as in annotations written for torch
        return cls

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        worker_type: str | None = None,
        seed: int | None = None,
    ) -> None:
        iterable = isinstance(dataset, IterableDataset)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_order(iterable, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.worker_type = _worker_type(worker_type, self.multiprocessing_context)
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.worker_init_fn, self.persistent_workers, self.in_order = worker_init_fn, persistent_workers, in_order
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.pin_memory, self.pin_memory_device, self.generator = pin_memory, pin_memory_device, generator
        self.seed = fresh_seed(generator) if seed is None else int(seed)
        batched = batch_size is not None or batch_sampler is not None
        if not iterable and sampler is None and batch_sampler is None:
            sampler = RandomSampler(dataset, seed=self.seed) if shuffle else SequentialSampler(dataset)
        if not iterable and batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler, self.drop_last = sampler, batch_sampler, drop_last
        self.batch_size = getattr(batch_sampler, "batch_size", None) if batch_sampler is not None else batch_size
        self.collate_fn = collate_fn if collate_fn is not None else default_collate if batched else default_convert
        self.epoch = 0
        self._iterable, self._batched = iterable, batched
        self._batch = 0  # batches of this epoch handed out so far
        self._turn = 0  # the worker that hands out the next batch of an iterable dataset
        self._places: list[Any] = [None] * max(num_workers, 1)  # where each worker stands in an iterable dataset
        self._begun = False  # whether a pass of this epoch was begun
        self._resume = False  # whether the next pass continues this epoch
        self._order_state: Any = None  # of a sampler that has one, at the beginning of this epoch
        self._current: weakref.ref[Pass] | None = None
        self._workers: Any = None  # those that live on
        self._generation = 0

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._order)
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if not self._resume:
            self.set_epoch(self.epoch + self._begun)
        resumed, self._resume, self._begun = self._resume, False, True
        former = self._current() if self._current is not None else None
        if former is not None and self.persistent_workers:
            former.close()
        hand_on_epoch(self.dataset, self.epoch)
        batches = None if self._iterable else self._batches(resumed)
        workers = self._workers or self._make_workers()
        if self.persistent_workers and self.num_workers:
            self._workers = workers
        self._generation += 1
        starts = [Start(self._generation, self.seed, self.epoch, place) for place in self._places]
        try:
            current = Pass(self, workers, starts, batches)
        except BaseException:
            self._workers = None
            workers.close()
            raise
        self._current = weakref.ref(current)
        return current

    def set_epoch(self, epoch: int) -> None:
        """Make the next `iter()` the beginning of this epoch."""
        self.epoch, self._batch, self._begun, self._resume = int(epoch), 0, False, False
        self._turn, self._places = 0, [None] * len(self._places)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, batches handed out in it, the seeds that fix the order, and where iterable datasets stand."""
        state: dict[str, Any] = {"epoch": self.epoch, "batch": self._batch, "seed": self.seed}
        if self._iterable:
            return {**state, "turn": self._turn, "workers": list(self._places)}
        state["batches"] = len(self)
        seeds = [sampler.seed for sampler in samplers(self._order) if hasattr(sampler, "seed")]
        if seeds:
            state["sampler_seeds"] = seeds
        if hasattr(self._order, "state_dict"):
            state["sampler"] = self._order_state if self._begun else self._order.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, with the next `iter()`, where the loader stood that gave this state.

        Batches that were made ahead but not handed out are made again. ValueError where this loader has another number
        of batches (or, of an iterable dataset, of workers), because its order would be another too.
        """
        if self._iterable:
            if len(state["workers"]) != len(self._places):
                raise ValueError(
                    f"cannot resume the loader: {len(state['workers'])} workers shared the iterable dataset when its "
                    f"state was saved and {len(self._places)} do now; use the same num_workers, or start a new epoch "
                    "with set_epoch"
                )
        elif state["batches"] != len(self):
            raise ValueError(
                f"cannot resume the loader: an epoch had {state['batches']} batches when its state was saved and has "
                f"{len(self)} now; use the same dataset, batch size and sampler, or start a new epoch with set_epoch"
            )
        self.set_epoch(state["epoch"])
        self.seed, self._batch = int(state["seed"]), int(state["batch"])
        self._resume, self._begun = True, self._batch > 0
        if self._iterable:
            self._turn, self._places = int(state["turn"]), list(state["workers"])
            return
        seeded = [sampler for sampler in samplers(self._order) if hasattr(sampler, "seed")]
        for sampler, seed in zip(seeded, state.get("sampler_seeds", [])):
            sampler.seed = int(seed)
        if "sampler" in state:
            self._order_state = state["sampler"]
            self._order.load_state_dict(self._order_state)

    @property
    def _order(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _batches(self, resumed: bool) -> Iterator[Any]:
        """What is left of the epoch's batches of indices."""
        set_epoch(self._order, self.epoch)
        if hasattr(self._order, "state_dict"):
            if resumed and self._order_state is not None:
                self._order.load_state_dict(self._order_state)
            self._order_state = self._order.state_dict()
        return islice(iter(self._order), self._batch, None)

    def _make_workers(self) -> Any:
        job = Job(
            dataset=self.dataset,
            iterable=self._iterable,
            batched=self._batched,
            batch_size=self.batch_size,
            drop_last=self.drop_last,
            collate=self.collate_fn,
            num_workers=self.num_workers,
            worker_init_fn=self.worker_init_fn,
        )
        if not self.num_workers:
            return Inline(job)
        if self.worker_type == "process":
            from framework.data.processes import Processes

            return Processes(job, self.multiprocessing_context, self.prefetch_factor or 2)
        return Threads(job)

    # -- what a pass reports ---------------------------------------------------------------------------------------

    def _delivered(self, by: Pass, worker: int, place: dict[str, Any] | None) -> None:
        if self._is_current(by):
            self._batch += 1
            if place is not None:
                self._places[worker] = place
                self._turn = (worker + 1) % len(self._places)

    def _ended(self, by: Pass, worker: int, place: dict[str, Any] | None) -> None:
        if self._is_current(by):
            self._places[worker] = {**(place or {}), "ended": True}

    def _finished(self, by: Pass) -> None:
        if self._is_current(by):
            self.set_epoch(self.epoch + 1)

    def _failed(self, by: Pass) -> None:
        if self._is_current(by):
            self._workers = None  # so that the pass closes them

    def _keeps(self, workers: Any) -> bool:
        return self._workers is workers

    def _is_current(self, by: Pass) -> bool:
        return self._current is not None and self._current() is by


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to load in the caller's thread.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError("prefetch_factor option could only be specified with num_workers > 0; leave it None otherwise")
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError("prefetch_factor option should be at least 1")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_order(
    iterable: bool, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if iterable:
        for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    if batch_size is None and batch_sampler is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")


def _context(given: Any, num_workers: int) -> BaseContext | None:
    """The multiprocessing context that is asked for, by itself or by its start method's name."""
    if given is None:
        return None
    if num_workers == 0:
        raise ValueError(
            f"multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    if isinstance(given, str):
        valid = multiprocessing.get_all_start_methods()
        if given not in valid:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {valid}, but got "
                f"multiprocessing_context={given!r}"
            )
        return multiprocessing.get_context(given)
    if not isinstance(given, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got multiprocessing_context={given}"
        )
    return given


def _worker_type(given: str | None, context: BaseContext | None) -> str:
    if given not in (None, "thread", "process"):
        raise ValueError(f"worker_type should be 'thread' or 'process', got {given!r}")
    if given == "thread" and context is not None:
        raise ValueError("multiprocessing_context is for processes: leave worker_type='thread' out")
    return given or ("process" if context is not None else "thread")
