"""bigWig, through pyBigWig."""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import FormatError, SequenceError, required
from bio.io.contigs import ContigNames
from bio.io.intervals import Intervals
from bio.io.opening import Reader, existing


class BigWig(Reader):
    """A number for each base pair; coordinates are 0-based half-open, as in the file.

    Each thread and each process opens the file for itself: one object may be shared.
    """

    def __init__(self, path: str | os.PathLike[str], aliases: Mapping[str, str] | None = None) -> None:
        self._library = required("pyBigWig", "reading bigWig")
        self.path = existing(path)
        self._open: dict[tuple[int, int], Any] = {}
        self.contigs: dict[str, int] = dict(self._file.chroms())
        self._names = ContigNames(self.contigs, aliases)

    def __iter__(self) -> Iterator[str]:
        return iter(self.contigs)

    def values(self, contig: str, start: int, end: int) -> Array:
        """The values of [start, end), (end - start,) float32; NaN where the file has none."""
        name = self._names.resolve(contig)
        if not 0 <= start <= end <= self.contigs[name]:
            raise SequenceError(
                f"{self.path}: [{start}, {end}) is not inside {name}, which has {self.contigs[name]} base pairs"
            )
        if start == end:
            return np.empty(0, np.float32)
        # pyBigWig makes an array itself only where it was built with NumPy.
        return np.asarray(self._file.values(name, start, end), np.float32)

    def close(self) -> None:
        for (process, _), file in self._open.items():
            if process == os.getpid():
                file.close()
        self._open = {}

    @property
    def _file(self) -> Any:
        key = os.getpid(), threading.get_ident()
        file = self._open.get(key)
        if file is None:
            try:
                file = self._library.open(os.fspath(self.path))
            except RuntimeError as error:
                raise FormatError(self.path, None, f"no bigWig file that can be read: {error}") from None
            self._open[key] = file
        return file


def write_bigwig(path: str | os.PathLike[str], contigs: Mapping[str, int], values: Intervals, column: str) -> None:
    """Write a column of intervals, which must not overlap, as a bigWig file with these contigs (name: length)."""
    library = required("pyBigWig", "writing bigWig")
    ordered = {name: number for number, name in enumerate(contigs)}
    if strange := set(values["contig"].tolist()) - ordered.keys():
        raise SequenceError(f"contig {min(strange)!r} is not among the contigs given")
    target, unfinished = Path(path), Path(f"{os.fspath(path)}.{os.getpid()}.tmp")
    file = library.open(os.fspath(unfinished), "w")
    try:
        file.addHeader(list(contigs.items()))
        for name in contigs:
            rows = values[values["contig"] == name]
            rows = rows[np.argsort(rows["start"], kind="stable")]
            if (rows["start"][1:] < rows["end"][:-1]).any():
                raise SequenceError(f"intervals of {name} overlap: a base pair has one value")
            if len(rows):
                place = [name] * len(rows), rows["start"].tolist()
                file.addEntries(*place, ends=rows["end"].tolist(), values=rows[column].astype(float).tolist())
        file.close()
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
