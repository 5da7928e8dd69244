"""Readers beside pysam, Biopython and hand-written files; each pins how coordinates are turned."""

import gzip
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bio.errors import FormatError, ReferenceMismatchError, SequenceError
from bio.io import (
    AlignmentReader,
    BigWig,
    ContigNames,
    Genome,
    Intervals,
    SequenceReader,
    VariantReader,
    check_reference,
    make_index,
    read_bed,
    read_gff,
    write_bed,
    write_bigwig,
)

pysam = pytest.importorskip("pysam")
SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"
BAM = Path(__file__).resolve().parents[3] / "shared" / "data" / "bio" / "ex1.bam"
rng = np.random.default_rng(0)


def written(folder: Path, width: int = 60, end: str = "\n", last: bool = True) -> tuple[Path, dict[str, str]]:
    """A FASTA file of three contigs and one empty one, and what it holds."""
    texts = {name: "".join(rng.choice(list("ACGTNacgt"), n)) for name, n in (("chr1", 1000), ("2", 61), ("chrM", 60))}
    lines = []
    for name, text in {"empty": "", **texts}.items():
        lines += [f">{name} some words", *(text[i : i + width] for i in range(0, len(text), width))]
    file = folder / "g.fa"
    file.write_bytes((end.join(lines) + (end if last else "")).encode())
    return file, texts


@pytest.mark.parametrize(("end", "last"), [("\n", True), ("\n", False), ("\r\n", True), ("\r\n", False)])
def test_genome_agrees_with_the_text_and_its_index_with_samtools(tmp_path: Path, end: str, last: bool) -> None:
    file, texts = written(tmp_path, end=end, last=last)
    with Genome(file) as genome:
        assert genome.contigs == {"empty": 0, **{name: len(text) for name, text in texts.items()}}
        for name, text in texts.items():
            assert genome.fetch(name) == text
            for _ in range(200):
                a, b = sorted(rng.integers(0, len(text) + 1, 2).tolist())
                assert genome.fetch(name, a, b) == text[a:b]
                assert genome.fetch_array(name, a, b).tobytes().decode() == text[a:b]
    ours = (tmp_path / "g.fa.fai").read_text().splitlines()
    (tmp_path / "g.fa.fai").unlink()
    pysam.faidx(str(file))
    theirs = (tmp_path / "g.fa.fai").read_text().splitlines()
    assert ours[0].startswith("empty\t0\t")  # samtools leaves empty contigs out
    assert ours[1:] == theirs


def test_bgzip_agrees_with_the_plain_file(tmp_path: Path) -> None:
    text = "".join(rng.choice(list("ACGT"), 300_000))
    (tmp_path / "g.fa").write_text(">c\n" + "\n".join(text[i : i + 70] for i in range(0, len(text), 70)) + "\n")
    pysam.tabix_compress(str(tmp_path / "g.fa"), str(tmp_path / "g.fa.gz"))
    with pytest.raises(SequenceError, match="samtools faidx"):
        Genome(tmp_path / "g.fa.gz")
    pysam.faidx(str(tmp_path / "g.fa.gz"))
    with Genome(tmp_path / "g.fa.gz") as genome:
        for _ in range(100):
            a, b = sorted(rng.integers(0, len(text) + 1, 2).tolist())
            assert genome.fetch("c", a, b) == text[a:b]
        assert genome.fetch("c", 299_990, 300_000) == text[-10:]
    packed = bytearray((tmp_path / "g.fa.gz").read_bytes())
    packed[5000:5100] = bytes(100)
    (tmp_path / "g.fa.gz").write_bytes(packed)
    with pytest.raises(FormatError, match="bgzip block at byte 0 is damaged"), Genome(tmp_path / "g.fa.gz") as genome:
        genome.fetch("c", 0, 60_000)


