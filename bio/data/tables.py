"""Tables of sequences: CSV and TSV, also gzip."""

import csv
import os
from collections.abc import Iterable

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import FormatError, SequenceError
from bio.io.opening import open_text

_SEQUENCE = ("sequence", "seq", "input", "dna", "protein", "text")
_LABEL = ("label", "labels", "class", "target", "y", "expected")


def read_table(path: str | os.PathLike[str], columns: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Columns of a table with a head line, by name; tabs or commas, whichever the head line has more of.

    FormatError names the line where a row has another number of fields; SequenceError lists the columns there are
    where one is missing.
    """
    with open_text(path) as lines:
        head = lines.readline()
        if not head.strip():
            raise FormatError(path, 1, "the first line should name the columns")
        mark = "\t" if head.count("\t") >= head.count(",") else ","
        names = next(csv.reader([head], delimiter=mark))
        wanted = names if columns is None else list(columns)
        if missing := [name for name in wanted if name not in names]:
            raise SequenceError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)}")
        rows = []
        reader = csv.reader(lines, delimiter=mark)
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                reason = f"{len(row)} fields where the first line names {len(names)}"
                raise FormatError(path, reader.line_num + 1, reason)
            rows.append(row)
    return {name: [row[names.index(name)] for row in rows] for name in wanted}


def labelled_columns(
    path: str | os.PathLike[str], sequence: str | None = None, label: str | None = None
) -> tuple[list[str], Array | list[str]]:
    """The sequences and labels of a table; columns without a name given are found by their usual ones.

    Labels are int64 where all are whole numbers, float32 where all are numbers, text otherwise.
    """
    table = read_table(path)
    letters = table[_column(path, table, sequence, _SEQUENCE, "sequences")]
    texts = table[_column(path, table, label, _LABEL, "labels")]
    for kind in (np.int64, np.float32):
        try:
            return letters, np.array(texts).astype(kind)
        except ValueError:
            continue
    return letters, texts


def _column(
    path: str | os.PathLike[str], table: dict[str, list[str]], given: str | None, usual: Iterable[str], what: str
) -> str:
    found = [given] if given is not None else [name for name in table if name.lower() in usual]
    if len(found) != 1 or found[0] not in table:
        raise SequenceError(f"{path}: which column holds the {what}? It has {', '.join(table)}")
    return found[0]
