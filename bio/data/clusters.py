"""Groups of related sequences, so that a split can keep each group on one side.

Words of k letters are hashed and thinned out alike in all sequences (FracMinHash: Irber et al., 2022,
doi 10.1101/2022.01.11.475838); what two sequences share of the smaller one's words is about identity**k when they
align over the smaller one (Ondov et al., Genome Biology 17 (2016) 132).
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bio.data.leakage import is_nucleotide
from bio.encoding.alphabet import DNA, ILLEGAL, PROTEIN, Array
from bio.encoding.kmers import kmer_numbers, other_strand_numbers
from bio.errors import SequenceError

_CROWD = 500  # a word in more sequences than this is compared with one of them only
_SKETCH = 1 << 24  # words kept in all; more are thinned out


def cluster(
    sequences: Sequence[str],
    identity: float | None = None,
    k: int | None = None,
    method: Literal["minhash", "mmseqs2"] = "minhash",
    both_strands: bool | None = None,
) -> Array:
    """The number of each sequence's cluster, (N,) int64, from 0 in the order of the clusters' first sequences.

    Two sequences are linked where they share as many words of `k` letters as sequences of `identity` share that
    align over all of the shorter one, and two words at least; clusters are what links connect,
    so that a tag which many proteins carry joins them. Defaults: k 16 and
    identity 0.8 for nucleotides (of which both strands count as one), k 5 and identity 0.5 for proteins. Homology
    below 40 to 50 % identity leaves few common words and is not found. "mmseqs2" calls that program (its linear-time
    clusters by `identity` over 80 % of the shorter sequence), where it is installed.
    """
    nucleotide = all(is_nucleotide(sequence) for sequence in sequences)
    both_strands = nucleotide if both_strands is None else both_strands
    if both_strands and not nucleotide:
        raise SequenceError("only DNA and RNA have another strand")
    identity = (0.8 if nucleotide else 0.5) if identity is None else identity
    if not 0 < identity <= 1:
        raise SequenceError(f"identity is above 0 and at most 1, got {identity}")
    if method == "mmseqs2":
        return _mmseqs2(sequences, identity)
    if method != "minhash":
        raise SequenceError(f"method must be 'minhash' or 'mmseqs2', got {method!r}")
    k = (16 if nucleotide else 5) if k is None else k
    words, scale = _sketches(sequences, k, nucleotide, both_strands)
    links = _links(words, [len(sequence) for sequence in sequences], identity**k, scale)
    # Equal sequences are linked even where they are too short for a word.
    first: dict[str, int] = {}
    equal = [(first.setdefault(sequence.upper(), number), number) for number, sequence in enumerate(sequences)]
    return connected(len(sequences), np.concatenate([links, np.array(equal, np.int64).reshape(-1, 2)]))


def connected(count: int, links: Array) -> Array:
    """The number of each item's component, (N,) int64, in order of first items; `links` (M, 2): union by find."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in links.tolist():
        a, b = root(a), root(b)
        if a != b:
            parent[max(a, b)] = min(a, b)
    roots = np.array([root(item) for item in range(count)], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _sketches(sequences: Sequence[str], k: int, nucleotide: bool, both_strands: bool) -> tuple[list[Array], int]:
    """The distinct hashes of each sequence's words, sorted, of which one in `scale` is kept."""
    table, base = (DNA.table, 4) if nucleotide else (PROTEIN.table, 20)
    scale = max(1, -(-sum(map(len, sequences)) // _SKETCH))
    limit = np.uint64((1 << 64) // scale - 1)
    kept = []
    for sequence in sequences:
        codes = np.frombuffer(sequence.encode("latin-1", "replace").translate(table), np.uint8)
        if nucleotide and codes.size and codes.max() == ILLEGAL:
            raise SequenceError("only nucleotide codes were expected")
        numbers = kmer_numbers(codes, k, base)
        if both_strands:
            numbers = np.minimum(numbers, other_strand_numbers(numbers, k))
        hashes = _mixed(np.unique(numbers[numbers >= 0]).astype(np.uint64))
        kept.append(np.sort(hashes[hashes <= limit]))
    return kept, scale


def _mixed(numbers: Array) -> Array:
    """SplitMix64's finaliser (Steele et al., OOPSLA 2014): a permutation of 64-bit numbers that looks random."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _links(words: Sequence[Array], lengths: Sequence[int], share: float, scale: int) -> Array:
    """Pairs (M, 2) that share at least `share` of the smaller one's words, and two."""
    from scipy import sparse

    sizes = np.array([len(row) for row in words], np.int64)
    if not sizes.sum():
        return np.empty((0, 2), np.int64)
    columns = np.unique(np.concatenate(words), return_inverse=True)[1]
    rows = np.repeat(np.arange(len(words)), sizes)
    crowd = np.bincount(columns)
    common, crowded = crowd[columns] > 1, crowd[columns] > _CROWD
    pick = common & ~crowded
    held: Any = sparse.csr_matrix(
        (np.ones(int(pick.sum()), np.int32), (rows[pick], columns[pick])), (len(words), len(crowd))
    )
    turned = held.T.tocsr()
    found = []
    # Words of a crowd (low complexity, tags, large families) count for the pairs of each member with the longest one
    # that has the word, as in Linclust (Steinegger & Söding, Nature Communications 9 (2018) 2542): linear, not square.
    members, words_of = rows[crowded], columns[crowded]
    longest = np.asarray(lengths)[members]
    order = np.lexsort((members, -longest, words_of))
    begins = np.r_[True, np.diff(words_of[order]) != 0] if order.size else np.empty(0, np.bool_)
    centres = np.repeat(members[order][begins], np.diff(np.r_[np.flatnonzero(begins), order.size]))
    for a, b in np.unique(np.sort(np.stack([members[order], centres], 1), 1), axis=0).tolist():
        both = len(np.intersect1d(words[a], words[b], assume_unique=True))
        if a != b and both >= max(share * min(sizes[a], sizes[b]), 2):
            found.append(np.array([[a, b]]))
    for first in range(0, len(words), 1024):
        block = (held[first : first + 1024] @ turned).tocoo()
        a, b = block.row.astype(np.int64) + first, block.col.astype(np.int64)
        linked = (a < b) & (block.data >= np.maximum(share * np.minimum(sizes[a], sizes[b]), 2))
        found.append(np.stack([a[linked], b[linked]], 1))
    return np.concatenate(found)


def _mmseqs2(sequences: Sequence[str], identity: float) -> Array:
    program = shutil.which("mmseqs")
    if program is None:
        raise SequenceError("method='mmseqs2' needs the program mmseqs (MMseqs2) on the PATH; 'minhash' needs nothing")
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder, "sequences.fasta")
        fasta.write_text("".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences)))
        command = [program, "easy-linclust", str(fasta), f"{folder}/out", f"{folder}/tmp"]
        command += ["--min-seq-id", str(identity), "-c", "0.8", "--cov-mode", "1", "-v", "1"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SequenceError(f"mmseqs failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-500:]}")
        lines = Path(folder, "out_cluster.tsv").read_text().split()
    return connected(len(sequences), np.array(lines, np.int64).reshape(-1, 2))
