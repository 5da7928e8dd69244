"""Reading genomes and sequences beside the libraries below, and one-hot coding: `python benchmarks/bio_reading.py`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dnaio
import numpy as np
import pysam

from bio.encoding import one_hot
from bio.io import AlignmentReader, Genome, SequenceReader

ROUNDS = 7


def alternating(*jobs: Callable[[], object]) -> list[float]:
    """The median seconds of each job, run in turn."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(ROUNDS):
        for job, taken in zip(jobs, times):
            begin = time.perf_counter()
            job()
            taken.append(time.perf_counter() - begin)
    return [float(np.median(taken)) for taken in times]


def drained(opened: Callable[[], object]) -> Callable[[], None]:
    """Going through all records of what is opened."""

    def job() -> None:
        with opened() as reader:  # type: ignore[attr-defined]
            for _ in reader:
                pass

    return job


def main() -> None:
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        fastq, fasta = Path(folder, "r.fq"), Path(folder, "g.fa")
        reads = [read.tobytes().decode() for read in rng.choice(letters, (500_000, 150))]
        fastq.write_text("".join(f"@r{i}\n{read}\n+\n{'I' * 150}\n" for i, read in enumerate(reads)))
        genome = rng.choice(letters, 100_000_000).tobytes().decode()
        fasta.write_text(">c\n" + "\n".join(genome[i : i + 60] for i in range(0, len(genome), 60)) + "\n")
        sam = Path(folder, "a.sam")
        with sam.open("w") as file:
            file.write("@SQ\tSN:c\tLN:100000000\n")
            for i in range(200_000):
                file.write(f"r{i}\t0\tc\t{i * 400 + 1}\t60\t150M\t*\t0\t0\t{reads[i]}\t{'I' * 150}\n")
        bam = Path(folder, "a.bam")
        pysam.view("-b", "-o", str(bam), str(sam), catch_stdout=False)

        ours, theirs = alternating(drained(lambda: SequenceReader(fastq)), drained(lambda: dnaio.open(fastq)))
        print(f"FASTQ, 500,000 x 150 nt, beside dnaio     {ours:.3f} s / {theirs:.3f} s = {ours / theirs:.2f}")

        def pysam_reads() -> None:
            with pysam.AlignmentFile(str(bam)) as file:
                for _ in file.fetch(until_eof=True):
                    pass

        ours, theirs = alternating(drained(lambda: AlignmentReader(bam)), pysam_reads)
        print(f"BAM, 200,000 reads, beside pysam          {ours:.3f} s / {theirs:.3f} s = {ours / theirs:.2f}")

        begin = time.perf_counter()
        opened = Genome(fasta)
        print(f"index of 100 Mbp                          {time.perf_counter() - begin:.3f} s")
        peer = pysam.FastaFile(str(fasta))
        starts = rng.integers(0, len(genome) - 1000, 20_000).tolist()

        def fetch(source: Genome | pysam.FastaFile) -> Callable[[], object]:
            return lambda: [source.fetch("c", start, start + 1000) for start in starts]

        ours, theirs = alternating(fetch(opened), fetch(peer))
        a, b = len(starts) / ours, len(starts) / theirs
        print(f"20,000 random 1-kb fetches, beside pysam  {a:,.0f} / {b:,.0f} a second")
        windows = opened.fetch_many(["c"] * 20_000, starts, 1000)
        (whole,) = alternating(lambda: one_hot(windows))
        print(f"one-hot, 20,000 x 1 kb to uint8           {windows.size / whole / 1e6:,.0f} Mbp/s on one core")


if __name__ == "__main__":
    main()
