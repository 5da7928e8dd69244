"""Sequences as numbers of a vocabulary: what all tokenizers share, and one token a letter."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bio.errors import SequenceError

Array = np.ndarray[Any, Any]

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer:
    """Base of tokenizers: a subclass gives `vocabulary` and defines `_pieces(sequence)`, numbers without specials.

    `pad_id`, `unk_id`, `cls_id`, `eos_id` and `mask_id` are the numbers of padding, unknown pieces, the beginning, the
    end and the mask; None where the vocabulary has no such token.
    """

    def __init__(self, vocabulary: Sequence[str], specials: Sequence[str | None]) -> None:
        self.vocabulary = tuple(vocabulary)
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise SequenceError("a vocabulary names each token once")
        self.numbers = {token: number for number, token in enumerate(self.vocabulary)}
        for token in specials:
            if token is not None and token not in self.numbers:
                raise SequenceError(f"the vocabulary has no token {token!r}")
        self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id = (
            None if token is None else self.numbers[token] for token in specials
        )

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Numbers of the special tokens that there are."""
        ids = (self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id)
        return tuple(number for number in ids if number is not None)

    def encode(self, sequence: str, ends: bool = True) -> Array:
        """Numbers of the tokens of a sequence, (T,) int64; with `ends` between those of beginning and end."""
        pieces = self._pieces(sequence)
        before = [self.cls_id] if ends and self.cls_id is not None else []
        after = [self.eos_id] if ends and self.eos_id is not None else []
        return np.concatenate([np.array(before, np.int64), pieces, np.array(after, np.int64)])

    def batch(self, sequences: Iterable[str], length: int | None = None, ends: bool = True) -> tuple[Array, Array]:
        """Numbers of several sequences, (N, T) int64, padded on the right, and where they are real, (N, T) bool.

        T is the longest one's number of tokens, or `length`; SequenceError where that is too short.
        """
        rows = [self.encode(sequence, ends) for sequence in sequences]
        size = max(map(len, rows), default=0)
        if length is not None and size > length:
            number = next(i for i, row in enumerate(rows) if len(row) > length)
            raise SequenceError(f"sequence {number} has {len(rows[number])} tokens, more than length={length}")
        if self.pad_id is None and len({len(row) for row in rows} | ({length} - {None})) > 1:
            raise SequenceError("sequences of several lengths need a vocabulary with a padding token")
        size = size if length is None else length
        ids = np.full((len(rows), size), self.pad_id or 0, np.int64)
        real = np.zeros((len(rows), size), np.bool_)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            real[number, : len(row)] = True
        return ids, real

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens of numbers, without padding."""
        return [self.vocabulary[number] for number in map(int, ids) if number != self.pad_id]

    def _pieces(self, sequence: str) -> Array:
        raise NotImplementedError(f"{type(self).__name__} does not define _pieces")


class LetterTokenizer(Tokenizer):
    """One token a letter: `LetterTokenizer("ACGTN")`, or a published vocabulary. Lower case counts as upper.

    Letters outside the vocabulary become unknown; without an unknown token SequenceError names the first.
    """

    def __init__(
        self, letters: Sequence[str], before: Sequence[str] = SPECIALS, specials: Sequence[str | None] = SPECIALS
    ) -> None:
        super().__init__((*before, *letters), specials)
        self._table = np.full(256, -1 if self.unk_id is None else self.unk_id, np.int64)
        for token, number in self.numbers.items():
            if len(token) == 1:
                self._table[[ord(token.lower()), ord(token.upper())]] = number

    @classmethod
    def esm(cls) -> "LetterTokenizer":
        """The 33 tokens of ESM-1b and ESM-2 in their order (Rives et al., PNAS 118 (2021) e2016239118)."""
        ends = ("<cls>", "<pad>", "<eos>", "<unk>")
        letters = (*"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>")
        return cls(letters, ends, ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>"))

    def _pieces(self, sequence: str) -> Array:
        # A letter outside Latin-1 has no place in the table; "?" stands for no residue or base.
        ids = self._table[np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)]
        if self.unk_id is None and ids.size and ids.min() < 0:
            place = int(np.argmax(ids < 0))
            raise SequenceError(f"position {place} (0-based) holds {sequence[place]!r}, which the vocabulary lacks")
        return ids
