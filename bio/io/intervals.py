"""Intervals as columns: what BED, GFF and GTF files are read into."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import FormatError, SequenceError
from bio.io.contigs import ContigNames
from bio.io.opening import open_text
from framework.core.files import atomic_write

_BED = ("contig", "start", "end", "name", "score", "strand", "thick_start", "thick_end", "color", "blocks",
        "block_sizes", "block_starts")  # fmt: skip
_NARROW = (*_BED[:6], "signal", "p_value", "q_value", "peak")


class Interval(NamedTuple):
    """[start, end) of a contig, in 0-based base pairs; strand "+", "-" or "."."""

    contig: str
    start: int
    end: int
    strand: str = "."
    name: str = ""


class Intervals:
    """A small data frame: named columns of one length, among them `contig`, `start` and `end`, 0-based half-open.

    `table["start"]` is a column (NumPy array); `table[mask]`, `table[10:20]` and `table[indices]` are rows; going
    through it gives `Interval`s. `to_pandas()` and `to_polars()` hand it on.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any] | Array]) -> None:
        self.columns = {name: _column(values) for name, values in columns.items()}
        if missing := {"contig", "start", "end"} - self.columns.keys():
            raise SequenceError(f"intervals need the columns contig, start and end; {', '.join(sorted(missing))} lack")
        sizes = {name: len(column) for name, column in self.columns.items()}
        if len(set(sizes.values())) > 1:
            raise SequenceError(f"the columns differ in length: {sizes}")
        for name in ("start", "end"):
            self.columns[name] = self.columns[name].astype(np.int64)

    def __len__(self) -> int:
        return len(self.columns["start"])

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self.columns:
                raise SequenceError(f"there is no column {key!r}; there are {', '.join(self.columns)}")
            return self.columns[key]
        rows: Any = [key] if isinstance(key, int | np.integer) else key
        return Intervals({name: column[rows] for name, column in self.columns.items()})

    def __iter__(self) -> Iterator[Interval]:
        none = np.full(len(self), "", object)
        strands = self.columns.get("strand", np.full(len(self), ".", object))
        names = self.columns.get("name", none)
        columns = (self.columns["contig"], self.columns["start"], self.columns["end"], strands, names)
        return (Interval(*row) for row in zip(*(column.tolist() for column in columns)))

    def __repr__(self) -> str:
        return f"Intervals({len(self)} rows: {', '.join(self.columns)})"

    def with_columns(self, **columns: Sequence[Any] | Array) -> "Intervals":
        """The same rows with further, or other, columns."""
        return Intervals({**self.columns, **columns})

    def resized(self, length: int) -> "Intervals":
        """Intervals of `length` base pairs around the same middles; they may reach beyond their contigs."""
        start = (self["start"] + self["end"]) // 2 - length // 2
        return self.with_columns(start=start, end=start + length)

    def renamed(self, names: ContigNames) -> "Intervals":
        """The same rows with the contigs' names of another file; SequenceError names one it lacks."""
        table = {name: names.resolve(name) for name in dict.fromkeys(self["contig"].tolist())}
        return self.with_columns(contig=[table[name] for name in self["contig"].tolist()])

    def sorted(self) -> "Intervals":
        """Rows by contig (in the order of their first rows), start and end."""
        rank = {name: number for number, name in enumerate(dict.fromkeys(self["contig"].tolist()))}
        ranks = np.array([rank[name] for name in self["contig"].tolist()], np.int64)
        return self[np.lexsort((self["end"], self["start"], ranks))]

    def overlaps(self, other: "Intervals") -> Array:
        """For each row whether it shares a base pair with a row of `other`: (N,) bool."""
        result = np.zeros(len(self), np.bool_)
        for contig in set(self["contig"].tolist()) & set(other["contig"].tolist()):
            theirs = other["contig"] == contig
            theirs &= other["end"] > other["start"]
            mine = np.flatnonzero((self["contig"] == contig) & (self["end"] > self["start"]))
            starts, ends = np.sort(other["start"][theirs]), np.sort(other["end"][theirs])
            # Those that have begun before my end, less those that have ended by my start.
            begun = np.searchsorted(starts, self["end"][mine], "left")
            gone = np.searchsorted(ends, self["start"][mine], "right")
            result[mine] = begun > gone
        return result

    def to_pandas(self) -> Any:
        """A pandas.DataFrame."""
        import pandas

        return pandas.DataFrame(self.columns)

    def to_polars(self) -> Any:
        """A polars.DataFrame."""
        import polars

        return polars.DataFrame({name: column.tolist() for name, column in self.columns.items()})