def test_genome_windows_strand_and_errors(tmp_path: Path) -> None:
    file, texts = written(tmp_path)
    with Genome(file, aliases={"uno": "chr1"}) as genome:
        windows = genome.fetch_many(["1", "uno", "NC_000001.11", "chr1"], [-3, 10, 998, 2000], 5)
        assert [w.tobytes().decode() for w in windows] == [
            "NNN" + texts["chr1"][:2], texts["chr1"][10:15], texts["chr1"][998:] + "NNN", "NNNNN",
        ]  # fmt: skip
        assert genome.fetch("MT", 0, 4, "-") == "".join(
            dict(zip("ACGTNacgt", "TGCANtgca"))[letter] for letter in texts["chrM"][3::-1]
        )
        for start, end in ((-1, 3), (990, 1001), (5, 4)):
            with pytest.raises(SequenceError, match="not inside chr1, which has 1000"):
                genome.fetch("chr1", start, end)
        with pytest.raises(SequenceError, match="no contig 'chr9'"):
            genome.fetch("chr9", 0, 1)


def test_genome_is_shared_by_threads_and_forks(tmp_path: Path) -> None:
    file, texts = written(tmp_path)
    genome = Genome(file)
    wrong: list[int] = []

    def work() -> None:
        mine = np.random.default_rng(threading.get_ident() % 1000)
        for a in mine.integers(0, 900, 2000).tolist():
            if genome.fetch("chr1", a, a + 100) != texts["chr1"][a : a + 100]:
                wrong.append(a)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            wrong.clear()
            work()
            os._exit(bool(wrong))
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert not wrong
    genome.close()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("ACGT\n", 1, "begins with '>'"), (">a\nACGT\nAC\nACGT\n", 3, "2 letters.*first has 4"),
        (">a\nAC\nACGT\n", 3, "4 letters.*first has 2"), (">a\nA\n>a\nA\n", 3, "comes twice"), (">\nA\n", 1, "no name"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_indexed_name_the_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    (tmp_path / "g.fa").write_text(text)
    with pytest.raises(FormatError, match=reason) as caught:
        make_index(tmp_path / "g.fa")
    assert caught.value.line == line


def test_contig_names() -> None:
    ucsc = ContigNames(["chr1", "chrX", "chrM", "chrUn_1"])
    assert [ucsc.resolve(name) for name in ("1", "NC_000001.11", "x", "MT", "NC_012920.1")] == [
        "chr1", "chr1", "chrX", "chrM", "chrM",
    ]  # fmt: skip
    assert ContigNames(["NC_000008.10"]).resolve("chr8") == "NC_000008.10"
    with pytest.raises(SequenceError, match="another version"):
        ContigNames(["NC_000008.10"]).resolve("NC_000008.11")
    with pytest.raises(SequenceError, match="could be 1 or chr1"):
        ContigNames(["1", "chr1"]).resolve("NC_000001.11")
    assert ContigNames(["1", "chr1"]).resolve("1") == "1"


def test_sequences_and_their_errors(tmp_path: Path) -> None:
    pytest.importorskip("dnaio")
    with gzip.open(tmp_path / "r.fq.gz", "wt") as file:
        file.write("@r1 first\nACGT\n+\nIIII\n@r2\nGG\n+\n!I\n")
    with SequenceReader(tmp_path / "r.fq.gz") as reader:
        assert [(r.id, r.comment, r.sequence, r.qualities) for r in reader] == [
            ("r1", "first", "ACGT", "IIII"), ("r2", None, "GG", "!I"),
        ]  # fmt: skip
    (tmp_path / "bad.fq").write_text("@r1\nACGT\n+\nIIII\n@r2\nACGT\n+\nIII\n")
    with pytest.raises(FormatError, match="differ") as caught, SequenceReader(tmp_path / "bad.fq") as reader:
        list(reader)
    assert caught.value.line == 8
    (tmp_path / "cut.fq.gz").write_bytes((tmp_path / "r.fq.gz").read_bytes()[:-12])
    with pytest.raises(FormatError, match="damaged or cut short"), SequenceReader(tmp_path / "cut.fq.gz") as reader:
        list(reader)
    with pytest.raises(SequenceError, match="no such file"):
        SequenceReader(tmp_path / "absent.fa")


def test_bed_counts_from_zero_and_gff_from_one(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("track x\n#c\nchr1\t0\t10\tn1\t5\t-\nchr2\t3\t3\tn2\t.\t+\n")
    bed = read_bed(tmp_path / "a.bed")
    assert [tuple(row) for row in bed] == [("chr1", 0, 10, "-", "n1"), ("chr2", 3, 3, "+", "n2")]
    (tmp_path / "a.gff3").write_text(
        "##gff-version 3\nchr1\ts\tgene\t1\t10\t.\t+\t.\tID=g%201;Note=a,b\nchr1\ts\tCDS\t4\t6\t0.5\t-\t2\tParent=g1\n"
        "##FASTA\n>chr1\nACGT\n"
    )
    gff = read_gff(tmp_path / "a.gff3")
    assert (gff["start"].tolist(), gff["end"].tolist(), gff["phase"].tolist()) == ([0, 3], [10, 6], [-1, 2])
    assert gff["attributes"][0] == {"ID": "g 1", "Note": "a,b"}
    (tmp_path / "a.gtf").write_text('1\ts\texon\t5\t5\t.\t+\t.\tgene_id "g;1"; exon_number 2; tag "a"; tag "b";\n')
    gtf = read_gff(tmp_path / "a.gtf", ["exon"])
    assert (gtf["start"][0], gtf["end"][0]) == (4, 5)
    assert gtf["attributes"][0] == {"gene_id": "g;1", "exon_number": "2", "tag": "a,b"}
    write_bed(tmp_path / "out.bed", bed)
    assert [tuple(row) for row in read_bed(tmp_path / "out.bed")] == [tuple(row) for row in bed]
    for text, reason in (
        ("chr1\t5\t4\n", "no interval"),
        ("chr1\tx\t4\n", "no whole number"),
        ("chr1\t1\n", "2 columns"),
    ):
        (tmp_path / "bad.bed").write_text("chr1\t0\t1\n" + text)
        with pytest.raises(FormatError, match=rf"bad.bed, line 2: .*{reason}"):
            read_bed(tmp_path / "bad.bed")
    (tmp_path / "bad.gff").write_text("chr1\ts\tgene\t0\t10\t.\t+\t.\tID=g\n")
    with pytest.raises(FormatError, match=r"line 1.*counted from 1"):
        read_gff(tmp_path / "bad.gff")


rows = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 6)), max_size=12)


