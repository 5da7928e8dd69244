"""Files of sequences, read through well-kept parsers."""

from bio.io.genbank import Feature, SequenceRecord, read_genbank

__all__ = ["Feature", "SequenceRecord", "read_genbank"]
