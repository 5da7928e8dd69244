"""What the code of a dataset can ask about the thread it runs in."""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.core.random import fold
from framework.data.sampler import fresh_seed


@dataclass(frozen=True)
class WorkerInfo:
    """A loader's worker thread: its number, how many there are, a seed of its own for this epoch, and the dataset."""

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
    """The random stream of the item being loaded: a function of the loader's seed, the epoch and the item's index.

    Augmentation that draws from it gives the same batches whatever the number of workers, and after a resume.
    Outside a loader it is a new stream, seeded from the global one.
    """
    seed = fresh_seed() if _here.item is None else fold(*_here.item)
    return np.random.Generator(np.random.Philox(key=seed))


def enter_worker(info: WorkerInfo) -> None:
    """Mark the current thread as this worker."""
    _here.info = info


def enter_item(seed: int, epoch: int, index: Any) -> None:
    """Mark the current thread as loading this item."""
    number = index & 0xFFFFFFFFFFFFFFFF if isinstance(index, int) else zlib.crc32(repr(index).encode())
    _here.item = (seed, epoch, number)


def leave_item() -> None:
    """The current thread loads no item any more."""
    _here.item = None
