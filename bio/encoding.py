"""Sequences as arrays of channels, with an explicit policy for ambiguous codes.

IUPAC nucleotide codes: Cornish-Bowden, Nucleic Acids Research 13 (1985) 3021.
"""

from typing import Any, Literal

import numpy as np

from bio.errors import SequenceError

NUCLEOTIDES = "ACGT"
IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
_COMPLEMENT = bytes.maketrans(b"ACGTURYSWKMBDHVNacgturyswkmbdhvn", b"TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")

Ambiguous = Literal["zero", "split", "refuse"]


def one_hot(sequence: str | bytes, ambiguous: Ambiguous = "zero") -> np.ndarray[Any, Any]:
    """A nucleotide sequence of length L as channels (4, L) in the order A, C, G, T.

    `ambiguous` says what an IUPAC code for several bases becomes: "zero" no base (uint8), "split" equal shares
    (float32), "refuse" an error. Lower case counts as upper, U as T. SequenceError names the first letter that is no
    IUPAC code, and its position.
    """
    if ambiguous not in ("zero", "split", "refuse"):
        raise SequenceError(f"ambiguous must be 'zero', 'split' or 'refuse', got {ambiguous!r}")
    codes = np.frombuffer(_ascii(sequence), np.uint8)
    unknown = np.flatnonzero(~_KNOWN[codes])
    if unknown.size:
        place = int(unknown[0])
        raise SequenceError(
            f"position {place} (0-based) holds {chr(codes[place])!r}, which is no IUPAC nucleotide code"
        )
    if ambiguous == "refuse":
        doubtful = np.flatnonzero(_SHARES[:, codes].max(0) < 1)
        if doubtful.size:
            place = int(doubtful[0])
            raise SequenceError(
                f"position {place} (0-based) holds the ambiguous code {chr(codes[place])!r}: "
                "choose ambiguous='zero' or 'split', or remove the sequence"
            )
    return _SHARES[:, codes] if ambiguous == "split" else (_SHARES == 1).astype(np.uint8)[:, codes]


def decode(channels: np.ndarray[Any, Any]) -> str:
    """The sequence of one-hot channels (4, L); columns without a single base become N."""
    array = np.asarray(channels)
    if array.ndim != 2 or array.shape[0] != 4:
        raise SequenceError(f"expected channels of shape (4, L), got {array.shape}")
    letters = np.frombuffer(b"ACGTN", np.uint8)
    single = (array == 1).sum(0) == 1
    return letters[np.where(single & ((array != 0).sum(0) == 1), array.argmax(0), 4)].tobytes().decode()


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction; IUPAC codes and case are kept, U pairs as T does."""
    return _ascii(sequence).translate(_COMPLEMENT)[::-1].decode()


def _ascii(sequence: str | bytes) -> bytes:
    if isinstance(sequence, bytes):
        return sequence
    try:
        return sequence.encode("ascii")
    except UnicodeEncodeError as error:
        raise SequenceError(
            f"position {error.start} (0-based) holds {sequence[error.start]!r}, which is no IUPAC code"
        ) from None


def _tables() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The share of each base for each byte, (4, 256), and which bytes are codes."""
    shares = np.zeros((4, 256), np.float32)
    for code, bases in IUPAC.items():
        for letter in (code, code.lower()):
            for base in bases:
                shares[NUCLEOTIDES.index(base), ord(letter)] = 1 / len(bases)
    return shares, shares.max(0) > 0


_SHARES, _KNOWN = _tables()
