"""Sequences as arrays of channels, with an explicit policy for ambiguous codes."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from bio.encoding.alphabet import DNA, ILLEGAL, Alphabet
from bio.errors import SequenceError

Array = np.ndarray[Any, Any]
Ambiguous = Literal["zero", "split", "refuse"]


def one_hot(sequence: str | bytes | Array, ambiguous: Ambiguous = "zero", alphabet: Alphabet = DNA) -> Array:
    """A sequence of length L as channels (C, L): for DNA four, in the order A, C, G, T.

    `ambiguous` says what a code for several letters (N, R, ...) becomes: "zero" none (uint8), "split" equal shares
    (float32), "refuse" an error. Lower case counts as upper, U as T. Letters may also be an array of uint8 (..., L),
    as `Genome.fetch_many` gives them: the channels are then (..., C, L). SequenceError names the first letter that is
    no IUPAC code, and its position.
    """
    codes = alphabet.encode(sequence)
    if ambiguous not in ("zero", "split", "refuse"):
        raise SequenceError(f"ambiguous must be 'zero', 'split' or 'refuse', got {ambiguous!r}")
    channels = expand_codes(codes, alphabet)
    if ambiguous == "zero" or not (codes.size and codes.max() == alphabet.unknown):
        return channels.astype(np.float32) if ambiguous == "split" else channels
    letters = sequence if isinstance(sequence, np.ndarray) else _letters(sequence)
    doubtful = np.nonzero(codes == alphabet.unknown)
    if ambiguous == "refuse":
        place = [int(axis[0]) for axis in doubtful]
        raise SequenceError(
            f"position {place[0] if len(place) == 1 else tuple(place)} (0-based) holds the ambiguous code "
            f"{chr(letters[tuple(place)])!r}: choose ambiguous='zero' or 'split', or remove the sequence"
        )
    shared = channels.astype(np.float32)
    np.moveaxis(shared, -2, -1)[doubtful] = alphabet.shares[:, letters[doubtful]].T
    return shared


def one_hot_batch(
    sequences: Sequence[str | bytes],
    ambiguous: Ambiguous = "zero",
    alphabet: Alphabet = DNA,
    length: int | None = None,
) -> Array:
    """N sequences as channels (N, C, L), uint8 (float32 for "split"); shorter ones are followed by empty columns.

    L is the longest sequence's length, or `length`. SequenceError where a sequence is longer than that, and, with the
    sequence's number, for what `one_hot` refuses.
    """
    longest = max((len(sequence) for sequence in sequences), default=0)
    if length is not None and longest > length:
        number = next(i for i, sequence in enumerate(sequences) if len(sequence) > length)
        raise SequenceError(f"sequence {number} has {len(sequences[number])} letters, more than length={length}")
    size = longest if length is None else length
    if ambiguous == "zero" and len(sequences) and size:
        rows = [
            sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence for sequence in sequences
        ]
        # Padding with a byte that is no letter: where nothing else is odd, as many bytes are odd as were filled in.
        codes = np.frombuffer(b"".join(row.ljust(size, b"\0") for row in rows).translate(alphabet.table), np.uint8)
        if np.count_nonzero(codes == ILLEGAL) == codes.size - sum(map(len, rows)):
            return expand_codes(codes.reshape(len(rows), size), alphabet)
    kind = np.float32 if ambiguous == "split" else np.uint8
    batch = np.zeros((len(sequences), len(alphabet), size), kind)
    for number, sequence in enumerate(sequences):  # slower, and it names what is wrong
        try:
            batch[number, :, : len(sequence)] = one_hot(sequence, ambiguous, alphabet)
        except SequenceError as error:
            raise SequenceError(f"sequence {number}: {error}") from None
    return batch


def expand_codes(codes: Array, alphabet: Alphabet = DNA) -> Array:
    """Numbers of letters (..., L) as channels (..., C, L), uint8; other numbers give empty columns."""
    codes = np.asarray(codes)
    channels = np.empty((*codes.shape[:-1], len(alphabet), codes.shape[-1]), np.uint8)
    flags = channels.view(np.bool_)
    for number in range(len(alphabet)):
        np.equal(codes, number, out=flags[..., number, :])
    return channels


def expand_on_device(codes: Any, alphabet: Alphabet = DNA) -> Any:
    """A tensor of numbers of letters (..., L) as a float32 tensor of channels (..., C, L), on the tensor's device.

    One byte a letter crosses to the device instead of sixteen.
    """
    import framework

    numbers = framework.arange(len(alphabet), dtype=codes.dtype, device=codes.device)
    return (codes.unsqueeze(-2) == numbers.unsqueeze(-1)).to(framework.float32)


def decode(channels: Array, alphabet: Alphabet = DNA) -> str:
    """The sequence of one-hot channels (C, L); columns without a single letter become N (X for proteins)."""
    array = np.asarray(channels)
    if array.ndim != 2 or array.shape[0] != len(alphabet):
        raise SequenceError(f"expected channels of shape ({len(alphabet)}, L), got {array.shape}")
    single = ((array == 1).sum(0) == 1) & ((array != 0).sum(0) == 1)
    return alphabet.decode(np.where(single, array.argmax(0), alphabet.unknown))


def _letters(sequence: str | bytes) -> Array:
    return np.frombuffer(sequence.encode() if isinstance(sequence, str) else sequence, np.uint8)
