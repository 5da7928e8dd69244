"""Datasets of sequences, batches of several lengths, and splits without leakage.

Channels are (C, L) uint8 in an item and (N, C, L) in a batch, DNA's in the order A, C, G, T.
"""

from bio.data.batching import LengthBucketSampler, PackingSampler
from bio.data.clusters import cluster
from bio.data.collate import pack_collate, pad_collate
from bio.data.datasets import IntervalDataset, ResidueDataset, SequenceDataset, channels_of
from bio.data.leakage import check_leakage, find_duplicates, find_shared
from bio.data.splits import split_by_chromosome, split_by_cluster, split_random
from bio.data.tables import read_table

__all__ = [
    "IntervalDataset",
    "LengthBucketSampler",
    "PackingSampler",
    "ResidueDataset",
    "SequenceDataset",
    "channels_of",
    "check_leakage",
    "cluster",
    "find_duplicates",
    "find_shared",
    "pack_collate",
    "pad_collate",
    "read_table",
    "split_by_chromosome",
    "split_by_cluster",
    "split_random",
]
