"""Parts for training, validation and testing that share nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bio.data.clusters import cluster, connected
from bio.data.leakage import check_leakage, find_duplicates
from bio.encoding.alphabet import Array
from bio.errors import SequenceError
from framework.core.random import Generator

Duplicates = Literal["fail", "group", "drop", "allow"]
Parts = dict[str, Array]

_FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_random(
    sequences: Sequence[str],
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    labels: Sequence[Any] | Array | None = None,
    duplicates: Duplicates = "fail",
    both_strands: bool | None = None,
) -> Parts:
    """Numbers of the sequences of each part, sorted int64, drawn at random; with `labels` in each class alike.

    `fractions` names the parts (default: train 0.8, validation 0.1, test 0.1). Equal sequences, or of the other strand,
    in different parts: "fail" raises LeakageError with the list, "group" keeps them in one part, "drop" leaves out all
    but the first, "allow" does nothing. Sequences that are merely alike are not looked for: `split_by_cluster` does.
    """
    count = len(sequences)
    if duplicates not in ("fail", "group", "drop", "allow"):
        raise SequenceError(f"duplicates must be 'fail', 'group', 'drop' or 'allow', got {duplicates!r}")
    if labels is not None and len(labels) != count:
        raise SequenceError(f"{count} sequences have {len(labels)} labels")
    kept = np.arange(count)
    groups = np.arange(count)
    if duplicates in ("group", "drop"):
        equal = find_duplicates(sequences, both_strands)
        links = np.array([(group[0], other) for group in equal for other in group[1:]], np.int64).reshape(-1, 2)
        if duplicates == "drop":
            kept = np.setdiff1d(kept, links[:, 1])
        else:
            groups = connected(count, links)
    parts = _shared_out(kept, groups[kept], None if labels is None else np.asarray(labels)[kept], fractions, seed)
    if duplicates == "fail":
        check_leakage({name: [sequences[int(i)] for i in part] for name, part in parts.items()}, both_strands)
    return parts


def split_by_cluster(
    sequences: Sequence[str],
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    clusters: Sequence[int] | Array | None = None,
    **settings: Any,
) -> Parts:
    """Parts of which none shares a cluster with another: related sequences stay together.

    `clusters` are the sequences' clusters; without them `cluster(sequences, **settings)` finds them. Clusters are
    taken in random order; large ones may keep the parts from their exact fractions.
    """
    groups = cluster(sequences, **settings) if clusters is None else np.asarray(clusters)
    if len(groups) != len(sequences):
        raise SequenceError(f"{len(sequences)} sequences have {len(groups)} clusters")
    parts = _shared_out(np.arange(len(sequences)), groups, None, fractions, seed)
    check_leakage(
        {name: [sequences[int(i)] for i in part] for name, part in parts.items()}, settings.get("both_strands")
    )
    return parts


def split_by_chromosome(
    contigs: Iterable[str],
    validation: Iterable[str] = (),
    test: Iterable[str] = (),
    sequences: Sequence[str] | None = None,
    duplicates: Literal["fail", "allow"] = "fail",
) -> Parts:
    """Parts "train", "validation" and "test" by the contig each item lies on; what is not named is for training.

    Names count as equal by the rules of `bio.io.ContigNames` (chr8 is 8). SequenceError where a named contig has no
    item. With the items' `sequences` what two parts share is an error (`duplicates="allow"` lets it pass): repeats
    and paralogs do not heed chromosomes.
    """
    from bio.io.contigs import ContigNames

    names = list(contigs)
    known = ContigNames(dict.fromkeys(names))
    held = {"validation": set(map(known.resolve, validation)), "test": set(map(known.resolve, test))}
    if both := held["validation"] & held["test"]:
        raise SequenceError(f"{', '.join(sorted(both))} cannot serve both validation and test")
    where = np.array(
        ["validation" if n in held["validation"] else "test" if n in held["test"] else "train" for n in names]
    )
    parts = {part: np.flatnonzero(where == part) for part in ("train", "validation", "test")}
    if sequences is not None and duplicates == "fail":
        check_leakage({name: [sequences[int(i)] for i in part] for name, part in parts.items()})
    return parts


def _shared_out(
    items: Array, groups: Array, labels: Array | None, fractions: Mapping[str, float] | None, seed: int
) -> Parts:
    """Items to parts, groups whole: each group, in random order, goes to the part that lacks most of its share."""
    fractions = dict(_FRACTIONS if fractions is None else fractions)
    if not fractions or min(fractions.values()) < 0 or not 0.999 < sum(fractions.values()) < 1.001:
        raise SequenceError(f"fractions must be 0 or more and add up to 1, got {fractions}")
    names, shares = list(fractions), np.array(list(fractions.values()))
    strata = np.zeros(len(items), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    where = np.empty(len(items), np.int64)
    numbers = np.unique(groups, return_inverse=True)[1]
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1]) if len(items) else []
    order = Generator().manual_seed(seed).permutation(len(members))
    # A group belongs to the stratum of its first item; each stratum is shared out by itself.
    totals = np.bincount(strata, minlength=1).astype(float)
    filled = np.zeros((len(totals), len(names)))
    for number in order:
        group = members[number]
        stratum = strata[group[0]]
        lacking = shares * totals[stratum] - filled[stratum]
        part = int(np.argmax(np.where(shares > 0, lacking / np.maximum(shares, 1e-12), -np.inf)))
        where[group] = part
        filled[stratum, part] += len(group)
    return {name: items[where == part] for part, name in enumerate(names)}
