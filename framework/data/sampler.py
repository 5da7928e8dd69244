"""Samplers: the order in which a dataset's items are taken.

A random sampler's order is a function of its seed and of the epoch alone, so any epoch can be repeated and a run that
was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from framework.core.random import Generator, default_generator, fold


class Sampler:
    """Base of samplers: a subclass defines `__iter__` (indices) and `__len__`.

    The DataLoader calls `set_epoch(epoch)` before each pass.
    """

    epoch = 0

    def __init__(self, data_source: Any = None) -> None:
        pass  # torch's takes the dataset, and subclasses hand it up

    def __class_getitem__(cls, item: Any) -> type:  # Sampler[int], as in annotations written for torch
        return cls

    def set_epoch(self, epoch: int) -> None:
        """Say which pass over the data comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Seeded(Sampler):
    """A sampler with a seed; without one it is drawn, once, from `generator`, or from the global random stream.

    Each pass has an order of its own: `epoch` goes up by one with each, and `set_epoch` says where to go on.
    """

    def __init__(self, generator: Generator | None, seed: int | None) -> None:
        self.seed = fresh_seed(generator) if seed is None else int(seed)

    def _stream(self) -> Generator:
        self.epoch += 1
        return Generator().manual_seed(fold(self.seed, self.epoch - 1))


class RandomSampler(_Seeded):
    """A new permutation every epoch, or (with `replacement`) independent draws; `num_samples` is the epoch's length."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed)
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.data_source, self.replacement = data_source, replacement
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        return self._drawn(self._stream(), len(self.data_source))  # this pass is counted now, not at its first index

    def _drawn(self, rng: Generator, n: int) -> Iterator[int]:
        if self.replacement:
            yield from rng.integers(0, n, self.num_samples).tolist()
            return
        left = self.num_samples if n else 0
        while left > 0:  # more samples than items: one permutation after another
            order = rng.permutation(n).tolist()[:left]
            left -= len(order)
            yield from order

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_Seeded):
    """A new order of the given indices every epoch."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None, *, seed: int | None = None) -> None:
        super().__init__(generator, seed)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        order = self._stream().permutation(len(self.indices)).tolist()
        return (self.indices[i] for i in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Seeded):
    """Indices drawn with probability proportional to `weights`."""

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(generator, seed)
        values = np.asarray(weights, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
            raise ValueError("weights should be a sequence of numbers >= 0 with a positive sum")
        if num_samples <= 0 or (not replacement and num_samples > np.count_nonzero(values)):
            raise ValueError(
                f"cannot draw num_samples={num_samples} of {np.count_nonzero(values)} items with positive weight"
                f"{'' if replacement else ' without replacement'}"
            )
        self.weights, self.num_samples, self.replacement = values, num_samples, replacement

    def __iter__(self) -> Iterator[int]:
        rng = self._stream()
        if self.replacement:
            limits = np.cumsum(self.weights) / self.weights.sum()
            drawn = np.searchsorted(limits, rng.uniform(self.num_samples, np.float64), side="right")
            # Rounding may leave the last limit below 1.
            return iter(np.minimum(drawn, np.flatnonzero(self.weights)[-1]).tolist())
        # The order of u^(1/w) is a weighted draw without replacement (Efraimidis & Spirakis 2006).
        with np.errstate(divide="ignore"):
            keys = np.log(rng.uniform(len(self.weights), np.float64)) / self.weights
        return iter(np.argsort(-keys, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of another sampler; with `drop_last` a short last one is left out."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._gathered(iter(self.sampler))

    def _gathered(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class DistributedSampler(Sampler):
    """Every `num_replicas`-th index from `rank` on, of an order that all replicas share.

    The order is a function of `seed` and the epoch. Without `drop_last` indices are repeated until every replica has
    the same number; with it the tail that cannot be shared out evenly is left out.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(os.environ.get("WORLD_SIZE", 1))
        if rank is None:
            rank = int(os.environ.get("RANK", 0))
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        n = len(dataset)
        self.num_samples = n // num_replicas if drop_last else -(-n // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        order = Generator().manual_seed(fold(self.seed, self.epoch)).permutation(n) if self.shuffle else np.arange(n)
        if n:
            order = np.resize(order, self.total_size)
        return iter(order[self.rank : self.total_size : self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.num_samples


def fresh_seed(generator: Generator | None = None) -> int:
    """A seed from a stream of random numbers; the global one, which `manual_seed` governs, if none is given."""
    return int((generator or default_generator).integers(0, 2**63 - 1, 1)[0])


def set_epoch(order: Any, epoch: int) -> None:
    """Tell a sampler, and the samplers it holds, which epoch comes next."""
    for sampler in samplers(order):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


def samplers(order: Any) -> list[Any]:
    """A sampler and the samplers that it, or a class of the user's around it, holds as attributes; each once."""
    found: list[Any] = []
    waiting = [order]
    while waiting:
        sampler = waiting.pop(0)
        if not any(sampler is known for known in found):
            found.append(sampler)
            waiting += [value for value in getattr(sampler, "__dict__", {}).values() if isinstance(value, Sampler)]
    return found
