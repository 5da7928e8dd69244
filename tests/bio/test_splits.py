"""Duplicates are found, clusters hold together, and no split shares a sequence."""

from pathlib import Path

import numpy as np
import pytest

from bio.data import (
    check_leakage,
    cluster,
    find_duplicates,
    find_shared,
    read_table,
    split_by_chromosome,
    split_by_cluster,
    split_random,
)
from bio.encoding import reverse_complement
from bio.errors import LeakageError, SequenceError

PROTEINS = Path(__file__).resolve().parents[3] / "shared" / "data" / "bio" / "cb6133filtered.csv.gz"
rng = np.random.default_rng(0)


def random_dna(length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def mutated(sequence: str, share: float, letters: str = "ACGT") -> str:
    return "".join(rng.choice(list(letters)) if rng.random() < share else letter for letter in sequence)


def test_duplicates_of_either_strand() -> None:
    a, b = random_dna(50), random_dna(50)
    assert find_duplicates([a, b, a.lower(), reverse_complement(a), b.replace("T", "U")]) == [[0, 2, 3], [1, 4]]
    assert find_duplicates([a, reverse_complement(a)], both_strands=False) == []
    assert find_duplicates(["MKLV", "MKLV", "VLKM"]) == [[0, 1]]
    with pytest.raises(SequenceError, match="other strand"):
        find_duplicates(["MKLE", "MKLE"], both_strands=True)


def test_what_parts_share_is_listed_and_fails() -> None:
    train, test = [random_dna(30) for _ in range(6)], [random_dna(30) for _ in range(4)]
    check_leakage({"train": train, "test": test})
    test += [train[2], reverse_complement(train[5])]
    expected = [("train", 2, "test", 4, "same"), ("train", 5, "test", 5, "other strand")]
    assert find_shared({"train": train, "test": test}) == expected
    assert find_shared({"train": train + train[:1], "none": [], "test": test}) == expected
    with pytest.raises(LeakageError, match=r"(?s)share 2 sequences.*train\[5\] and test\[5\] \(reverse") as caught:
        check_leakage({"train": train, "test": test})
    assert caught.value.pairs == expected
    with pytest.raises(LeakageError, match=r"g2 \(train\[2\]\)"):
        check_leakage({"train": train, "test": test}, names={"train": [f"g{i}" for i in range(6)], "test": "abcdef"})


def test_random_split_fails_groups_or_drops() -> None:
    sequences = [random_dna(40) for _ in range(200)]
    sequences += [reverse_complement(sequence) for sequence in sequences[:100]]
    with pytest.raises(LeakageError) as caught:
        split_random(sequences)
    by_hand = split_random(sequences, duplicates="allow")
    part = {int(i): name for name, items in by_hand.items() for i in items}
    assert len(caught.value.pairs) == sum(part[i] != part[200 + i] for i in range(100)) > 0
    grouped = split_random(sequences, duplicates="group")
    assert sorted(np.concatenate(list(grouped.values()))) == list(range(300))
    for name, size in {"train": 240, "validation": 30, "test": 30}.items():
        assert abs(len(grouped[name]) - size) <= 1  # pairs cannot be cut
    for items in grouped.values():
        assert {i + 200 for i in items if i < 100} == {i for i in items if i >= 200}
    assert sorted(np.concatenate(list(split_random(sequences, duplicates="drop").values()))) == list(range(200))
    np.testing.assert_array_equal(grouped["test"], split_random(sequences, duplicates="group")["test"])
    assert set(grouped["test"]) != set(split_random(sequences, duplicates="group", seed=1)["test"])


def test_random_split_keeps_the_classes_shares() -> None:
    sequences = [random_dna(30) for _ in range(300)]
    labels = np.array([0] * 270 + [1] * 30)
    for name, items in split_random(sequences, {"a": 0.5, "b": 0.5}, labels=labels).items():
        assert (len(items), labels[items].sum()) == (150, 15), name
    with pytest.raises(SequenceError, match="add up to 1"):
        split_random(sequences, {"a": 0.5, "b": 0.6})


def test_clusters_find_relatives_fragments_and_the_other_strand() -> None:
    families = [random_dna(600) for _ in range(30)]
    sequences, truth = [], []
    for number, ancestor in enumerate(families):
        sequences += [ancestor, mutated(ancestor, 0.08), reverse_complement(mutated(ancestor, 0.08)), ancestor[200:500]]
        truth += [number] * 4
    order = rng.permutation(len(sequences))
    found = cluster([sequences[i] for i in order])
    same = np.array(truth)[order]
    np.testing.assert_array_equal(found[:, None] == found, same[:, None] == same)
    parts = split_by_cluster([sequences[i] for i in order])
    for a in parts:
        for b in parts:
            assert a == b or not set(same[parts[a]]) & set(same[parts[b]])


def test_clusters_of_crowds_and_of_very_short_sequences() -> None:
    family = random_dna(300)
    others = [random_dna(300) for _ in range(50)]
    found = cluster([mutated(family, 0.02) for _ in range(700)] + others)  # more than the 500 compared pair by pair
    assert (found[:700] == 0).all()
    assert found[700:].tolist() == list(range(1, 51))
    assert cluster(["ACG", "ACG", "ACT"], both_strands=False).tolist() == [0, 0, 1]


def test_clusters_of_proteins() -> None:
    letters = "ACDEFGHIKLMNPQRSTVWY"
    ancestors = ["".join(rng.choice(list(letters), 200)) for _ in range(40)]
    found = cluster(ancestors + [mutated(sequence, 0.3, letters) for sequence in ancestors])
    np.testing.assert_array_equal(found, np.tile(np.arange(40), 2))
    with pytest.raises(SequenceError, match="mmseqs"):
        cluster(ancestors, method="mmseqs")  # type: ignore[arg-type]


def test_chromosomes_go_whole_and_by_any_name() -> None:
    contigs = ["chr1", "chr2", "chr8", "chr2", "chrX"]
    parts = split_by_chromosome(contigs, validation=["2"], test=["NC_000008.11"])
    assert {name: items.tolist() for name, items in parts.items()} == {
        "train": [0, 4], "validation": [1, 3], "test": [2],
    }  # fmt: skip
    with pytest.raises(SequenceError, match="no contig 'chr9'"):
        split_by_chromosome(contigs, test=["chr9"])
    with pytest.raises(LeakageError):
        split_by_chromosome(contigs, test=["8"], sequences=["AAC", "ACC", "GTT", "GGG", "CGC"])


@pytest.mark.skipif(not PROTEINS.exists(), reason="the set cb6133filtered is not here")
def test_the_170_duplicates_of_cb6133_are_found() -> None:
    sequences = read_table(PROTEINS, ["input"])["input"]
    assert len(sequences) == 5534
    assert sum(len(group) - 1 for group in find_duplicates(sequences)) == 170
    with pytest.raises(LeakageError) as caught:
        split_random(sequences)
    assert all(kind == "same" for *_, kind in caught.value.pairs)
    split_by_cluster(sequences)
