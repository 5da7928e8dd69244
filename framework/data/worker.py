"""What the code of a dataset can ask about the worker it runs in, and the random stream of each item."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.core.random import fold, own_stream
from framework.data.sampler import fresh_seed


@dataclass(frozen=True)
class WorkerInfo:
    """A loader's worker: its number, how many there are, a seed of its own for this epoch, and its dataset."""

    id: int
    num_workers: int
    seed: int
    epoch: int
    dataset: Any


class _Here(threading.local):
    info: WorkerInfo | None = None
    item: tuple[int, ...] | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """The worker that runs this code; None outside a worker."""
    return _here.info


def item_rng() -> np.random.Generator:
    """NumPy's random numbers for the item being loaded: a function of the loader's seed, the epoch and the index.

    Augmentation that draws from it, or from this package's own functions (`framework.rand`, ...), gives the same
    batches whatever the number and the kind of workers, and after a resume. Outside a loader it is a new stream,
    seeded from the global one.
    """
    seed = fresh_seed() if _here.item is None else fold(*_here.item)
    return np.random.Generator(np.random.Philox(key=seed))


def enter_worker(info: WorkerInfo) -> None:
    """Mark the current thread as this worker."""
    _here.info = info


@contextmanager
def item_stream(seed: int, epoch: int, *place: Any) -> Iterator[None]:
    """Inside, this thread's random numbers are those of the item (or batch) at this place of the epoch."""
    numbers = [p & 0xFFFFFFFFFFFFFFFF if isinstance(p, int) else zlib.crc32(repr(p).encode()) for p in place]
    item = (seed, epoch, *numbers)
    former = _here.item, own_stream(item)
    _here.item = item
    try:
        yield
    finally:
        _here.item = former[0]
        own_stream(former[1])
