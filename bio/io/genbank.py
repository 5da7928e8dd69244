"""GenBank flat files, through Biopython."""

import os
from dataclasses import dataclass
from pathlib import Path

from bio.errors import SequenceError


@dataclass(frozen=True)
class Feature:
    """A stretch of a sequence: [start, end) in 0-based base pairs, strand +1, -1 or 0, and its qualifiers."""

    kind: str
    start: int
    end: int
    strand: int
    qualifiers: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SequenceRecord:
    """A sequence with its features."""

    id: str
    description: str
    sequence: str
    features: tuple[Feature, ...]


def read_genbank(path: str | os.PathLike[str]) -> list[SequenceRecord]:
    """The records of a GenBank file. GenBank counts from 1 and includes the end; features here are [start, end) from 0.

    SequenceError where the file is absent, holds no record or cannot be parsed.
    """
    try:
        from Bio import SeqIO
    except ImportError:
        raise SequenceError("reading GenBank needs Biopython: pip install 'voxhelix[bio]'") from None
    file = Path(path)
    if not file.is_file():
        raise SequenceError(f"{file}: no such file")
    try:
        with file.open() as lines:
            found = list(SeqIO.parse(lines, "genbank"))
    except (ValueError, UnicodeDecodeError) as error:
        raise SequenceError(f"{file} is not a GenBank file that can be read: {error}") from None
    if not found:
        raise SequenceError(f"{file} holds no GenBank record (one starts with a LOCUS line)")
    return [
        SequenceRecord(
            record.id,
            record.description,
            str(record.seq),
            tuple(
                Feature(
                    feature.type,
                    int(feature.location.start),
                    int(feature.location.end),
                    int(feature.location.strand or 0),
                    {name: tuple(values) for name, values in feature.qualifiers.items()},
                )
                for feature in record.features
            ),
        )
        for record in found
    ]
