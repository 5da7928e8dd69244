"""Sequences: encodings of DNA, RNA and proteins on the tensor core.

Coordinates are 0-based and half-open.
"""

import importlib
from typing import Any

_HOMES = {
    "DNA": "bio.encoding",
    "PROTEIN": "bio.encoding",
    "one_hot": "bio.encoding",
    "one_hot_batch": "bio.encoding",
    "decode": "bio.encoding",
    "reverse_complement": "bio.encoding",
    "Genome": "bio.io",
    "read_sequences": "bio.io",
    "read_bed": "bio.io",
    "read_gff": "bio.io",
    "read_genbank": "bio.io",
    "SequenceError": "bio.errors",
    "FormatError": "bio.errors",
    "ReferenceMismatchError": "bio.errors",
    "LeakageError": "bio.errors",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bio' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
