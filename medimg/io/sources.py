"""The files behind a path: a file, a folder (all levels) or a zip, read as bytes and never unpacked to disk."""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from medimg.errors import ImageError

MAX_FILES = 200_000
MAX_FILE_BYTES = 8 << 30
MAX_ZIP_BYTES = 64 << 30
"""What all members of a zip may unpack to. They are unpacked one at a time in memory: this bounds time, not memory."""
_BOMB_BYTES = 1 << 30
_BOMB_RATIO = 200  # CT compresses 2 to 4 times, label maps up to 100; bombs 1000 times

_HEAD = 1024


@dataclass(frozen=True)
class Entry:
    """One file, or one member of a zip."""

    path: Path
    member: str | None
    size: int
    alias: str | None = None
    """What messages call it instead of its name, where that names the patient."""

    @property
    def name(self) -> str:
        """Last part of the name, for messages: the folders above often spell a patient's name."""
        return self.alias or (self.member or str(self.path)).replace("\\", "/").rsplit("/", 1)[-1]


class Source:
    """Files under a path. A context manager: it keeps a zip open between reads."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._alias: str | None = None
        self.notes: list[str] = []
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            raise ImageError(f"There is no file or folder {self.name!r}; check the path.") from None
        except (OSError, ValueError) as problem:
            raise ImageError(f"{self.name!r} cannot be opened: {_reason(problem)}.") from None
        try:
            if stat.S_ISDIR(mode):
                self.entries = tuple(_folder_entries(self.path))
            elif not stat.S_ISREG(mode):
                raise ImageError(f"{self.name!r} is neither a file nor a folder.")
            elif self._head_of_file().startswith((b"PK\x03\x04", b"PK\x05\x06")):
                self.entries = tuple(self._zip_entries())
            else:
                self.entries = (Entry(self.path, None, self.path.stat().st_size),)
        except OSError as problem:
            raise ImageError(f"{self.name!r} cannot be read: {_reason(problem)}.") from None

    @property
    def name(self) -> str:
        """Last part of the path, for messages."""
        return self._alias or self.path.name or self.path.resolve().name

    def discreet(self, entry: Entry, words: set[str], alias: str) -> Entry:
        """The entry under `alias` where its name holds one of the words (lower case) that name a patient.

        From then on messages call the source itself "the study", if its name holds one.
        """
        if any(word in self.path.name.lower() for word in words):
            self._alias = "the study"
        return replace(entry, alias=alias) if any(word in entry.name.lower() for word in words) else entry

    @property
    def is_single_file(self) -> bool:
        """Whether the path is one plain file."""
        return self._zip is None and len(self.entries) == 1 and self.entries[0].path == self.path

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def head(self, entry: Entry) -> bytes:
        """The first bytes of a file, enough to tell what it is."""
        return self._read(entry, _HEAD)

    def read(self, entry: Entry) -> bytes:
        """All bytes of a file."""
        if entry.size > MAX_FILE_BYTES:
            raise ImageError(
                f"{entry.name!r} is {entry.size / 2**30:.1f} GiB, more than the {MAX_FILE_BYTES >> 30} GiB read here."
            )
        require_memory(entry.size, entry.name)
        return self._read(entry, entry.size)

    def _read(self, entry: Entry, limit: int) -> bytes:
        try:
            with self._open(entry) as file:
                return file.read(limit)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise ImageError(
                f"{entry.name!r} in {self.name!r} is damaged (its checksum or compression is wrong)."
            ) from None
        except NotImplementedError:
            raise ImageError(
                f"{entry.name!r} in {self.name!r} is packed by a method that is not read; zip it again with deflate."
            ) from None
        except RuntimeError:
            raise ImageError(f"{self.name!r} is protected by a password; unpack it first.") from None
        except OSError as problem:
            raise ImageError(f"{entry.name!r} cannot be read: {_reason(problem)}.") from None

    def _open(self, entry: Entry) -> IO[bytes]:
        if entry.member is None:
            return open(entry.path, "rb")
        assert self._zip is not None
        return self._zip.open(entry.member)

    def _head_of_file(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read(8)

    def _zip_entries(self) -> Iterator[Entry]:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
            raise ImageError(f"{self.name!r} is a damaged or incomplete zip; copy or download it again.") from None
        members = [info for info in self._zip.infolist() if not info.is_dir()]
        _refuse_bomb(members, self.name)
        links = 0
        for info in sorted(members, key=lambda info: info.filename):
            parts = info.filename.replace("\\", "/").split("/")
            if ".." in parts:
                raise ImageError(
                    f"{self.name!r} names files outside itself ('..'): not a zip to trust, so nothing was read."
                )
            if stat.S_ISLNK(info.external_attr >> 16):
                links += 1
            elif not _is_clutter(parts):
                yield Entry(self.path, info.filename, info.file_size)
        if links:
            self.notes.append(f"Left out {links} symbolic link(s) of the zip.")


def require_memory(needed: int, name: str) -> None:
    """Raise ImageError, with both numbers, where `needed` bytes are more than the machine has free."""
    if needed < 64 << 20:  # asking the system costs more than such an array
        return
    import psutil

    free = int(psutil.virtual_memory().available)
    if needed > free:
        raise ImageError(f"{name!r} needs {needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free.")


def _folder_entries(folder: Path) -> Iterator[Entry]:
    count = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_clutter([name]))
        for name in sorted(files):
            path = Path(root, name)
            try:
                status = path.stat()
            except OSError:  # a dangling link
                continue
            if _is_clutter([name]) or not stat.S_ISREG(status.st_mode):
                continue
            count += 1
            if count > MAX_FILES:
                raise ImageError(f"{folder.name!r} holds more than {MAX_FILES} files; point at the study's own folder.")
            yield Entry(path, None, status.st_size)


def _is_clutter(parts: list[str]) -> bool:
    """Hidden files and what macOS adds to zips."""
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in parts)


def _refuse_bomb(members: list[zipfile.ZipInfo], name: str) -> None:
    unpacked = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    if len(members) > MAX_FILES:
        raise ImageError(f"{name!r} holds more than {MAX_FILES} files; zip one study at a time.")
    if unpacked > MAX_ZIP_BYTES or (unpacked > _BOMB_BYTES and unpacked > _BOMB_RATIO * max(packed, 1)):
        raise ImageError(
            f"{name!r} would unpack from {packed / 2**20:.1f} MiB to {unpacked / 2**30:.1f} GiB, as no scan does; "
            "it was not read."
        )


def _reason(problem: Exception) -> str:
    """The system's words without the path, which may name a patient."""
    return (getattr(problem, "strerror", None) or type(problem).__name__).lower()
