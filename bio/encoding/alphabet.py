"""Alphabets of sequences: which letters there are, and what the ambiguous ones stand for.

IUPAC nucleotide codes: Cornish-Bowden, Nucleic Acids Research 13 (1985) 3021. Amino acids: IUPAC-IUB JCBN, European
Journal of Biochemistry 138 (1984) 9; O and U: later additions (pyrrolysine, selenocysteine).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bio.errors import SequenceError

Array = np.ndarray[Any, Any]
ILLEGAL = 255  # the code of a byte that is no letter of the alphabet


class Alphabet:
    """Letters in a fixed order, each with its number; and letters that stand for several of them, or for none.

    `codes` maps each further letter to those it stands for: `{"R": "AG"}`; a letter that stands for exactly one is a
    synonym (`{"U": "T"}`), and one that stands for none (a stop, a gap) is known but has no share in any channel.
    Lower case counts as upper.
    """

    def __init__(self, name: str, letters: str, codes: Mapping[str, str]) -> None:
        self.name, self.letters = name, letters
        self.shares = np.zeros((len(letters), 256), np.float32)  # of each letter in each byte
        table = np.full(256, ILLEGAL, np.uint8)
        for code, members in {**{letter: letter for letter in letters}, **codes}.items():
            for byte in (ord(code), ord(code.lower())):
                table[byte] = letters.index(members) if len(members) == 1 else len(letters)
                for member in members:
                    self.shares[letters.index(member), byte] = 1 / len(members)
        self.table = table.tobytes()

    def __len__(self) -> int:
        return len(self.letters)

    def __repr__(self) -> str:
        return f"Alphabet({self.name}: {self.letters})"

    @property
    def unknown(self) -> int:
        """The number that ambiguous letters get: one more than the last letter's."""
        return len(self.letters)

    def encode(self, sequence: str | bytes | Array) -> Array:
        """Numbers of the letters, (L,) uint8; ambiguous ones become `unknown`.

        Takes text, bytes, or letters as an array of uint8 of any shape, which is kept. SequenceError names the first
        letter that is not in the alphabet, and its position.
        """
        if isinstance(sequence, np.ndarray):
            if sequence.dtype != np.uint8:
                raise SequenceError(f"letters as an array must be uint8 (ASCII), got {sequence.dtype}")
            letters, shape = sequence.tobytes(), sequence.shape
        else:
            letters = ascii_bytes(sequence, self.name)
            shape = (len(letters),)
        codes = np.frombuffer(letters.translate(self.table), np.uint8)
        if codes.size and codes.max() == ILLEGAL:
            place = int(np.argmax(codes == ILLEGAL))
            where = f"position {place} (0-based)" if len(shape) == 1 else f"place {np.unravel_index(place, shape)}"
            raise SequenceError(
                f"{where} holds {chr(letters[place])!r}, which is no {kind_of_code(self.name)}: "
                "remove it, or choose the alphabet that has it"
            )
        return codes.reshape(shape)

    def decode(self, codes: Array) -> str:
        """The letters of numbers (L,); `unknown` becomes N for nucleotides and X for amino acids."""
        array = np.asarray(codes)
        if array.ndim != 1 or (array.size and not (array.min() >= 0 and array.max() <= len(self))):
            raise SequenceError(f"numbers of {self.name} letters are (L,) in 0..{len(self)}, got shape {array.shape}")
        letters = self.letters + ("N" if len(self) == 4 else "X")
        return np.frombuffer(letters.encode(), np.uint8)[array].tobytes().decode()


def ascii_bytes(sequence: str | bytes, name: str = "DNA") -> bytes:
    """A sequence as bytes; SequenceError for a letter outside ASCII."""
    if isinstance(sequence, bytes):
        return sequence
    if not isinstance(sequence, str):
        raise SequenceError(f"a sequence is text, bytes or an array of uint8, got {type(sequence).__name__}")
    try:
        return sequence.encode("ascii")
    except UnicodeEncodeError as error:
        raise SequenceError(
            f"position {error.start} (0-based) holds {sequence[error.start]!r}, which is no {kind_of_code(name)}"
        ) from None


def kind_of_code(name: str) -> str:
    """What a letter of an alphabet is called in messages."""
    return "IUPAC code of amino acids" if name == "protein" else "IUPAC nucleotide code"


IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
NUCLEOTIDES = "ACGT"
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"

DNA = Alphabet("DNA", NUCLEOTIDES, IUPAC)
PROTEIN = Alphabet(
    "protein",
    AMINO_ACIDS,
    # Selenocysteine and pyrrolysine are residues of their own, of which these twenty channels know nothing.
    {"B": "DN", "Z": "EQ", "J": "IL", "X": AMINO_ACIDS, "U": "", "O": "", "*": "", "-": "", ".": ""},
)
