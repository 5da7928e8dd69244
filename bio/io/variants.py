"""VCF and BCF, through cyvcf2."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bio.encoding.alphabet import Array
from bio.errors import FormatError, SequenceError, required
from bio.io.contigs import ContigNames
from bio.io.genome import Genome
from bio.io.opening import Reader, existing


@dataclass(frozen=True, slots=True)
class Variant:
    """A line of a VCF file. `start` is 0-based (POS is one more), `end` is `start` + length of the reference.

    `alternates` may hold symbols (`<DEL>`, `*`, breakends); `filters` is () for PASS and None where nothing was
    filtered. `genotypes` is (samples, 3) int16: the two alleles (-1 missing) and whether they are phased, or None.
    """

    contig: str
    start: int
    reference: str
    alternates: tuple[str, ...]
    id: str | None
    quality: float | None
    filters: tuple[str, ...] | None
    info: dict[str, Any]
    genotypes: Array | None

    @property
    def end(self) -> int:
        """The place after the reference's last letter."""
        return self.start + len(self.reference)

    def __str__(self) -> str:
        named = f" ({self.id})" if self.id else ""
        return f"{self.contig}:{self.start + 1} {self.reference}>{','.join(self.alternates) or '.'}{named}"


class VariantReader(Reader):
    """The variants of a VCF or BCF file, one after another; with an index, those of a stretch by `fetch`."""

    def __init__(self, path: str | os.PathLike[str], genotypes: bool = True) -> None:
        cyvcf2 = required("cyvcf2", "reading VCF")
        self.path, self.genotypes = existing(path), genotypes
        try:
            self._file = cyvcf2.VCF(os.fspath(self.path))
        except OSError as error:
            raise FormatError(self.path, None, f"no VCF or BCF file that can be read: {error}") from None
        self.samples = tuple(self._file.samples)

    @property
    def contigs(self) -> tuple[str, ...]:
        """Names of the contigs that the header or the index lists."""
        return tuple(self._file.seqnames)

    def __iter__(self) -> Iterator[Variant]:
        return self._variants(self._file)

    def fetch(self, contig: str, start: int, end: int) -> Iterator[Variant]:
        """The variants that touch [start, end), 0-based; the file needs an index (.tbi or .csi)."""
        if not any(os.path.exists(f"{self.path}{suffix}") for suffix in (".tbi", ".csi")):
            raise SequenceError(f"{self.path} has no index: run `tabix -p vcf {self.path.name}`")
        name = ContigNames(self.contigs).resolve(contig)
        return self._variants(self._file(f"{name}:{start + 1}-{end}"))

    def close(self) -> None:
        self._file.close()

    def _variants(self, lines: Iterable[Any]) -> Iterator[Variant]:
        seen = 0
        try:
            for line in lines:
                seen += 1
                filters = line.FILTERS
                yield Variant(
                    line.CHROM,
                    line.start,
                    line.REF,
                    tuple(line.ALT),
                    line.ID,
                    line.QUAL,
                    tuple(filters) if filters and filters != ["PASS"] else () if filters else None,
                    dict(line.INFO),
                    line.genotype.array() if self.genotypes and self.samples else None,
                )
        except Exception as error:  # cyvcf2 raises bare Exception for what htslib cannot parse
            if type(error) is not Exception:
                raise
            raise FormatError(self.path, None, f"record {seen + 1} cannot be parsed: {error}") from None


def check_reference(variants: Iterable[Variant], genome: Genome) -> Iterator[Variant]:
    """Hand variants on; ReferenceMismatchError at the first whose reference is not what the genome has there."""
    for variant in variants:
        genome.check(variant.contig, variant.start, variant.reference, str(variant))
        yield variant
