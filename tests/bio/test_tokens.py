"""Tokens, words of k letters and hidden tokens."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bio.encoding import (
    DNA,
    IGNORED,
    PROTEIN,
    BpeTokenizer,
    KmerTokenizer,
    LetterTokenizer,
    kmer_counts,
    kmer_numbers,
    mask_tokens,
    reverse_complement,
)
from bio.errors import SequenceError
from framework.core.random import Generator


def test_esm_tokens_have_the_published_numbers() -> None:
    # esm.data.Alphabet.from_architecture("ESM-1b"): <cls> 0, <pad> 1, <eos> 2, <unk> 3, L 4, A 5, ..., <mask> 32.
    esm = LetterTokenizer.esm()
    assert len(esm) == 33
    assert (esm.cls_id, esm.pad_id, esm.eos_id, esm.unk_id, esm.mask_id) == (0, 1, 2, 3, 32)
    assert esm.encode("MKTAYw").tolist() == [0, 20, 15, 11, 5, 19, 22, 2]
    assert esm.encode("A1é€", ends=False).tolist() == [5, 3, 3, 3]


def test_batches_are_padded_and_say_where_they_are_real() -> None:
    ids, real = LetterTokenizer.esm().batch(["MK", "MKTA"], length=7)
    assert ids.tolist() == [[0, 20, 15, 2, 1, 1, 1], [0, 20, 15, 11, 5, 2, 1]]
    assert real.tolist() == [[True] * 4 + [False] * 3, [True] * 6 + [False]]
    with pytest.raises(SequenceError, match="sequence 1 has 6 tokens"):
        LetterTokenizer.esm().batch(["MK", "MKTA"], length=5)


def test_words_overlap_or_stand_side_by_side() -> None:
    overlapping = KmerTokenizer(3)
    assert overlapping.decode(overlapping.encode("ACGTNAC")) == [
        "[CLS]",
        "ACG",
        "CGT",
        "[UNK]",
        "[UNK]",
        "[UNK]",
        "[SEP]",
    ]
    assert len(overlapping) == 5 + 64
    assert overlapping.encode("AAAAAC", ends=False).tolist() == [5, 5, 5, 6]
    beside = KmerTokenizer(3, stride=3, letters="ATCG", rest=True)
    assert beside.decode(beside.encode("TTACCGAT", ends=False)) == ["TTA", "CCG", "A", "T"]
    assert beside.decode(beside.encode("TN", ends=False)) == ["T", "N"]


@given(st.text(alphabet="ACGTN", max_size=40), st.integers(1, 5))
def test_word_numbers_agree_with_counting_in_base_four(sequence: str, k: int) -> None:
    expected = [
        -1 if "N" in word else int("".join(str("ACGT".index(letter)) for letter in word), 4)
        for word in (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    ]
    assert kmer_numbers(DNA.encode(sequence), k).tolist() == expected


@given(st.text(alphabet="ACGTN", max_size=40), st.integers(1, 4))
def test_counts_agree_with_counter_and_do_not_know_the_strand(sequence: str, k: int) -> None:
    words = Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))
    (row,) = kmer_counts([sequence], k)
    assert {i: n for i, n in enumerate(row) if n} == {
        int("".join(str("ACGT".index(letter)) for letter in word), 4): n for word, n in words.items() if "N" not in word
    }
    both = kmer_counts([sequence, reverse_complement(sequence)], k, both_strands=True)
    np.testing.assert_array_equal(both[0], both[1])
    assert both[0].sum() == row.sum()
    assert both.shape[1] == {1: 2, 2: 10, 3: 32, 4: 136}[k]  # (4^k + palindromes) / 2


def test_hidden_tokens_are_counted_and_seeded() -> None:
    esm = LetterTokenizer.esm()
    rng = np.random.default_rng(0)
    ids, real = esm.batch(["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), n)) for n in (900, 1000, 3)])
    corrupted, labels = mask_tokens(ids, esm, generator=Generator().manual_seed(1))
    again, _ = mask_tokens(ids, esm, generator=Generator().manual_seed(1))
    np.testing.assert_array_equal(corrupted, again)
    chosen = labels != IGNORED
    assert chosen.sum(1).tolist() == [135, 150, 1]
    np.testing.assert_array_equal(labels[chosen], ids[chosen])
    np.testing.assert_array_equal(corrupted[~chosen], ids[~chosen])
    assert not (chosen & (~real | np.isin(ids, [0, 2]))).any()
    assert 0.72 < (corrupted[chosen] == esm.mask_id).mean() < 0.88
    kept = (corrupted == ids)[chosen].mean()
    assert 0.05 < kept < 0.16


@pytest.mark.parametrize("span", [2.0, 4.0])
def test_runs_have_the_asked_mean_length(span: float) -> None:
    esm = LetterTokenizer.esm()
    ids, _ = esm.batch(["A" * 2000] * 30)
    _, labels = mask_tokens(ids, esm, 0.02, span=span, longest=1000, generator=Generator().manual_seed(0))
    chosen = labels != IGNORED
    assert (chosen.sum(1) == 40).all()
    runs = chosen.sum() / (np.diff(chosen.astype(int), axis=1) == 1).sum()
    # The last run of a row is cut to the budget, and neighbours may touch: 10 % either way.
    assert runs == pytest.approx(span, rel=0.1)


def test_runs_share_one_fate_and_stop_at_special_tokens() -> None:
    dna = LetterTokenizer("ACGTN")
    ids = np.full((40, 60), dna.numbers["A"])
    ids[:, ::6] = dna.eos_id
    corrupted, labels = mask_tokens(ids, dna, 1.0, span=5, masked=1, replaced=0, generator=Generator().manual_seed(0))
    assert (corrupted[:, ::6] == dna.eos_id).all()
    assert (np.delete(corrupted, np.s_[::6], 1) == dna.mask_id).all()
    assert (labels[:, ::6] == IGNORED).all()


def test_masking_needs_a_mask() -> None:
    with pytest.raises(SequenceError, match="mask token"):
        mask_tokens(np.zeros((1, 3)), LetterTokenizer("ACGT", (), (None,) * 5))
    with pytest.raises(SequenceError, match=r"position 2.*'N'"):
        LetterTokenizer("ACGT", (), (None,) * 5).encode("ACN")


def test_byte_pairs_are_learned_saved_and_read_again(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    rng = np.random.default_rng(0)
    sequences = ["TATAAA" * 5 + "".join(rng.choice(list("ACGT"), 30)) for _ in range(50)]
    learned = BpeTokenizer.train(sequences, 40)
    assert len(learned) == 40
    ids = learned.encode("tataaatataaa")
    assert (ids[0], ids[-1]) == (learned.cls_id, learned.eos_id)
    assert "".join(learned.decode(ids)[1:-1]) == "TATAAATATAAA"
    assert len(ids) < 8  # the repeated word became few pieces
    learned.save(tmp_path / "tokenizer.json")
    read = BpeTokenizer.load(tmp_path / "tokenizer.json")
    assert read.vocabulary == learned.vocabulary
    np.testing.assert_array_equal(read.encode("ACGTTATAAA"), learned.encode("ACGTTATAAA"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SequenceError, match=r"bad.json is not a tokenizer.json"):
        BpeTokenizer.load(tmp_path / "bad.json")


def test_proteins_have_twenty_channels() -> None:
    from bio.encoding import one_hot, one_hot_batch

    channels = one_hot("ACYX*", "split", PROTEIN)
    assert channels.shape == (20, 5)
    assert channels[:, 3].tolist() == [pytest.approx(0.05)] * 20
    assert not channels[:, 4].any()
    assert one_hot("BZ", "split", PROTEIN).sum(0).tolist() == [1, 1]
    batch = one_hot_batch(["ACY", "W"], alphabet=PROTEIN)
    assert batch.shape == (2, 20, 3)
    np.testing.assert_array_equal(batch[0], one_hot("ACY", alphabet=PROTEIN))
    assert batch.sum((1, 2)).tolist() == [3, 1]
    with pytest.raises(SequenceError, match=r"sequence 1: position 0 .*'1'"):
        one_hot_batch(["ACY", "1"], alphabet=PROTEIN)
