"""Sequences as numbers: one-hot channels in the order A, C, G, T, tokens, words of k letters, hidden tokens."""

from bio.encoding.alphabet import AMINO_ACIDS, DNA, IUPAC, NUCLEOTIDES, PROTEIN, Alphabet
from bio.encoding.bpe import BpeTokenizer
from bio.encoding.corruption import IGNORED, mask_tokens
from bio.encoding.kmers import KmerTokenizer, kmer_counts, kmer_numbers
from bio.encoding.one_hot import decode, expand_codes, expand_on_device, one_hot, one_hot_batch
from bio.encoding.strands import canonical, reverse_complement, reverse_complement_channels
from bio.encoding.tokens import LetterTokenizer, Tokenizer

__all__ = [
    "AMINO_ACIDS",
    "DNA",
    "IGNORED",
    "IUPAC",
    "NUCLEOTIDES",
    "PROTEIN",
    "Alphabet",
    "BpeTokenizer",
    "KmerTokenizer",
    "LetterTokenizer",
    "Tokenizer",
    "canonical",
    "decode",
    "expand_codes",
    "expand_on_device",
    "kmer_counts",
    "kmer_numbers",
    "mask_tokens",
    "one_hot",
    "one_hot_batch",
    "reverse_complement",
    "reverse_complement_channels",
]
