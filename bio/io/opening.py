"""Files, plain or compressed, opened; and what all readers share."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from bio.errors import FormatError, SequenceError


class Reader:
    """Base of readers: a context manager; a subclass defines `close()` and `__iter__`."""

    path: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError(f"{type(self).__name__} does not define close")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r})"


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there; SequenceError where it is not."""
    file = Path(path)
    if not file.is_file():
        raise SequenceError(f"{file}: no such file" if not file.exists() else f"{file} is not a file")
    return file


def is_gzip(path: str | os.PathLike[str]) -> bool:
    """Whether a file is compressed with gzip or bgzip, by its first bytes."""
    with Path(path).open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """A text file, plain or gzip; what is damaged about it while it is read becomes FormatError."""
    file = existing(path)
    opener: Any = gzip.open if is_gzip(file) else open
    with opener(file, "rb") as binary, io.TextIOWrapper(binary, encoding="utf-8", newline=None) as lines:
        try:
            yield lines
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(file, None, f"the compressed data are damaged or cut short: {error}") from None
        except UnicodeDecodeError as error:
            raise FormatError(file, None, f"this is no text: {error}") from None
