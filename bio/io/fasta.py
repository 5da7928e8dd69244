"""FASTA and FASTQ, through dnaio."""

import os
from collections.abc import Iterator
from typing import Any, Self

from bio.errors import FormatError, SequenceError, required
from bio.io.opening import Reader, existing


class SequenceReader(Reader):
    """The records of a FASTA or FASTQ file, plain or gzip, one after another.

    Records are dnaio's: `name` (the whole head line), `id` (its first word), `comment` (what follows the first blank),
    `sequence`, and `qualities` (text of Phred + 33; None in FASTA). FormatError gives the line and the reason.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        dnaio = required("dnaio", "reading FASTA and FASTQ")
        self.path = existing(path)
        self._format_error = dnaio.FileFormatError
        try:
            self._file = dnaio.open(self.path, open_threads=0)
        except (dnaio.UnknownFileFormat, dnaio.FileFormatError) as error:
            raise FormatError(self.path, 1, f"neither FASTA nor FASTQ: {error}") from None
        except (EOFError, OSError) as error:
            raise FormatError(self.path, None, f"the compressed data are damaged or cut short: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._file
        except self._format_error as error:
            line = error.line
            raise FormatError(self.path, None if line is None else line + 1, error.message) from None
        except (EOFError, OSError) as error:
            raise FormatError(self.path, None, f"the compressed data are damaged or cut short: {error}") from None

    def close(self) -> None:
        self._file.close()


def read_sequences(path: str | os.PathLike[str]) -> list[Any]:
    """All records of a FASTA or FASTQ file; SequenceError where there is none."""
    with SequenceReader(path) as reader:
        records = list(reader)
    if not records:
        raise SequenceError(f"{path} holds no sequence")
    return records
