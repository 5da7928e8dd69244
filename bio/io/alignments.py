"""BAM, CRAM and SAM, through pysam."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from bio.encoding.alphabet import Array
from bio.errors import FormatError, SequenceError, required
from bio.io.contigs import ContigNames
from bio.io.opening import Reader, existing


class AlignmentReader(Reader):
    """The aligned reads of a BAM, CRAM or SAM file, in the file's order; with an index, those of a stretch by `fetch`.

    Reads are pysam's AlignedSegment: `reference_start` and `reference_end` are 0-based half-open as all is here. CRAM
    needs the genome's FASTA as `reference`.
    """

    def __init__(self, path: str | os.PathLike[str], reference: str | os.PathLike[str] | None = None) -> None:
        pysam = required("pysam", "reading BAM and CRAM")
        self.path = existing(path)
        former = pysam.set_verbosity(0)  # htslib would print what we raise
        try:
            self._file = pysam.AlignmentFile(
                os.fspath(self.path), reference_filename=None if reference is None else os.fspath(reference)
            )
        except (OSError, ValueError) as error:
            raise FormatError(self.path, None, f"no BAM, CRAM or SAM file that can be read: {error}") from None
        finally:
            pysam.set_verbosity(former)
        self._names = ContigNames(self._file.references)

    @property
    def contigs(self) -> dict[str, int]:
        """The lengths of the contigs in base pairs, by name."""
        return dict(zip(self._file.references, self._file.lengths))

    def __iter__(self) -> Iterator[Any]:
        return self._guarded(self._file.fetch(until_eof=True))

    def fetch(self, contig: str, start: int = 0, end: int | None = None) -> Iterator[Any]:
        """The reads that touch [start, end), 0-based."""
        return self._guarded(self._file.fetch(self._indexed(contig), start, end))

    def coverage(self, contig: str, start: int, end: int, min_quality: int = 0) -> Array:
        """How many reads' bases lie on each place of [start, end): (4, end - start) int32, for A, C, G and T.

        Reads that are unmapped, secondary, duplicates or failed do not count, nor bases below Phred `min_quality`.
        """
        counts = self._file.count_coverage(self._indexed(contig), start, end, quality_threshold=min_quality)
        return np.array(counts, np.int32)

    def close(self) -> None:
        self._file.close()

    def _indexed(self, contig: str) -> str:
        if not self._file.has_index():
            raise SequenceError(f"{self.path} has no index: run `samtools index {self.path.name}`")
        return self._names.resolve(contig)

    def _guarded(self, reads: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from reads
        except OSError as error:
            raise FormatError(self.path, None, f"damaged or cut short: {error}") from None
