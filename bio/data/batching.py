"""Batches of sequences of several lengths that waste little on padding."""

from collections.abc import Iterator, Sequence

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import SequenceError
from framework.core.random import Generator, fold
from framework.data import Sampler
from framework.data.sampler import fresh_seed


class LengthBucketSampler(Sampler):
    """Batches of sequences of like length, for `DataLoader(batch_sampler=..., collate_fn=pad_collate)`.

    A batch has at most `letters` letters with its padding (number of sequences times the longest), or `batch_size`
    sequences, or both limits. Each epoch draws its own order: sequences are shuffled, sorted by length within pools of
    `pool` batches, cut into batches, and the batches shuffled. An epoch is a function of `seed` and its number alone.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Array,
        letters: int | None = None,
        batch_size: int | None = None,
        shuffle: bool = True,
        pool: int = 50,
        seed: int | None = None,
    ) -> None:
        self.lengths = _checked(lengths, letters)
        if letters is None and batch_size is None:
            raise SequenceError("give letters or batch_size: how large may a batch be?")
        if batch_size is not None and batch_size < 1:
            raise SequenceError(f"batch_size must be 1 or more, got {batch_size}")
        self.letters, self.batch_size, self.shuffle, self.pool = letters, batch_size, shuffle, pool
        self.seed = fresh_seed() if seed is None else seed

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return iter(self._batches(epoch))

    def __len__(self) -> int:
        return len(self._batches(self.epoch))

    def _batches(self, epoch: int) -> list[list[int]]:
        count = len(self.lengths)
        if not self.shuffle:
            return self._cut(np.argsort(-self.lengths, kind="stable"))
        stream = Generator().manual_seed(fold(self.seed, epoch))
        order = stream.permutation(count)
        typical = self.batch_size or max(1, (self.letters or 0) // max(1, int(self.lengths.mean() if count else 1)))
        size = self.pool * typical
        batches: list[list[int]] = []
        for first in range(0, count, size):
            part = order[first : first + size]
            batches += self._cut(part[np.argsort(-self.lengths[part], kind="stable")])
        return [batches[number] for number in stream.permutation(len(batches))]

    def _cut(self, order: Array) -> list[list[int]]:
        """Batches of an order in which the longest come first, so that a batch's first is its longest."""
        batches, first = [], 0
        while first < len(order):
            size = len(order) if self.batch_size is None else self.batch_size
            if self.letters is not None:
                size = min(size, self.letters // max(1, int(self.lengths[order[first]])))
            batches.append(order[first : first + size].tolist())
            first += size
        return batches


class PackingSampler(Sampler):
    """Batches whose sequences together have at most `letters` letters, for `pack_collate`: no padding at all.

    Best fit of sequences by falling length (Johnson 1973: at most 11/9 of the fewest rows, and 1), within pools of
    `pool` sequences of a new order each epoch.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Array,
        letters: int,
        shuffle: bool = True,
        pool: int = 4096,
        seed: int | None = None,
    ) -> None:
        self.lengths = _checked(lengths, letters)
        self.letters, self.shuffle, self.pool = letters, shuffle, pool
        self.seed = fresh_seed() if seed is None else seed

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return iter(self._batches(epoch))

    def __len__(self) -> int:
        return len(self._batches(self.epoch))

    def _batches(self, epoch: int) -> list[list[int]]:
        stream = Generator().manual_seed(fold(self.seed, epoch))
        order = stream.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        batches: list[list[int]] = []
        for first in range(0, len(order), self.pool):
            batches += self._packed(order[first : first + self.pool])
        return [batches[number] for number in stream.permutation(len(batches))] if self.shuffle else batches

    def _packed(self, part: Array) -> list[list[int]]:
        rows: list[list[int]] = []
        room: list[list[int]] = [[] for _ in range(self.letters + 1)]  # rows by the room they have left
        rooms = np.zeros(self.letters + 1, np.bool_)
        for index in part[np.argsort(-self.lengths[part], kind="stable")].tolist():
            length = int(self.lengths[index])
            fits = int(np.argmax(rooms[length:])) + length
            if rooms[fits]:
                row = room[fits].pop()
                rooms[fits] = bool(room[fits])
                rows[row].append(index)
                left = fits - length
            else:
                row, left = len(rows), self.letters - length
                rows.append([index])
            room[left].append(row)
            rooms[left] = True
        return rows


def _checked(lengths: Sequence[int] | Array, letters: int | None) -> Array:
    array = np.asarray(lengths, np.int64)
    if letters is not None and array.size and array.max() > letters:
        number = int(np.argmax(array > letters))
        raise SequenceError(f"sequence {number} has {array[number]} letters, more than letters={letters} of a batch")
    return array
