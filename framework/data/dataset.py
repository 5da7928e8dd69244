"""Datasets: things with a length and items by number."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from framework.core.random import Generator
from framework.core.tensor import Tensor
from framework.data.sampler import fresh_seed


class Dataset:
    """Base of datasets: a subclass defines `__getitem__(index)` and `__len__()`.

    Threads may ask for several items at once. A dataset with a method `set_epoch(epoch)` is told each epoch's number
    by the DataLoader before its items are asked for.
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Items are tuples of the tensors' entries along their first dimension."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor")
        sizes = {tensor.shape[0] for tensor in tensors}
        if len(sizes) != 1:
            raise ValueError(f"tensors of a TensorDataset must have the same first size, got {sorted(sizes)}")
        self.tensors = tensors

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class Subset(Dataset):
    """The items `indices` of a dataset."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def set_epoch(self, epoch: int) -> None:
        """Hand the epoch's number on."""
        _hand_on_epoch(self.dataset, epoch)


class ConcatDataset(Dataset):
    """Several datasets one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def set_epoch(self, epoch: int) -> None:
        """Hand the epoch's number on."""
        for dataset in self.datasets:
            _hand_on_epoch(dataset, epoch)


def random_split(dataset: Any, lengths: Sequence[int | float], seed: int | None = None) -> list[Subset]:
    """Parts of a dataset without overlap; `lengths` are counts, or fractions that add up to 1.

    Items left over by rounding fractions go one each to the first parts. The same seed gives the same parts; without
    one it is drawn from the global random stream.
    """
    n = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9 and any(isinstance(part, float) for part in lengths):
        if any(not 0 <= part <= 1 for part in lengths):
            raise ValueError(f"fractions must lie between 0 and 1, got {list(lengths)}")
        counts = [math.floor(n * part) for part in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(part) for part in lengths]
    if sum(counts) != n:
        raise ValueError(f"lengths {list(lengths)} add up to {sum(counts)}, but the dataset has {n} items")
    order = Generator().manual_seed(fresh_seed() if seed is None else seed).permutation(n).tolist()
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends)]


def _hand_on_epoch(dataset: Any, epoch: int) -> None:
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch)
