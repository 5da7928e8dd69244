"""Splits of cases in which no group (patient) stands on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def k_fold(groups: Sequence[str], folds: int = 5, seed: int = 12345) -> list[tuple[list[int], list[int]]]:
    """Training and validation indices of each fold; all cases of one group are in the same fold.

    Groups are shuffled by `seed`, then dealt from the largest to the fold with the fewest cases.
    """
    members = _members(groups)
    if not 2 <= folds <= len(members):
        raise ValueError(f"{folds} folds need at least 2 folds and as many groups; there are {len(members)} groups.")
    bins: list[list[int]] = [[] for _ in range(folds)]
    for cases in _shuffled(members, seed):
        min(bins, key=len).extend(cases)
    everything = set(range(len(groups)))
    return [(sorted(everything - set(fold)), sorted(fold)) for fold in bins]


def split(groups: Sequence[str], fractions: Sequence[float], seed: int = 12345) -> list[list[int]]:
    """Indices of parts with about these fractions of the cases, such as (0.7, 0.1, 0.2); no part is empty."""
    if len(fractions) < 2 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions must be positive and sum to 1, not {tuple(fractions)}.")
    members = _members(groups)
    if len(members) < len(fractions):
        raise ValueError(f"{len(fractions)} parts need as many groups, but there are {len(members)}.")
    parts: list[list[int]] = [[] for _ in fractions]
    for cases in _shuffled(members, seed):
        # An empty part comes first, then the part that lacks most of its fraction.
        lack = [(not part, fraction - len(part) / len(groups)) for part, fraction in zip(parts, fractions)]
        parts[lack.index(max(lack))].extend(cases)
    return [sorted(part) for part in parts]


def _members(groups: Sequence[str]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        found.setdefault(group, []).append(index)
    return [found[group] for group in sorted(found)]


def _shuffled(members: list[list[int]], seed: int) -> list[list[int]]:
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(members))
    return sorted((members[i] for i in order), key=len, reverse=True)
