"""Random access to FASTA files through an index, in mapped memory.

The index is samtools' `.fai`; bgzip files need bgzip's `.gzi` beside it (samtools faidx makes both; the `.fai` of a
plain file is made here when it is absent).
"""

import mmap
import os
import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bio.encoding.alphabet import Array
from bio.encoding.strands import reverse_complement
from bio.errors import FormatError, ReferenceMismatchError, SequenceError
from bio.io.contigs import ContigNames
from bio.io.faidx import Entry, make_index, read_index
from bio.io.opening import Reader, existing, is_gzip

_BLOCKS = 64  # unpacked bgzip blocks (64 KiB each at most) that a genome keeps


class Genome(Reader):
    """A FASTA file of which any stretch is read at once; coordinates are 0-based and half-open.

    Nothing is read before it is asked for, and no position in the file is kept: threads and forked processes may share
    one. Contigs go by any of their usual names (`ContigNames`); `aliases` adds more.

        with Genome("hg38.fa") as genome:
            genome.fetch("chr1", 10_000, 11_000)
    """

    def __init__(self, path: str | os.PathLike[str], aliases: Mapping[str, str] | None = None) -> None:
        self.path = existing(path)
        packed = is_gzip(self.path)
        index = Path(f"{self.path}.fai")
        if not index.exists() and packed:
            raise SequenceError(f"{self.path} is compressed and has no index: run `samtools faidx {self.path.name}`")
        entries = read_index(index) if index.exists() else make_index(self.path)
        self._entries = {entry.name: entry for entry in entries}
        self._names = ContigNames(self._entries, aliases)
        with self.path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise FormatError(self.path, None, "the file is empty")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes: Any = _Bgzip(self.path, self._map) if packed else self._map
        last = max(entries, key=lambda entry: entry.offset, default=None)
        if last is not None and last.end > len(self._bytes):
            self.close()
            raise FormatError(index, None, f"{last.name} ends beyond the end of {self.path.name}: make the index anew")
        self._found: dict[str, Entry] = {}

    def close(self) -> None:
        self._map.close()

    @property
    def contigs(self) -> dict[str, int]:
        """The lengths of the contigs in base pairs, by their names in the file."""
        return {name: entry.length for name, entry in self._entries.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, contig: str) -> bool:
        return contig in self._names

    def length(self, contig: str) -> int:
        """Length of a contig in base pairs."""
        return self._entry(contig).length

    def fetch(self, contig: str, start: int = 0, end: int | None = None, strand: str = "+") -> str:
        """The letters of [start, end), as they are in the file; with strand "-" of the other strand.

        SequenceError where the stretch is not inside the contig.
        """
        letters = self._letters(self._found.get(contig) or self._entry(contig), start, end).decode("ascii")
        return reverse_complement(letters) if strand == "-" else letters

    def fetch_array(self, contig: str, start: int = 0, end: int | None = None) -> Array:
        """The letters of [start, end) as (end - start,) uint8, ready for `one_hot`."""
        return np.frombuffer(self._letters(self._entry(contig), start, end), np.uint8)

    def fetch_many(self, contigs: Sequence[str], starts: Sequence[int] | Array, length: int) -> Array:
        """Windows of one length as (N, length) uint8; what lies beyond a contig's ends is N."""
        windows = np.full((len(contigs), length), ord("N"), np.uint8)
        for row, contig, start in zip(windows, contigs, map(int, starts)):
            entry = self._found.get(contig) or self._entry(contig)
            begin, end = max(start, 0), min(start + length, entry.length)
            if begin < end:
                row[begin - start : end - start] = np.frombuffer(self._letters(entry, begin, end), np.uint8)
        return windows

    def check(self, contig: str, position: int, reference: str, record: str) -> None:
        """ReferenceMismatchError, with the record's name, unless `reference` stands at `position` (0-based).

        Case does not count, and an ambiguous letter agrees with any it stands for.
        """
        entry = self._entry(contig)
        if not 0 <= position <= position + len(reference) <= entry.length:
            raise ReferenceMismatchError(record, contig, position, reference, "")
        found = self.fetch(contig, position, position + len(reference))
        if found.upper() != reference.upper() and not _agree(found, reference):
            raise ReferenceMismatchError(record, contig, position, reference, found)

    def _entry(self, contig: str) -> Entry:
        entry = self._found.get(contig)
        if entry is None:
            try:
                entry = self._found[contig] = self._entries[self._names.resolve(contig)]
            except SequenceError as error:
                raise SequenceError(f"{self.path}: {error}") from None
        return entry

    def _letters(self, entry: Entry, start: int, end: int | None) -> bytes:
        if end is None:
            end = entry.length
        if not 0 <= start <= end <= entry.length:
            raise SequenceError(
                f"{self.path}: [{start}, {end}) is not inside {entry.name}, which has {entry.length} base pairs"
            )
        if start == end:
            return b""
        row, more = divmod(start, entry.letters)
        last, rest = divmod(end - 1, entry.letters)
        begin = entry.offset + row * entry.width + more
        raw = self._bytes[begin : entry.offset + last * entry.width + rest + 1]
        letters = raw if row == last else raw.translate(None, b"\r\n")
        if len(letters) != end - start:
            raise FormatError(f"{self.path}.fai", None, f"the lines of {entry.name} are not as it says: make it anew")
        return letters