@settings(max_examples=100)
@given(rows, rows)
def test_overlaps_agree_with_comparing_all_pairs(first: list, second: list) -> None:
    def table(rows: list) -> Intervals:
        return Intervals(
            {"contig": [r[0] for r in rows], "start": [r[1] for r in rows], "end": [r[1] + r[2] for r in rows]}
        )

    expected = [any(a == b and max(s, t) < min(s + n, t + m) for b, t, m in second) for a, s, n in first]
    assert table(first).overlaps(table(second)).tolist() == expected


def test_variants_agree_with_pysam(tmp_path: Path) -> None:
    pytest.importorskip("cyvcf2")
    file = SAMPLES / "vcf" / "chr22.vcf.gz"
    with VariantReader(file) as reader, pysam.VariantFile(str(file)) as theirs:
        assert reader.samples == tuple(theirs.header.samples)
        count = 0
        for ours, record in zip(reader, theirs):
            assert (ours.contig, ours.start, ours.end, ours.reference, ours.alternates, ours.id) == (
                record.chrom, record.start, record.start + len(record.ref), record.ref, record.alts, record.id,
            )  # fmt: skip
            assert ours.genotypes is not None
            assert [tuple(g[:2]) for g in ours.genotypes] == [s["GT"] for s in record.samples.values()]
            count += 1
    assert count == 10376


