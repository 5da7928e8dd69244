"""Indexes of FASTA files, as samtools makes them (`.fai`)."""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import FormatError
from framework.core.files import atomic_write


class Entry(NamedTuple):
    """Where a contig lies: its length (bp), its first byte, and of each line the letters and the bytes."""

    name: str
    length: int
    offset: int
    letters: int
    width: int

    @property
    def end(self) -> int:
        """The byte after the last letter."""
        if not self.length:
            return self.offset
        rows, rest = divmod(self.length - 1, self.letters)
        return self.offset + rows * self.width + rest + 1


def read_index(path: str | os.PathLike[str]) -> list[Entry]:
    """The entries of a `.fai`; FormatError names a line that is none."""
    entries = []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        fields = line.split("\t")
        try:
            entry = Entry(fields[0], *map(int, fields[1:5]))
        except (ValueError, TypeError):
            raise FormatError(path, number, "expected name, length, offset, letters and bytes of a line") from None
        if entry.length and not 0 < entry.letters <= entry.width:
            raise FormatError(path, number, f"{entry.letters} letters in a line of {entry.width} bytes")
        entries.append(entry)
    return entries


def make_index(path: str | os.PathLike[str], write: bool = True) -> list[Entry]:
    """The entries of a FASTA file; written beside it as `.fai` where the folder can be written to.

    FormatError names the line where the file is not FASTA, a name comes twice, or a line before a contig's last differs
    in length: random access needs equal lines.
    """
    file = Path(path)
    if not file.stat().st_size:
        raise FormatError(file, 1, "the file is empty")
    entries = _entries(file, np.memmap(file, np.uint8, "r"))
    if write:
        # In a folder that is only for reading the index serves this once.
        with contextlib.suppress(OSError), atomic_write(Path(f"{file}.fai"), "w") as out:
            out.writelines("\t".join(map(str, entry)) + "\n" for entry in entries)
    return entries


def _entries(file: Path, data: Array) -> list[Entry]:
    if data[0] != ord(">"):
        raise FormatError(file, 1, "a FASTA file begins with '>'")
    ends = _line_ends(data)
    starts = np.concatenate([[0], ends[:-1] + 1])
    heads = np.flatnonzero(data[starts] == ord(">"))
    # Letters of each line: without the end of line, \n or \r\n.
    sizes = ends - starts
    sizes -= (sizes > 0) & (data[np.maximum(ends - 1, 0)] == 13)
    entries, seen = [], set()
    for head, after in zip(heads.tolist(), [*heads[1:].tolist(), len(starts)]):
        words = data[starts[head] + 1 : ends[head]].tobytes().split()
        name = words[0].decode("utf-8", "replace") if words else ""
        if not name or name in seen:
            raise FormatError(file, head + 1, f"the name {name!r} comes twice" if name else "a contig has no name")
        seen.add(name)
        rows = sizes[head + 1 : after]
        filled = len(rows)
        while filled and rows[filled - 1] == 0:
            filled -= 1
        offset = int(ends[head]) + 1
        if not filled:
            entries.append(Entry(name, 0, offset, 0, 0))
            continue
        first = int(rows[0])
        odd = np.flatnonzero(rows[: filled - 1] != first)
        if odd.size or rows[filled - 1] > first:
            at = int(odd[0]) if odd.size else filled - 1
            raise FormatError(
                file, head + 2 + at, f"{rows[at]} letters in a line of {name!r} where the first has {first}: rewrap it"
            )
        width = int(ends[head + 1] + 1 - starts[head + 1])
        if filled == 1 and ends[head + 1] == len(data):
            width = first + 1  # the file ends without an end of line; samtools counts one
        entries.append(Entry(name, int(rows.sum()), offset, first, width))
    return entries


def _line_ends(data: Array) -> Array:
    """Where the lines end: at each \\n, and at the end of a file that lacks the last."""
    block = 1 << 24
    found = [np.flatnonzero(data[first : first + block] == 10) + first for first in range(0, len(data), block)]
    if data[-1] != 10:
        found.append(np.array([len(data)]))
    return np.concatenate(found)
