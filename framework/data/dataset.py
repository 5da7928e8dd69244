"""Datasets: things with a length and items by number, or things to run through."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from framework.core.random import Generator, default_generator
from framework.core.tensor import Tensor


class Dataset:
    """Base of datasets: a subclass defines `__getitem__(index)` and `__len__()`.

    Threads may ask for several items at once. A dataset with a method `set_epoch(epoch)` is told each epoch's number
    by the DataLoader before its items are asked for. One with `__getitems__(indices)` gives a whole batch of items at
    once.
    """

    def __class_getitem__(cls, item: Any) -> type:  # Dataset[tuple[Tensor, int]], as in annotations written for torch
        return cls

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Base of datasets that can only be run through: a subclass defines `__iter__()`.

    Each worker has a copy of its own and runs through it; share the items out by `get_worker_info()`. A dataset that
    defines `state_dict()` and `load_state_dict(state)` (of what its next item depends on) is resumed from that state;
    one without is run through again up to where it stood.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")

    def __add__(self, other: Any) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Items are tuples of the tensors' entries along their first dimension."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor")
        sizes = {tensor.shape[0] for tensor in tensors}
        if len(sizes) != 1:
            raise ValueError(f"tensors of a TensorDataset must have the same first size, got {sorted(sizes)}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset):
    """Items of several datasets of one length side by side: tuples, or dictionaries where they are given by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset takes datasets either by position or by name, and at least one")
        self.datasets: Any = kwargs or args
        sizes = {len(dataset) for dataset in self._parts()}
        if len(sizes) != 1:
            raise ValueError(f"datasets of a StackDataset must have the same length, got {sorted(sizes)}")
        self._length = sizes.pop()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Hand the epoch's number on."""
        for dataset in self._parts():
            hand_on_epoch(dataset, epoch)

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)


class Subset(Dataset):
    """The items `indices` of a dataset."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def __getitems__(self) -> Any:
        """A batch of items at once, where the dataset gives batches."""
        take = self.dataset.__getitems__  # an AttributeError says that it does not
        return lambda indices: take([self.indices[index] for index in indices])

    def set_epoch(self, epoch: int) -> None:
        """Hand the epoch's number on."""
        hand_on_epoch(self.dataset, epoch)


class ConcatDataset(Dataset):
    """Several datasets one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ValueError("ConcatDataset does not support IterableDataset: chain them with ChainDataset")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: Any) -> Any:
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
            hand_on_epoch(dataset, epoch)


class ChainDataset(IterableDataset):
    """Several iterable datasets one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset only supports IterableDataset, found {type(dataset).__name__}")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)

    def set_epoch(self, epoch: int) -> None:
        """Hand the epoch's number on."""
        for dataset in self.datasets:
            hand_on_epoch(dataset, epoch)


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator = default_generator
) -> list[Subset]:
    """Parts of a dataset without overlap; `lengths` are counts, or fractions that add up to 1.

    Items left over by rounding fractions go one each to the first parts. The order is drawn from `generator`.
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
    order = generator.permutation(n).tolist()
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends)]


def hand_on_epoch(dataset: Any, epoch: int) -> None:
    """Tell a dataset which epoch comes next, if it wants to know."""
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch)