def read_bed(path: str | os.PathLike[str]) -> Intervals:
    """The intervals of a BED file (3 to 12 columns) or narrowPeak, plain or gzip.

    BED counts as we do: [start, end) from 0.

    `score` and the like are float64. Comments, `track` and `browser` lines are passed over. FormatError names the line.
    """
    names = _NARROW if ".narrowpeak" in os.fspath(path).lower() else _BED
    rows: list[list[str]] = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line[0] in "#\n" or line.startswith(("track", "browser")):
                continue
            fields = line.rstrip("\n").split("\t" if "\t" in line else None)
            if len(fields) < 3 or (rows and len(fields) != len(rows[0])):
                wanted = "at least 3" if not rows else f"{len(rows[0])} as before"
                raise FormatError(path, number, f"{len(fields)} columns, expected {wanted}")
            _check_place(path, number, fields[1], fields[2], 0)
            rows.append(fields)
    width = len(rows[0]) if rows else 3
    heads = [*names[:width], *(f"column_{i + 1}" for i in range(len(names), width))]
    table: dict[str, Any] = dict(zip(heads, zip(*rows))) if rows else {name: [] for name in heads}
    for name in ("start", "end", "thick_start", "thick_end", "peak"):
        if name in table:
            table[name] = _numbers(path, name, table[name], np.int64)
    for name in ("score", "signal", "p_value", "q_value"):
        if name in table:
            table[name] = _numbers(path, name, ["nan" if v == "." else v for v in table[name]], np.float64)
    return Intervals(table)


def write_bed(path: str | os.PathLike[str], intervals: Intervals) -> None:
    """Write contig, start, end and, where they are there, name, score and strand; whole or not at all."""
    names = [name for name in ("name", "score", "strand") if name in intervals]
    present = _BED[: 3 + (max(("name", "score", "strand").index(name) for name in names) + 1 if names else 0)]
    fill = {"name": ".", "score": 0, "strand": "."}
    columns = [intervals[name].tolist() if name in intervals else [fill[name]] * len(intervals) for name in present]
    with atomic_write(path, "w") as file:
        for row in zip(*columns):
            file.write("\t".join(f"{v:g}" if isinstance(v, float) else str(v) for v in row) + "\n")


def read_gff(path: str | os.PathLike[str], kinds: Iterable[str] | None = None) -> Intervals:
    """The features of a GFF3 or GTF file, plain or gzip; only those of `kinds` ("exon", "CDS"), if given.

    Columns: contig, source, kind, start, end, score, strand, phase (-1 for none) and attributes (dictionaries).

    The files count from 1 and include the end; here start is one less. FormatError names the line. What follows
    `##FASTA` is not read.
    """
    wanted = None if kinds is None else set(kinds)
    rows: list[tuple[Any, ...]] = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("##FASTA"):
                break
            if line[0] in "#\n":
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 9:
                raise FormatError(path, number, f"{len(fields)} columns, expected 9 with tabs between them")
            if wanted is not None and fields[2] not in wanted:
                continue
            start, end = _check_place(path, number, fields[3], fields[4], 1)
            try:
                score = float("nan") if fields[5] == "." else float(fields[5])
                phase = -1 if fields[7] == "." else int(fields[7])
            except ValueError:
                raise FormatError(path, number, f"score {fields[5]!r} or phase {fields[7]!r} is no number") from None
            rows.append((fields[0], fields[1], fields[2], start, end, score, fields[6], phase, _attributes(fields[8])))
    heads = ("contig", "source", "kind", "start", "end", "score", "strand", "phase", "attributes")
    return Intervals(dict(zip(heads, zip(*rows))) if rows else {name: [] for name in heads})


def _attributes(text: str) -> dict[str, str]:
    """`ID=gene1;Name=x%3By` (GFF3) or `gene_id "g1"; tag "a";` (GTF); of GTF's repeated keys the values with commas."""
    found: dict[str, str] = {}
    gtf = '"' in text and "=" not in text.split('"', 1)[0]
    for part in _parts(text) if gtf else text.split(";"):
        key, _, value = part.strip().partition(" " if gtf else "=")
        if key:
            value = value.strip().strip('"') if gtf else unquote(value)
            found[key] = f"{found[key]},{value}" if key in found else value
    return found


def _parts(text: str) -> list[str]:
    """GTF's attributes, cut at semicolons outside quotation marks."""
    pieces = text.split('"')
    return '"'.join(p.replace(";", "\0") if i % 2 == 0 else p for i, p in enumerate(pieces)).split("\0")


def _check_place(path: str | os.PathLike[str], number: int, first: str, last: str, origin: int) -> tuple[int, int]:
    try:
        start, end = int(first) - origin, int(last)
    except ValueError:
        raise FormatError(path, number, f"start {first!r} or end {last!r} is no whole number") from None
    if not 0 <= start <= end:
        raise FormatError(path, number, f"start {first} and end {last} are no interval (counted from {origin})")
    return start, end


def _numbers(path: str | os.PathLike[str], name: str, texts: Sequence[str], kind: Any) -> Array:
    try:
        return np.array(texts, object).astype(kind)
    except ValueError as error:
        raise FormatError(path, None, f"column {name}: {error}") from None


def _column(values: Sequence[Any] | Array) -> Array:
    if isinstance(values, np.ndarray):
        return values
    items = list(values)
    if any(isinstance(item, str | dict) for item in items[:1]):
        column = np.empty(len(items), object)
        column[:] = items
        return column
    return np.array(items) if items else np.empty(0, object)
