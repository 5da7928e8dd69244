"""Byte-pair encoding, through the `tokenizers` library (Sennrich et al., ACL 2016)."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bio.encoding.tokens import SPECIALS, Array, Tokenizer
from bio.errors import SequenceError, required
from framework.core.files import atomic_write


class BpeTokenizer(Tokenizer):
    """Pieces learned from sequences, as DNABERT-2's (Zhou et al., ICLR 2024); lower case counts as upper.

    Files are Hugging Face's `tokenizer.json`.
    """

    def __init__(self, inner: Any, specials: Sequence[str | None] = SPECIALS) -> None:
        self._inner = inner
        numbers = sorted(inner.get_vocab().items(), key=lambda pair: pair[1])
        if [number for _, number in numbers] != list(range(len(numbers))):
            raise SequenceError("the numbers of a vocabulary must be 0, 1, 2, ... without a gap")
        names = {name for name, _ in numbers}
        super().__init__([name for name, _ in numbers], [name if name in names else None for name in specials])

    @classmethod
    def train(cls, sequences: Iterable[str], size: int = 4096, specials: Sequence[str] = SPECIALS) -> "BpeTokenizer":
        """Learn a vocabulary of `size` tokens; the same sequences give the same vocabulary."""
        library = required("tokenizers", "byte-pair encoding")
        inner = library.Tokenizer(library.models.BPE(unk_token=specials[1]))
        trainer = library.trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), show_progress=False)
        inner.train_from_iterator(map(str.upper, sequences), trainer)
        return cls(inner, specials)

    @classmethod
    def load(cls, path: str | os.PathLike[str], specials: Sequence[str | None] = SPECIALS) -> "BpeTokenizer":
        """Read a `tokenizer.json`."""
        library = required("tokenizers", "byte-pair encoding")
        try:
            return cls(library.Tokenizer.from_str(Path(path).read_text()), specials)
        except OSError as error:
            raise SequenceError(f"{path}: {error.strerror}") from None
        except Exception as error:  # the library raises bare Exception
            raise SequenceError(f"{path} is not a tokenizer.json that can be read: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `tokenizer.json`, whole or not at all."""
        with atomic_write(Path(path)) as file:
            file.write(self._inner.to_str().encode())

    def _pieces(self, sequence: str) -> Array:
        return np.array(self._inner.encode(sequence.upper(), add_special_tokens=False).ids, np.int64)
