"""Scalars as TensorBoard event files, without TensorFlow, protobuf or torch.

An event file is a sequence of TFRecords (length, its checksum, data, its checksum), each an `Event` message of
tensorflow/core/util/event.proto in protobuf's wire format. Scalars need five of its fields.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path


class ScalarWriter:
    """Appends scalars to one new event file in `folder`.

    With `purge_step`, readers drop what earlier files of the folder hold from that step on: a run that was killed and
    goes on from a checkpoint would otherwise show those steps twice.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = (folder / name).open("ab")
        self._write(_double(1, now) + _bytes(3, b"brain.Event:2"))
        if purge_step is not None:
            start = _bytes(7, _integer(1, 1))  # SessionLog with status START
            self._write(_double(1, now) + _integer(2, purge_step) + start)

    def add(self, step: int, /, **scalars: float) -> None:
        """Write named values of one step."""
        values = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in scalars.items())
        self._write(_double(1, time.time()) + _integer(2, step) + _bytes(5, values))

    def close(self) -> None:
        """Close the file; further values are not possible."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))
        self._file.flush()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720 appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    """The masked checksum of TFRecord files: rotated by 15 bits and shifted by a constant."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _table() -> Iterator[int]:
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        yield crc


_TABLE = tuple(_table())
