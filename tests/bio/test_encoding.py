"""One-hot codes, the other strand, and GenBank coordinates."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bio

SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"
CODES = "ACGTRYSWKMBDHVN"


def test_channels() -> None:
    channels = bio.one_hot("ACGTUnr")
    assert channels.dtype == np.uint8
    assert channels.T.tolist() == [
        [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert bio.one_hot("RN", "split").T.tolist() == [[0.5, 0, 0.5, 0], [0.25] * 4]


@pytest.mark.parametrize(
    ("sequence", "policy", "message"),
    [("ACX", "zero", "position 2.*'X'"), ("ACN", "refuse", "position 2.*ambiguous"), ("Aé", "zero", "position 1")],
)
def test_bad_letters_are_named_with_their_position(sequence: str, policy: str, message: str) -> None:
    with pytest.raises(bio.SequenceError, match=message):
        bio.one_hot(sequence, policy)  # type: ignore[arg-type]


@given(st.text(alphabet=CODES, max_size=60))
def test_other_strand_of_other_strand_is_the_first(sequence: str) -> None:
    assert bio.reverse_complement(bio.reverse_complement(sequence)) == sequence
    both = bio.one_hot(bio.reverse_complement(sequence), "split")
    np.testing.assert_array_equal(both, bio.one_hot(sequence, "split")[::-1, ::-1])


@given(st.text(alphabet="ACGT", max_size=60))
def test_decoding_returns_the_sequence(sequence: str) -> None:
    assert bio.decode(bio.one_hot(sequence)) == sequence


def test_reverse_complement_agrees_with_biopython() -> None:
    seq = pytest.importorskip("Bio.Seq")
    assert bio.reverse_complement("acgtRYKMBVDHN") == str(seq.Seq("acgtRYKMBVDHN").reverse_complement())


def test_genbank_coordinates_start_at_zero() -> None:
    pytest.importorskip("Bio")
    (record,) = bio.read_genbank(next((SAMPLES / "genbank").glob("*.gbk")))
    assert len(record.sequence) == 5386
    gene = next(f for f in record.features if f.kind == "CDS" and f.strand == 1 and (f.end - f.start) % 3 == 0)
    assert record.sequence[gene.start : gene.start + 3] in ("ATG", "GTG", "TTG")
    assert record.sequence[gene.end - 3 : gene.end] in ("TAA", "TAG", "TGA")


def test_genbank_errors(tmp_path: Path) -> None:
    pytest.importorskip("Bio")
    with pytest.raises(bio.SequenceError, match="no such file"):
        bio.read_genbank(tmp_path / "absent.gbk")
    (tmp_path / "empty.gbk").write_text(">seq\nACGT\n")
    with pytest.raises(bio.SequenceError, match="no GenBank record"):
        bio.read_genbank(tmp_path / "empty.gbk")