def test_reference_mismatches_name_record_and_position(tmp_path: Path) -> None:
    pytest.importorskip("cyvcf2")
    (tmp_path / "g.fa").write_text(">chr1\nACGTNCGT\n")
    head = "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    lines = ["1\t2\t.\tCG\tC\t.\tPASS\t.", "1\t5\t.\tA\tT,<DEL>\t3\tq10\t.", "1\t7\trs7\tT\tA\t.\t.\t."]
    (tmp_path / "v.vcf").write_text(head + "\n".join(lines) + "\n")
    with Genome(tmp_path / "g.fa") as genome, VariantReader(tmp_path / "v.vcf") as reader:
        checked = check_reference(reader, genome)
        first, second = next(checked), next(checked)
        assert (first.start, first.end, first.filters) == (1, 3, ())
        assert (second.alternates, second.filters, second.quality) == (("T", "<DEL>"), ("q10",), 3)
        with pytest.raises(ReferenceMismatchError, match=r"1:7 T>A \(rs7\).*has 'G' at 1:6") as caught:
            next(checked)
    assert (caught.value.position, caught.value.expected, caught.value.found) == (6, "T", "G")
    (tmp_path / "no.vcf").write_text("nothing\n")
    with pytest.raises(FormatError, match=r"no.vcf"):
        VariantReader(tmp_path / "no.vcf")


def test_alignments_agree_with_pysam(tmp_path: Path) -> None:
    # One read of ACGT at 1-based position 5, of SAM's text: 0-based [4, 8).
    (tmp_path / "a.sam").write_text("@SQ\tSN:chr1\tLN:20\nr1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    with AlignmentReader(tmp_path / "a.sam") as reader:
        (read,) = reader
        assert (read.reference_start, read.reference_end, reader.contigs) == (4, 8, {"chr1": 20})
    pysam.view("-b", "-o", str(tmp_path / "a.bam"), str(tmp_path / "a.sam"), catch_stdout=False)
    with AlignmentReader(tmp_path / "a.bam") as reader, pytest.raises(SequenceError, match="samtools index"):
        reader.fetch("1", 0, 20)
    pysam.index(str(tmp_path / "a.bam"))
    with AlignmentReader(tmp_path / "a.bam") as reader:
        assert [r.query_name for r in reader.fetch("1", 7, 8)] == ["r1"]
        assert not list(reader.fetch("1", 8, 20))
        assert reader.coverage("1", 3, 9)[:, 1:5].tolist() == np.eye(4).tolist()
    (tmp_path / "no.bam").write_bytes(b"nothing at all")
    with pytest.raises(FormatError, match=r"no.bam"):
        AlignmentReader(tmp_path / "no.bam")
    if BAM.exists():
        with AlignmentReader(BAM) as reader, pysam.AlignmentFile(str(BAM)) as theirs:
            assert [r.query_name for r in reader] == [r.query_name for r in theirs.fetch(until_eof=True)]


def test_bigwig_is_read_as_it_was_written(tmp_path: Path) -> None:
    pytest.importorskip("pyBigWig")
    table = Intervals({"contig": ["chr2", "chr1", "chr1"], "start": [0, 6, 2], "end": [3, 8, 5], "score": [7, 2, 1.5]})
    write_bigwig(tmp_path / "t.bw", {"chr1": 10, "chr2": 5}, table, "score")
    with BigWig(tmp_path / "t.bw") as track:
        nan = float("nan")
        np.testing.assert_array_equal(track.values("1", 0, 10), [nan, nan, 1.5, 1.5, 1.5, nan, 2, 2, nan, nan])
        np.testing.assert_array_equal(track.values("chr2", 2, 4), [7, nan])
        with pytest.raises(SequenceError, match="not inside chr1"):
            track.values("chr1", 0, 11)
    with pytest.raises(SequenceError, match="overlap"):
        write_bigwig(tmp_path / "t.bw", {"chr1": 10, "chr2": 5}, table.with_columns(start=[0, 4, 2]), "score")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.bw"]
