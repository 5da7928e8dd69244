"""The table of contents of a zip file, and its records as pieces of the file; nothing is ever unpacked to disk."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from framework.serialization.errors import SerializationError, shown
from framework.serialization.source import Source

MAX_RECORDS = 200_000
MAX_TEXT = 2**24  # bytes of all texts of an archive when unpacked
_END, _END64, _LOCATOR, _ENTRY, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"


@dataclass(frozen=True)
class _Record:
    name: bytes
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int


def looks_like_zip(source: Source) -> bool:
    """Whether the file begins as a zip file does."""
    return bytes(source.view()[:4]) == _LOCAL


class Archive:
    """A zip file whose records were checked: names that stay inside, no name twice, no two on the same bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._records: dict[str, _Record] = {}
        self._unpacked = 0
        count, begin, end = self._directory()
        table = source.view()[begin:end]
        position = 0
        for _ in range(count):
            record, position = self._entry(table, position)
            name = self._name(record.name)
            if name in self._records:
                raise self._damaged(f"the name {shown(name)} stands twice in it")
            self._records[name] = record
        in_order = sorted(self._records.values(), key=lambda record: record.offset)
        bounds = [record.offset for record in in_order[1:]] + [begin]
        self._bounds = {record.name: bound for record, bound in zip(in_order, bounds)}
        for record in in_order:
            self._fits(record, record.offset + 30 + len(record.name))

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def names(self) -> list[str]:
        """The names of all records."""
        return list(self._records)

    def place(self, name: str) -> tuple[int, int]:
        """Where the bytes of a record begin in the file, and how many there are; it must not be compressed."""
        record = self._record(name)
        if record.method or record.packed != record.size:
            raise SerializationError(
                f"'{self._source.label}' was refused: its record {shown(name)} is compressed, which PyTorch's files "
                "never are; unpack it and pack it again without compression (zip -0)"
            )
        return self._begin(record), record.size

    def read(self, name: str) -> bytes:
        """The bytes of an uncompressed record, compared with its checksum where it has one."""
        content = self._source.read(*self.place(name))
        crc = self._records[name].crc
        if crc and zlib.crc32(content) != crc:
            raise self._damaged(f"its record {shown(name)} differs from its checksum")
        return content

    def text(self, name: str) -> str:
        """A text, compressed or not."""
        record = self._record(name)
        content = self._source.read(self._begin(record), min(record.packed, MAX_TEXT))
        if record.method == 8:
            try:
                content = zlib.decompressobj(-15).decompress(content, MAX_TEXT)
            except zlib.error as error:
                raise self._damaged(f"its record {shown(name)} cannot be unpacked") from error
        self._unpacked += len(content)
        if self._unpacked >= MAX_TEXT:
            raise SerializationError(
                f"'{self._source.label}' was refused: its texts unpack to {MAX_TEXT} bytes or more"
            )
        return content.decode("utf-8", "replace")

    def _damaged(self, why: str) -> SerializationError:
        return SerializationError(f"'{self._source.label}' is damaged: {why}; copy or download it again")

    def _record(self, name: str) -> _Record:
        if name not in self._records:
            raise self._damaged(f"it has no record {shown(name)}")
        return self._records[name]

    def _directory(self) -> tuple[int, int, int]:
        """How many records the table of contents has, where it begins and where it ends."""
        source = self._source
        tail = bytes(source.view()[max(0, source.size - 22 - 65535) :])
        place = tail.rfind(_END)
        if place < 0 or len(tail) < place + 22:
            raise SerializationError(
                f"'{source.label}' is truncated: its table of contents, which stands at the end, is missing; "
                "copy or download it again"
            )
        end = source.size - len(tail) + place
        *_, count, size, begin, _ = struct.unpack("<4s4H2LH", tail[place : place + 22])
        if end >= 20 and source.read(end - 20, 4) == _LOCATOR:
            (end,) = struct.unpack("<8xQ4x", source.read(end - 20, 20))
            signature, count, size, begin = struct.unpack("<4s28x3Q", source.read(end, 56))
            if signature != _END64:
                raise self._damaged("its table of contents is not where it should be")
        if count > MAX_RECORDS:
            raise SerializationError(f"'{source.label}' was refused: it has {count} records, over {MAX_RECORDS}")
        if begin + size > end:
            raise self._damaged("its table of contents is not where it should be")
        return count, begin, begin + size

    def _entry(self, table: memoryview, position: int) -> tuple[_Record, int]:
        """One entry of the table of contents, and where the next begins."""
        fixed = bytes(table[position : position + 46])
        if len(fixed) < 46 or fixed[:4] != _ENTRY:
            raise self._damaged("its table of contents is cut short")
        flags, method, crc, packed, size, *lengths, offset = struct.unpack("<8x2H4xL2L3H8xL", fixed)
        begin = position + 46
        name = bytes(table[begin : begin + lengths[0]])
        extra = bytes(table[begin + lengths[0] : begin + lengths[0] + lengths[1]])
        if 0xFFFFFFFF in (packed, size, offset):
            size, packed, offset = self._wide(extra, size, packed, offset)
        return _Record(name, method, flags, crc, packed, size, offset), begin + sum(lengths)

    def _wide(self, extra: bytes, *values: int) -> list[int]:
        """Sizes and offset of 64 bits, which stand in an extra field when they do not fit in 32."""
        position = 0
        while position + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, position)
            if kind == 1:
                body = extra[position + 4 : position + 4 + length]
                wide = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
                return [next(wide, value) if value == 0xFFFFFFFF else value for value in values]
            position += 4 + length
        return list(values)

    def _name(self, raw: bytes) -> str:
        name = raw.decode("utf-8", "replace")
        parts = name.split("/")
        if ".." in parts or name.startswith("/") or "\\" in name or "\0" in name or ":" in parts[0]:
            raise SerializationError(
                f"'{self._source.label}' was refused: its record {shown(name)} points out of the archive; "
                "it may be an attack"
            )
        return name

    def _begin(self, record: _Record) -> int:
        """Where the bytes of a record begin: after a second header, which must agree with the first."""
        fixed = self._source.read(record.offset, 30)
        signature, method, name, extra = struct.unpack("<4s4xH16x2H", fixed)
        begin = record.offset + 30 + name + extra
        if (
            signature != _LOCAL
            or method != record.method
            or record.flags & 1
            or self._source.read(record.offset + 30, name) != record.name
        ):
            raise self._damaged(f"its record {shown(record.name.decode('utf-8', 'replace'))} contradicts its table")
        self._fits(record, begin)
        return begin

    def _fits(self, record: _Record, begin: int) -> None:
        """Every record ends before the next one and the table of contents begin."""
        if begin + record.packed > self._bounds[record.name]:
            raise self._damaged("records in it lie on the same bytes, or beyond its end")
