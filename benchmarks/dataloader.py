"""Loading data beside PyTorch: the same dataset and two workers of each kind.

python benchmarks/dataloader.py             # batches a second
python benchmarks/dataloader.py --memory    # what workers keep of a list of a million names
"""

import argparse
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from common import alternate

from framework import data

VOLUME = (1, 64, 64, 64)
SMALL = (3, 64, 64)


class Compressed(data.Dataset):
    """Volumes of 1 MB that are decompressed and scaled: work that releases the interpreter."""

    def __init__(self, count: int = 64) -> None:
        stream = np.random.default_rng(0)
        array = (stream.normal(size=VOLUME) * 20).astype(np.int16)
        self.packed, self.count = zlib.compress(array.tobytes(), 1), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        raw = np.frombuffer(zlib.decompress(self.packed), np.int16).reshape(VOLUME)
        return raw.astype(np.float32) * np.float32(0.01), index


class Python(data.Dataset):
    """Small images of which the interpreter itself makes a part: work that threads cannot share."""

    def __len__(self) -> int:
        return 512

    def __getitem__(self, index: int) -> Any:
        total = 0
        for i in range(3000):
            total += i ^ index
        return np.full(SMALL, total & 255, np.float32), index


class Ready(data.Dataset):
    """Volumes that only have to be copied: the cost of the loader itself."""

    def __init__(self) -> None:
        self.volume = np.ones(VOLUME, np.float32)

    def __len__(self) -> int:
        return 256

    def __getitem__(self, index: int) -> Any:
        return self.volume, index


def throughput(repeats: int) -> None:
    import torch

    def ours(dataset: Any, size: int, **how: Any) -> Callable[[], None]:
        loader = data.DataLoader(dataset, size, num_workers=2, persistent_workers=True, **how)
        return lambda: consume(loader)

    def theirs(dataset: Any, size: int) -> Callable[[], None]:
        loader: Any = torch.utils.data.DataLoader(dataset, size, num_workers=2, persistent_workers=True)
        return lambda: consume(loader)

    print(f"{'items a second, two workers':40s} {'threads':>9s} {'processes':>9s} {'torch':>9s}")
    for name, dataset, size in (
        ("decompressed volumes of 1 MB, by 4", Compressed(), 4),
        ("images made in Python, by 16", Python(), 16),
        ("volumes that are only copied, by 4", Ready(), 4),
    ):
        contestants = {
            "threads": ours(dataset, size),
            "processes": ours(dataset, size, worker_type="process"),
            "torch": theirs(dataset, size),
        }
        times = alternate(contestants, repeats)
        rates = [len(dataset) / times[key].median for key in contestants]
        spread = max(times[key].spread for key in contestants)
        print(f"{name:40s} " + " ".join(f"{rate:9.0f}" for rate in rates) + f"   +- {100 * spread:.0f} %")


def consume(loader: Any) -> None:
    """Read every batch once, as a training step would."""
    total = 0.0
    for volume, _ in loader:
        total += float(volume[..., 0].sum())
    assert total


class Names(data.Dataset):
    """Reads names; the last item of every two thousand says how much memory is the worker's own."""

    def __init__(self, names: Any) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        assert self.names[index]
        if (index + 1) % 2000:
            return 0, 0, 0
        with open("/proc/self/smaps_rollup") as file:
            fields = dict(line.split(":") for line in file.read().splitlines()[1:])
        own, share = (1024 * int(fields[name].split()[0]) for name in ("Private_Dirty", "Pss"))
        return os.getpid(), own, share


def memory() -> None:
    names = [f"/data/study-{i:07d}/series-{i % 7}/image.nii.gz" for i in range(1_000_000)]
    print("MB that are the workers' own (and PSS), after each has read its part of a million names")
    for label, held in (("list", names), ("SharedList", data.SharedList(names))):
        for workers in (1, 2, 4):
            loader = data.DataLoader(Names(held), 2000, num_workers=workers, worker_type="process", collate_fn=max)
            last = {pid: (own, share) for pid, own, share in loader}
            own, share = (sum(values) / 1e6 for values in zip(*last.values()))
            print(f"{label:12s} {workers} workers {own:8.0f} ({share:.0f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    memory() if options.memory else throughput(options.repeats)
