"""Sequences that stand in more than one part of a split."""

from collections.abc import Mapping, Sequence

from bio.encoding.alphabet import DNA, ILLEGAL
from bio.encoding.strands import canonical
from bio.errors import LeakageError, SequenceError


def find_duplicates(sequences: Sequence[str], both_strands: bool | None = None) -> list[list[int]]:
    """Groups of the numbers of equal sequences, each of two or more, in the order of their first.

    Case does not count, nor U for T. With `both_strands` a sequence and its reverse complement are equal; by default
    where all sequences are of nucleotide codes.
    """
    groups: dict[str, list[int]] = {}
    for number, key in enumerate(keys_of(sequences, both_strands)):
        groups.setdefault(key, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def find_shared(
    parts: Mapping[str, Sequence[str]], both_strands: bool | None = None
) -> list[tuple[str, int, str, int, str]]:
    """Sequences in more than one part: (part, number, part, number, "same" or "other strand").

    Of a sequence that stands several times in a part only the first there is listed with the others'.
    """
    flat = [sequence for part in parts.values() for sequence in part]
    keys = iter(keys_of(flat, both_strands))
    seen: dict[str, list[tuple[str, int]]] = {}
    pairs = []
    for name, part in parts.items():
        for number, (sequence, key) in enumerate(zip(part, keys)):  # in this order: zip takes no key too many
            places = seen.setdefault(key, [])
            for other, first in places:
                if other != name:
                    same = _plain(sequence) == _plain(parts[other][first])
                    pairs.append((other, first, name, number, "same" if same else "other strand"))
            if all(other != name for other, _ in places):
                places.append((name, number))
    return pairs


def check_leakage(
    parts: Mapping[str, Sequence[str]],
    both_strands: bool | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """LeakageError, with the list, where two parts share a sequence or its reverse complement.

    `names` gives names of the sequences, for the message; `both_strands` is that of `find_duplicates`.
    """
    pairs = find_shared(parts, both_strands)
    if not pairs:
        return
    shown = [
        f"  {_name(names, a, i)} and {_name(names, b, j)}{'' if kind == 'same' else ' (reverse complement)'}"
        for a, i, b, j, kind in pairs[:20]
    ]
    if len(pairs) > len(shown):
        shown.append(f"  and {len(pairs) - len(shown)} more (the error's `pairs` has all)")
    raise LeakageError(
        f"the parts share {len(pairs)} sequence{'s' if len(pairs) > 1 else ''}; a score on them would measure memory. "
        "Split with duplicates='group' or 'drop', or by cluster:\n" + "\n".join(shown),
        pairs,
    )


def keys_of(sequences: Sequence[str], both_strands: bool | None = None) -> list[str]:
    """A text for each sequence that is equal where the sequences count as equal."""
    if both_strands is not False:
        odd = next((number for number, sequence in enumerate(sequences) if not is_nucleotide(sequence)), None)
        if both_strands and odd is not None:
            raise SequenceError(f"only DNA and RNA have another strand, and sequence {odd} has letters of neither")
        both_strands = odd is None
    return [canonical(sequence) if both_strands else _plain(sequence) for sequence in sequences]


def is_nucleotide(sequence: str) -> bool:
    """Whether every letter is an IUPAC nucleotide code."""
    return ILLEGAL not in sequence.encode("latin-1", "replace").translate(DNA.table)


def _plain(sequence: str) -> str:
    upper = sequence.upper()
    return upper.replace("U", "T") if is_nucleotide(upper) else upper


def _name(names: Mapping[str, Sequence[str]] | None, part: str, number: int) -> str:
    return f"{part}[{number}]" if names is None else f"{names[part][number]} ({part}[{number}])"
