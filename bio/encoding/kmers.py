"""Words of k letters: as tokens, as numbers, and counted."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from bio.encoding.alphabet import DNA, Alphabet, Array
from bio.encoding.tokens import SPECIALS, Tokenizer
from bio.errors import SequenceError


class KmerTokenizer(Tokenizer):
    """Words of `k` letters, each `stride` letters: overlapping as DNABERT's, or with `stride=k` side by side.

    The vocabulary is the special tokens and then all words in the order of `letters`, which published models choose
    differently. Words with another letter (N) become unknown. What is left at the end and fills no word is
    given letter by letter with `rest=True` (as Nucleotide Transformer does), and is otherwise left out.
    """

    def __init__(
        self,
        k: int,
        stride: int = 1,
        letters: str = "ACGT",
        before: Sequence[str] = SPECIALS,
        specials: Sequence[str | None] = SPECIALS,
        rest: bool = False,
    ) -> None:
        if k < 1 or stride < 1 or len(letters) ** k > 1 << 24:
            raise SequenceError(f"k and stride must be 1 or more and all words at most {1 << 24}, got k={k}")
        if rest and stride != k:
            raise SequenceError("only words side by side (stride=k) leave a rest")
        words = ["".join(word) for word in product(letters, repeat=k)]
        singles = [letter for letter in (*letters, "N") if rest and k > 1]
        super().__init__((*before, *words, *singles), specials)
        if self.unk_id is None:
            raise SequenceError("words of k letters need a token for unknown ones")
        self._unknown: int = self.unk_id
        self.k, self.stride, self.rest = k, stride, rest
        self._alphabet = Alphabet("DNA", letters, {**({"U": "T"} if "T" in letters else {}), "N": ""})
        self._first = len(before)

    def _pieces(self, sequence: str) -> Array:
        # Any letter that is none of ours makes its words unknown.
        codes = np.minimum(
            np.frombuffer(_bytes(sequence).translate(self._alphabet.table), np.uint8), len(self._alphabet)
        )
        ids = kmer_numbers(codes, self.k, len(self._alphabet))[:: self.stride]
        ids = np.where(ids < 0, self._unknown, ids + self._first)
        left = len(ids) * self.k
        if self.rest and left < len(codes):
            single = self._first + len(self._alphabet) ** self.k
            ids = np.concatenate([ids, codes[left:].astype(np.int64) + single])
        return ids


def kmer_numbers(codes: Array, k: int, base: int = 4) -> Array:
    """The number of the word of k letters that begins at each place, (L - k + 1,) int64, of letters' numbers (L,).

    The first letter counts most: AAAA is 0, AAAC is 1. A word with a letter that is none of the first `base` is -1.
    """
    if base**k >= 1 << 63:
        raise SequenceError(f"words of k={k} letters of {base} do not fit into 64 bits")
    count = len(codes) - k + 1
    if count <= 0:
        return np.empty(0, np.int64)
    wide = codes.astype(np.int64)
    numbers, known = np.zeros(count, np.int64), np.ones(count, np.bool_)
    clean = codes < base
    spotless = bool(clean.all())
    for place in range(k):
        numbers *= base
        numbers += wide[place : place + count]
        if not spotless:
            known &= clean[place : place + count]
    return numbers if spotless else np.where(known, numbers, -1)


def kmer_counts(
    sequences: Sequence[str], k: int, alphabet: Alphabet = DNA, both_strands: bool = False, relative: bool = False
) -> Array:
    """How often each word of k letters stands in each sequence, (N, len(alphabet)**k) float32.

    With `both_strands` (DNA) a word and its other strand are one: counted under the smaller number; the columns of the
    larger ones are left out. `relative` divides by each row's sum. Words with ambiguous letters do not count.
    """
    base = len(alphabet)
    if base**k > 1 << 22:
        raise SequenceError(f"k={k} gives {base**k} columns for each sequence; choose a smaller k")
    counts = np.zeros((len(sequences), base**k), np.float32)
    for row, sequence in zip(counts, sequences):
        numbers = kmer_numbers(alphabet.encode(sequence), k, base)
        row += np.bincount(numbers[numbers >= 0], minlength=base**k)
    if both_strands:
        other = other_strand_numbers(np.arange(base**k, dtype=np.int64), k)
        kept = np.flatnonzero(np.arange(base**k) <= other)
        counts = counts[:, kept] + np.where(kept == other[kept], 0, counts[:, other[kept]])
    if relative:
        counts /= np.maximum(counts.sum(1, keepdims=True), 1)
    return counts


def other_strand_numbers(numbers: Array, k: int) -> Array:
    """The numbers of the reverse complements of DNA words; -1 stays."""
    turned, left = np.zeros_like(numbers), numbers.copy()
    for _ in range(k):
        turned = turned * 4 + (3 - left % 4)
        left //= 4
    return np.where(numbers < 0, -1, turned)


def _bytes(sequence: str) -> bytes:
    return sequence.encode("latin-1", "replace")
