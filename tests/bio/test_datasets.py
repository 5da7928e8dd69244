"""Datasets give channels and labels; batches of several lengths lose nothing."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import framework
from bio.data import (
    IntervalDataset,
    LengthBucketSampler,
    PackingSampler,
    ResidueDataset,
    SequenceDataset,
    pack_collate,
    pad_collate,
)
from bio.encoding import one_hot, reverse_complement
from bio.errors import FormatError, SequenceError
from framework.data import DataLoader


class Letters:
    """A genome of one contig."""

    text = "ACGTTGCAAC" * 10

    def fetch(self, contig: str, start: int, end: int) -> str:
        return self.text[start:end]

    def length(self, contig: str) -> int:
        if contig != "c":
            raise SequenceError(f"there is no contig {contig!r}")
        return len(self.text)


class Ramp:
    """The track whose value is the position."""

    def values(self, contig: str, start: int, end: int) -> np.ndarray:
        return np.arange(start, end, dtype=np.float32)


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("name\tseq\tlabel\na\tACGT\tpos\nb\tGGTT\tneg\n")
    dataset = SequenceDataset.from_table(tmp_path / "t.tsv")
    assert dataset.classes == ("neg", "pos")
    x, y = dataset[0]
    assert (x.dtype, x.shape, y) == (np.uint8, (4, 4), 1)
    np.testing.assert_array_equal(x, np.eye(4))
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("sequence,y\nACGT,0.5\nCC,2\n")
    dataset = SequenceDataset.from_table(tmp_path / "t.csv.gz")
    assert dataset.labels is not None
    assert dataset.labels.dtype == np.float32
    (tmp_path / "bad.csv").write_text("sequence,y\nACGT,1\nCC\n")
    with pytest.raises(FormatError, match="line 3: 1 fields where the first line names 2"):
        SequenceDataset.from_table(tmp_path / "bad.csv")
    with pytest.raises(SequenceError, match="which column holds the labels"):
        SequenceDataset.from_table(tmp_path / "t.tsv", label="klass")


def test_fasta_files_are_classes(tmp_path: Path) -> None:
    pytest.importorskip("dnaio")
    (tmp_path / "neg.fa").write_text(">a x\nAC\nGT\n>b\nGG\n")
    (tmp_path / "pos.fa").write_text(">c\nTT\n")
    dataset = SequenceDataset.from_fasta([tmp_path / "neg.fa", tmp_path / "pos.fa"])
    assert (dataset.classes, list(dataset.sequences)) == (("neg.fa", "pos.fa"), ["ACGT", "GG", "TT"])
    assert [int(y) for _, y in (dataset[i] for i in range(3))] == [0, 0, 1]
    part = dataset.subset([2, 0])
    assert [int(y) for _, y in (part[i] for i in range(2))] == [1, 0]


def test_other_strand_in_half_of_the_draws() -> None:
    dataset = SequenceDataset(["AACCGT"], [1], augment=True)
    framework.manual_seed(0)
    drawn = [dataset[0][0] for _ in range(200)]
    same = sum(np.array_equal(x, one_hot("AACCGT")) for x in drawn)
    other = sum(np.array_equal(x, one_hot(reverse_complement("AACCGT"))) for x in drawn)
    assert same + other == 200
    assert 70 < same < 130


def test_places_have_labels() -> None:
    dataset = ResidueDataset(["ACDE", "WY"], ["HH-E", "EH"], "HE", ignored="-")
    x, y = dataset[0]
    assert x.shape == (20, 4)
    assert y.tolist() == [0, 0, -100, 1]
    assert dataset.subset([1])[0][1].tolist() == [1, 0]
    with pytest.raises(SequenceError, match="sequence 0 has 2 letters, but 1 labels"):
        ResidueDataset(["AC"], ["H"], "H")
    with pytest.raises(SequenceError, match="'Q', which is no class"):
        ResidueDataset(["AC"], ["HQ"], "H")


def test_windows_and_tracks() -> None:
    table = {"contig": ["c", "c", "c"], "start": [10, 30, 0], "end": [20, 40, 10], "strand": ["+", "-", "+"]}

    class Rows(dict):
        def __len__(self) -> int:
            return 3

    dataset = IntervalDataset(Letters(), Rows(table), [Ramp()], length=20, target=8, bin=2)
    x, y = dataset[0]
    np.testing.assert_array_equal(x, one_hot(Letters.text[5:25]))
    assert y.tolist() == [[11.5, 13.5, 15.5, 17.5]]  # the means of 11 12, 13 14, ...: the middle 8 of [5, 25)
    x, y = dataset[1]
    np.testing.assert_array_equal(x, one_hot(reverse_complement(Letters.text[25:45])))
    assert y.tolist() == [[37.5, 35.5, 33.5, 31.5]]
    x, _ = dataset[2]  # [-5, 15)
    assert not x[:, :5].any()
    np.testing.assert_array_equal(x[:, 5:], one_hot(Letters.text[:15]))
    with pytest.raises(SequenceError, match="no contig 'd'"):
        IntervalDataset(Letters(), Rows({**table, "contig": ["c", "d", "c"]}))
    jittered = IntervalDataset(Letters(), Rows(table), length=10, jitter=2)
    texts = {one_hot(Letters.text[10 + shift : 20 + shift]).tobytes() for shift in range(-2, 3)}
    assert {np.ascontiguousarray(jittered[0]).tobytes() for _ in range(60)} == texts


def test_padding_and_packing_keep_every_letter() -> None:
    dataset = ResidueDataset(["ACDE", "WY"], ["HHEE", "EH"], "HE")
    batch = pad_collate([dataset[0], dataset[1]])
    assert batch["x"].shape == (2, 20, 4)
    assert batch["y"].tolist() == [[0, 0, 1, 1], [1, 0, -100, -100]]
    assert batch["mask"].tolist() == [[True] * 4, [True, True, False, False]]
    assert not batch["x"].numpy()[1, :, 2:].any()
    packed = pack_collate([dataset[0], dataset[1]])
    assert packed["x"].shape == (1, 20, 6)
    assert packed["y"].tolist() == [[0, 0, 1, 1, 1, 0]]
    assert packed["segments"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert packed["positions"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert packed["offsets"].tolist() == [0, 4, 6]
    whole = pad_collate([(np.zeros((4, 3), np.uint8), np.int64(1)), (np.zeros((4, 2), np.uint8), np.int64(0))])
    assert whole["y"].tolist() == [1, 0]


def test_buckets_and_packs_hold_each_sequence_once_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 400, 1000)
    buckets = LengthBucketSampler(lengths, letters=4000, batch_size=64, pool=20, seed=0)
    packs = PackingSampler(lengths, letters=1000, seed=0)
    for sampler in (buckets, packs):
        epochs = []
        for _ in range(2):
            size = len(sampler)
            batches = list(sampler)
            assert len(batches) == size
            assert sorted(i for batch in batches for i in batch) == list(range(1000))
            epochs.append(batches)
        assert epochs[0] != epochs[1]
        sampler.set_epoch(0)
        assert list(sampler) == epochs[0]
    assert all(len(b) * lengths[b].max() <= 4000 and len(b) <= 64 for b in buckets)
    padded = sum(len(b) * lengths[b].max() for b in buckets)
    assert lengths.sum() / padded > 0.9
    assert all(lengths[b].sum() <= 1000 for b in packs)
    assert len(packs) <= np.ceil(lengths.sum() / 1000) * 1.02
    with pytest.raises(SequenceError, match="more than letters=100"):
        PackingSampler(lengths, letters=100)
    dataset = SequenceDataset(["A" * int(n) for n in lengths[:50]], np.arange(50))
    loader = DataLoader(
        dataset, batch_sampler=LengthBucketSampler(dataset.lengths, letters=2000, seed=1), collate_fn=pad_collate
    )
    seen = [int(y) for batch in loader for y in batch["y"]]
    assert sorted(seen) == list(range(50))
