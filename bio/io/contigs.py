"""Names of contigs: chr1, 1 and NC_000001.11 are one chromosome."""

import os
import re
from collections.abc import Iterable, Mapping

from bio.errors import SequenceError

# RefSeq's accessions run on from chromosome 1 to X and Y; their versions tell the assembly.
_ASSEMBLIES = {  # name: number of the first accession, versions in the order 1, 2, ..., X, Y, mitochondrion
    "GRCh38": (1, 22, "11 12 12 12 10 12 14 11 12 11 10 12 11 9 10 10 11 10 10 11 9 11 11 10", "NC_012920.1"),
    "GRCh37": (1, 22, "10 11 11 11 9 11 13 10 11 10 9 11 10 8 9 9 10 9 9 10 8 10 10 9", "NC_012920.1"),
    "GRCm39": (67, 19, "7 8 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 8", "NC_005089.1"),
    "GRCm38": (67, 19, "6 7 6 6 6 6 6 6 6 6 6 6 6 6 6 6 6 6 6 7 7", "NC_005089.1"),
}


class ContigNames:
    """The names a file has for its contigs, found by any of their usual names.

    UCSC's (chr1, chrM), Ensembl's (1, MT) and, for human (GRCh37, GRCh38) and mouse (GRCm38, GRCm39), RefSeq's
    accessions. `aliases` adds names of one's own: a dictionary from other names to those in the file.
    """

    def __init__(self, names: Iterable[str], aliases: Mapping[str, str] | None = None) -> None:
        self.names = tuple(names)
        self._found: dict[str, str] = {name: name for name in self.names}
        self._by_key: dict[str, list[str]] = {}
        for name in self.names:
            self._by_key.setdefault(_key(name), []).append(name)
        for alias, name in (aliases or {}).items():
            if name not in self.names:
                raise SequenceError(f"alias {alias!r} is for {name!r}, which the file does not have")
            self._found[alias] = name

    def resolve(self, name: str) -> str:
        """The file's own name of a contig; SequenceError where it has none, or several, or another assembly's."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._search(name)
        return found

    def __contains__(self, name: str) -> bool:
        try:
            self.resolve(name)
        except SequenceError:
            return False
        return True

    def _search(self, name: str) -> str:
        candidates = self._by_key.get(_key(name), [])
        if name.startswith("NC_") and any(c.startswith("NC_") for c in candidates):
            raise SequenceError(f"the file has {candidates[0]} where {name} was asked for: another version of it")
        if len(candidates) == 1:
            return candidates[0]
        shown = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
        if candidates:
            raise SequenceError(f"contig {name!r} could be {' or '.join(candidates)}: name one of them")
        raise SequenceError(f"there is no contig {name!r}; there are {shown or 'none'}")


def read_aliases(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    """Rows of a table of names (UCSC's chromAlias.txt): each a contig's names; `#` begins a comment."""
    from bio.io.opening import open_text

    with open_text(path) as lines:
        return [tuple(filter(None, line.rstrip("\n").split("\t"))) for line in lines if line[0] not in "#\n"]


def _key(name: str) -> str:
    """What all names of a contig have in common."""
    accession = _ACCESSIONS.get(name)
    if accession is not None:
        return accession
    short = re.sub(r"^chr(?=\w)", "", name, flags=re.IGNORECASE)
    return "MT" if short.upper() in ("M", "MT") else short.upper() if short.upper() in "XYZW" else short


def _accessions() -> dict[str, str]:
    found = {}
    for first, autosomes, versions, mitochondrion in _ASSEMBLIES.values():
        chromosomes = [*map(str, range(1, autosomes + 1)), "X", "Y"]
        for number, (chromosome, version) in enumerate(zip(chromosomes, versions.split(), strict=True), first):
            found[f"NC_{number:06}.{version}"] = chromosome
        found[mitochondrion] = "MT"
    return found


_ACCESSIONS = _accessions()
