"""Files of sequences, read through well-kept parsers; coordinates are 0-based and half-open."""

import importlib
from typing import Any

_HOMES = {
    "SequenceReader": "fasta",
    "read_sequences": "fasta",
    "ContigNames": "contigs",
    "read_aliases": "contigs",
    "Genome": "genome",
    "make_index": "faidx",
    "Interval": "intervals",
    "Intervals": "intervals",
    "read_bed": "intervals",
    "read_gff": "intervals",
    "write_bed": "intervals",
    "Variant": "variants",
    "VariantReader": "variants",
    "check_reference": "variants",
    "AlignmentReader": "alignments",
    "BigWig": "tracks",
    "write_bigwig": "tracks",
    "Feature": "genbank",
    "SequenceRecord": "genbank",
    "read_genbank": "genbank",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bio.io' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bio.io.{_HOMES[name]}"), name)