class _Bgzip:
    """The bytes of a bgzip file, by their place in what it holds (BGZF: SAM specification, section 4.1)."""

    def __init__(self, path: Path, packed: mmap.mmap) -> None:
        index = Path(f"{path}.gzi")
        if not index.exists():
            raise SequenceError(f"{path} has no {index.name}: run `bgzip -r {path.name}`, or `samtools faidx`")
        raw = index.read_bytes()
        count = int.from_bytes(raw[:8], "little")
        if len(raw) != 8 + 16 * count:
            raise FormatError(index, None, f"{count} blocks were announced, and the size is that of another number")
        table = np.frombuffer(raw, "<u8", offset=8).reshape(-1, 2)
        self._path, self._packed = path, packed
        self._places, self._starts = [0, *table[:, 0].tolist()], [0, *table[:, 1].tolist()]
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            place, end = self._places[-1], self._starts[-1]
            while place < len(self._packed):
                data, place = self._unpack(place)
                end += len(data)
            self._length = end
        return self._length

    def __getitem__(self, stretch: slice) -> bytes:
        parts, number, at = [], bisect_right(self._starts, stretch.start) - 1, stretch.start
        while at < stretch.stop:
            data = self._block(number)
            part = data[at - self._starts[number] : stretch.stop - self._starts[number]]
            parts.append(part)
            at += len(part)
            number += 1
            if number == len(self._starts) and at < stretch.stop:
                raise FormatError(self._path, None, "the file is cut short")
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        data = self._kept.pop(number, None)
        if data is None:
            data = self._unpack(self._places[number])[0]
        self._kept[number] = data  # the youngest; threads may at worst unpack a block twice
        while len(self._kept) > _BLOCKS:
            try:
                self._kept.popitem(last=False)
            except KeyError:
                break
        return data

    def _unpack(self, place: int) -> tuple[bytes, int]:
        head = self._packed[place : place + 18]
        if len(head) < 18 or head[:4] != b"\x1f\x8b\x08\x04" or head[12:16] != b"BC\x02\x00":
            raise FormatError(self._path, None, f"byte {place} begins no bgzip block: compress it with bgzip, not gzip")
        size = struct.unpack("<H", head[16:18])[0] + 1
        try:
            data = zlib.decompress(self._packed[place + 18 : place + size - 8], -15)
        except zlib.error as error:
            raise FormatError(self._path, None, f"the bgzip block at byte {place} is damaged: {error}") from None
        if struct.pack("<II", zlib.crc32(data), len(data)) != self._packed[place + size - 8 : place + size]:
            raise FormatError(self._path, None, f"the bgzip block at byte {place} is damaged: its checksum differs")
        return data, place + size


def _agree(found: str, reference: str) -> bool:
    from bio.encoding import IUPAC

    def bases(letter: str) -> str:
        return IUPAC.get(letter.upper(), letter)

    pairs = zip(found, reference)
    return len(found) == len(reference) and all(set(bases(a)) & set(bases(b)) for a, b in pairs)
