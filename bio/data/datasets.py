"""Datasets of sequences with labels for the whole, for each place, or as tracks along a genome.

Items are a few bytes a letter; channels become float32 where the model takes them (`x.float()`), on its device.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bio.encoding import DNA, PROTEIN, Alphabet, one_hot, reverse_complement
from bio.encoding.alphabet import Array
from bio.encoding.corruption import IGNORED
from bio.encoding.one_hot import Ambiguous
from bio.errors import SequenceError
from framework.core.random import default_generator
from framework.data import Dataset, SharedList

Encoder = Callable[[str], Array]


class Genome(Protocol):
    """What gives letters: `bio.io.Genome` does."""

    def fetch(self, contig: str, start: int, end: int) -> str:
        """The letters of [start, end), 0-based."""

    def length(self, contig: str) -> int:
        """Length of a contig in base pairs."""


class Track(Protocol):
    """What gives a number for each base pair: `bio.io.BigWig` does."""

    def values(self, contig: str, start: int, end: int) -> Array:
        """The values of [start, end), 0-based: (end - start,) float32."""


def channels_of(alphabet: Alphabet = DNA, ambiguous: Ambiguous = "zero") -> Encoder:
    """An encoder: a sequence of length L to channels (C, L)."""
    return lambda sequence: one_hot(sequence, ambiguous, alphabet)


class SequenceDataset(Dataset):
    """Sequences with one label each, or several numbers each: items (x, y).

    x is what `encode` makes of the sequence, by default channels (4, L) uint8 in the order A, C, G, T ((20, L) for
    proteins); y is int64 for classes, float32 for numbers, (T,) for several. `classes` names the classes, in the order
    of their numbers, where labels were text. With `augment` an item is the other strand in half of the draws.
    """

    def __init__(
        self,
        sequences: Sequence[str],
        labels: Sequence[Any] | Array | None = None,
        alphabet: Alphabet = DNA,
        encode: Encoder | None = None,
        augment: bool = False,
        classes: Sequence[str] | None = None,
    ) -> None:
        if labels is not None and len(labels) != len(sequences):
            raise SequenceError(f"{len(sequences)} sequences have {len(labels)} labels")
        if augment and alphabet is not DNA:
            raise SequenceError("only DNA has another strand")
        self.sequences = sequences if isinstance(sequences, SharedList) else SharedList(sequences)
        self.lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        self.alphabet, self.encode, self.augment = alphabet, encode or channels_of(alphabet), augment
        self.labels, self.classes = _labels(labels, classes)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Any:
        sequence = self.sequences[index]
        if self.augment and default_generator.uniform(1)[0] < 0.5:
            sequence = reverse_complement(sequence)
        x = self.encode(sequence)
        return x if self.labels is None else (x, self.labels[index])

    @classmethod
    def from_fasta(
        cls, files: Mapping[str, str | os.PathLike[str]] | Sequence[str | os.PathLike[str]], **settings: Any
    ) -> "SequenceDataset":
        """One FASTA or FASTQ file a class, by name, or in order (classes named after the files).

        Give negatives first where there are two: class 1 is the positive one.
        """
        from bio.io import read_sequences

        named = files if isinstance(files, Mapping) else {os.path.basename(os.fspath(path)): path for path in files}
        if len(named) != len(files):
            raise SequenceError("the files have the same name: give them as a dictionary, class by class")
        sequences: list[str] = []
        labels: list[int] = []
        for number, path in enumerate(named.values()):
            found = [record.sequence for record in read_sequences(path)]
            sequences += found
            labels += [number] * len(found)
        return cls(sequences, np.array(labels), classes=list(named), **settings)

    @classmethod
    def from_table(
        cls, path: str | os.PathLike[str], sequence: str | None = None, label: str | None = None, **settings: Any
    ) -> "SequenceDataset":
        """A table (CSV, TSV; also gzip) with a column of sequences and one of labels, found by name if not given."""
        from bio.data.tables import labelled_columns

        return cls(*labelled_columns(path, sequence, label), **settings)

    def subset(self, indices: Sequence[int] | Array, augment: bool | None = None) -> "SequenceDataset":
        """A part of the dataset; `augment` may differ there."""
        return SequenceDataset(
            [self.sequences[int(index)] for index in indices],
            None if self.labels is None else self.labels[np.asarray(indices)],
            self.alphabet,
            self.encode,
            self.augment if augment is None else augment,
            self.classes,
        )


class ResidueDataset(Dataset):
    """Sequences with a label for each place: items (x, y), y (L,) int64.

    `labels` are strings of the sequences' lengths, of letters of `classes`; a letter in `ignored` becomes -100, which
    `cross_entropy` leaves out. x is (C, L) uint8, for proteins 20 channels in the order of `bio.encoding.AMINO_ACIDS`.
    """

    def __init__(
        self,
        sequences: Sequence[str],
        labels: Sequence[str],
        classes: str | Sequence[str],
        alphabet: Alphabet = PROTEIN,
        encode: Encoder | None = None,
        ignored: str = "",
    ) -> None:
        if len(labels) != len(sequences):
            raise SequenceError(f"{len(sequences)} sequences have {len(labels)} strings of labels")
        for number, (sequence, places) in enumerate(zip(sequences, labels)):
            if len(sequence) != len(places):
                raise SequenceError(f"sequence {number} has {len(sequence)} letters, but {len(places)} labels")
        self.sequences, self._labels = SharedList(sequences), SharedList(labels)
        self.lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        self.classes, self.alphabet, self.encode = tuple(classes), alphabet, encode or channels_of(alphabet)
        self._table = np.full(256, -1, np.int64)
        self._table[list(ignored.encode())] = IGNORED
        for number, letter in enumerate(self.classes):
            self._table[ord(letter)] = number
        known = set(self.classes) | set(ignored)
        for number, places in enumerate(labels):
            if strange := set(places) - known:
                raise SequenceError(f"labels of sequence {number} hold {min(strange)!r}, which is no class")

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self.encode(self.sequences[index]), self.labels(index)

    def labels(self, index: int) -> Array:
        """The labels of a sequence, (L,) int64."""
        return self._table[np.frombuffer(self._labels[index].encode(), np.uint8)]

    @classmethod
    def from_table(
        cls, path: str | os.PathLike[str], classes: str, sequence: str, labels: str, **settings: Any
    ) -> "ResidueDataset":
        """A table (CSV, TSV; also gzip) with a column of sequences and one of strings of labels."""
        from bio.data.tables import read_table

        table = read_table(path, [sequence, labels])
        return cls(table[sequence], table[labels], classes, **settings)

    def subset(self, indices: Sequence[int] | Array) -> "ResidueDataset":
        """A part of the dataset."""
        part = object.__new__(ResidueDataset)
        part.__dict__.update(self.__dict__)
        part.sequences = SharedList([self.sequences[int(index)] for index in indices])
        part._labels = SharedList([self._labels[int(index)] for index in indices])
        part.lengths = self.lengths[np.asarray(indices, np.int64)]
        return part


class IntervalDataset(Dataset):
    """Windows of a genome with the tracks over them: items x (4, L) uint8, or (x, y) with y (T, L // bin) float32.

    Windows of `length` base pairs lie around the middles of the intervals (or are the intervals where `length` is not
    given: then all must be of one length); with `jitter` up to that many base pairs off, either way, in each draw.
    Beyond a contig's ends x is empty and y zero. Where an interval lies on the - strand, and with `augment` in half of
    the draws, both are turned round. Tracks are read over the `target` middle base pairs (default: all), and summed up
    over `bin` base pairs by their mean; where a track has no value it counts as 0.
    """

    def __init__(
        self,
        genome: Genome,
        intervals: Any,
        tracks: Sequence[Track] = (),
        length: int | None = None,
        labels: Sequence[Any] | Array | None = None,
        target: int | None = None,
        bin: int = 1,
        jitter: int = 0,
        augment: bool = False,
        ambiguous: Ambiguous = "zero",
    ) -> None:
        if labels is not None and tracks:
            raise SequenceError("give either labels or tracks")
        if labels is not None and len(labels) != len(intervals):
            raise SequenceError(f"{len(intervals)} intervals have {len(labels)} labels")
        sizes = np.unique(np.asarray(intervals["end"]) - np.asarray(intervals["start"]))
        if length is None and sizes.size != 1:
            raise SequenceError(f"intervals are {sizes[0]} to {sizes[-1]} bp long: give the length of the windows"
                                if sizes.size else "there are no intervals")  # fmt: skip
        self.length = int(sizes[0]) if length is None else length
        self.target = self.length if target is None else target
        if self.target > self.length or self.target % bin or (self.length - self.target) % 2 or self.length < 1:
            raise SequenceError(
                f"target={self.target} must be a multiple of bin={bin}, not more than length={self.length}, and differ "
                "from it by an even number"
            )
        self.genome, self.intervals, self.tracks, self.bin = genome, intervals, tuple(tracks), bin
        self.jitter, self.augment, self.ambiguous = jitter, augment, ambiguous
        self.labels, self.classes = _labels(labels, None)
        for contig in dict.fromkeys(intervals["contig"]):
            genome.length(contig)  # an unknown contig is told now, not in the middle of an epoch

    def __len__(self) -> int:
        return len(self.intervals)

    def __getitem__(self, index: int) -> Any:
        contig = str(self.intervals["contig"][index])
        first, last = int(self.intervals["start"][index]), int(self.intervals["end"][index])
        start = (first + last) // 2 - self.length // 2
        if self.jitter:
            start += int(default_generator.integers(-self.jitter, self.jitter + 1, 1)[0])
        turned = "strand" in self.intervals and str(self.intervals["strand"][index]) == "-"
        if self.augment and default_generator.uniform(1)[0] < 0.5:
            turned = not turned
        x = self._letters(contig, start)
        if turned:
            x = np.ascontiguousarray(x[::-1, ::-1])
        if self.labels is not None:
            return x, self.labels[index]
        if not self.tracks:
            return x
        y = np.stack([self._values(track, contig, start) for track in self.tracks])
        return x, np.ascontiguousarray(y[:, ::-1]) if turned else y

    def _letters(self, contig: str, start: int) -> Array:
        begin, end = self._inside(contig, start, self.length)
        found = one_hot(self.genome.fetch(contig, begin, end), self.ambiguous)
        if end - begin == self.length:
            return found
        x = np.zeros((4, self.length), found.dtype)
        x[:, begin - start : end - start] = found
        return x

    def _values(self, track: Track, contig: str, start: int) -> Array:
        start += (self.length - self.target) // 2
        begin, end = self._inside(contig, start, self.target)
        y = np.zeros(self.target, np.float32)
        if end > begin:
            y[begin - start : end - start] = np.nan_to_num(track.values(contig, begin, end), nan=0.0)
        return y.reshape(-1, self.bin).mean(1) if self.bin > 1 else y

    def _inside(self, contig: str, start: int, size: int) -> tuple[int, int]:
        length = self.genome.length(contig)
        begin = min(max(start, 0), length)
        return begin, max(min(start + size, length), begin)


def _labels(labels: Any, classes: Sequence[str] | None) -> tuple[Array | None, tuple[str, ...] | None]:
    """Labels as int64 or float32, and the names of the classes where they were text."""
    if labels is None:
        return None, None
    array = np.asarray(labels)
    if array.dtype.kind in "US" or array.dtype == object:
        names = tuple(sorted(set(map(str, array)))) if classes is None else tuple(classes)
        numbers = {name: number for number, name in enumerate(names)}
        missing = next((str(label) for label in array if str(label) not in numbers), None)
        if missing is not None:
            raise SequenceError(f"label {missing!r} is none of the classes {', '.join(names)}")
        return np.array([numbers[str(label)] for label in array], np.int64), names
    kept = None if classes is None else tuple(classes)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64), kept
