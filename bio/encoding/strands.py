"""The other strand of DNA."""

from typing import Any, TypeVar

import numpy as np

from bio.encoding.alphabet import ascii_bytes
from bio.errors import SequenceError

Text = TypeVar("Text", str, bytes)

_COMPLEMENT = bytes.maketrans(b"ACGTURYSWKMBDHVNacgturyswkmbdhvn", b"TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")


def reverse_complement(sequence: Text) -> Text:
    """The other strand, read in its own direction; IUPAC codes and case are kept, U pairs as T does."""
    turned = ascii_bytes(sequence).translate(_COMPLEMENT)[::-1]
    return turned if isinstance(sequence, bytes) else turned.decode()


def reverse_complement_channels(channels: Any) -> Any:
    """The other strand of channels (..., 4, L) in the order A, C, G, T, of an array (a view) or a tensor (a copy).

    In this order complementing is turning the channels round.
    """
    if channels.shape[-2] != 4:
        raise SequenceError(f"expected channels of shape (..., 4, L), got {tuple(channels.shape)}")
    return channels[..., ::-1, ::-1] if isinstance(channels, np.ndarray) else channels.flip((-2, -1))


def canonical(sequence: Text) -> Text:
    """Of a sequence and its other strand, in upper case and with T for U, the one that comes first in the alphabet."""
    upper: Any = sequence.upper()
    upper = upper.replace("U", "T") if isinstance(upper, str) else upper.replace(b"U", b"T")
    return min(upper, reverse_complement(upper))
