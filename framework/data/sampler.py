"""Samplers: the order in which a dataset's items are taken.

A random sampler's order is a function of its seed and of the epoch alone, so any epoch can be repeated and a run that
was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from framework.core.random import Generator, default_generator, fold


class Sampler:
    """Base of samplers: a subclass defines `__iter__` (indices) and `__len__`.

    The DataLoader calls `set_epoch(epoch)` before each pass.
    """

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which pass over the data comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Seeded(Sampler):
    """A sampler with a seed; without one it is drawn, once, from the global random stream."""

    def __init__(self, seed: int | None) -> None:
        self.seed = fresh_seed() if seed is None else int(seed)

    def _stream(self) -> Generator:
        return Generator().manual_seed(fold(self.seed, self.epoch))


class RandomSampler(_Seeded):
    """A new permutation every epoch, or (with `replacement`) independent draws; `num_samples` is the epoch's length."""

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        if num_samples is not None and num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.data_source, self.replacement = data_source, replacement
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        rng = self._stream()
        n = len(self.data_source)
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

    def __init__(self, indices: Sequence[int], seed: int | None = None) -> None:
        super().__init__(seed)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in self._stream().permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Seeded):
    """Indices drawn with probability proportional to `weights`."""

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, seed: int | None = None
    ) -> None:
        super().__init__(seed)
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

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def fresh_seed() -> int:
    """A seed from the global random stream, which `manual_seed` governs."""
    return int(default_generator.integers(0, 2**63 - 1, 1)[0])
