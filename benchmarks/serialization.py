"""Loading half a gigabyte of weights, ours beside safetensors and PyTorch, in turn in one process: processor time.

python benchmarks/serialization.py
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from common import alternate

import framework

LAYERS, ELEMENTS, REPEATS = 125, 10**6, 11  # 125 float32 arrays of 4 MB


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, old = (Path(folder) / name for name in ("a.safetensors", "a.pth", "old.pth"))
        rng = np.random.default_rng(0)
        state = {f"layer{i}.weight": torch.tensor(rng.standard_normal(ELEMENTS, np.float32)) for i in range(LAYERS)}
        safetensors.torch.save_file(state, ours)
        torch.save(state, theirs)
        torch.save(state, old, _use_new_zipfile_serialization=False)
        del state
        print(f"{'work':44} {'ours':>9} {'theirs':>9} {'ratio':>6}")
        for name, mine, reference in (
            ("safetensors, mapped", _ours(ours, True), lambda: safetensors.torch.load_file(ours)),
            ("safetensors, mapped, every page touched", _touch(_ours(ours, True)), _touch(_safetensors(ours))),
            ("safetensors, read", _ours(ours, False), lambda: safetensors.torch.load(ours.read_bytes())),
            (".pth, mapped", _ours(theirs, True), lambda: torch.load(theirs, mmap=True)),
            (".pth, mapped, every page touched", _touch(_ours(theirs, True)), _touch(_torch(theirs, True))),
            (".pth, read", _ours(theirs, False), lambda: torch.load(theirs)),
            (".pth before 1.6, read", _ours(old, False), lambda: torch.load(old)),
        ):
            times = alternate({"ours": mine, "theirs": reference}, REPEATS, time.process_time)
            a, b = times["ours"], times["theirs"]
            print(f"{name:44} {a.median * 1e3:7.1f}ms {b.median * 1e3:7.1f}ms {a.median / b.median:6.2f}")


def _ours(path: Path, mmap: bool) -> Callable[[], Any]:
    return lambda: framework.load(path, mmap=mmap)


def _safetensors(path: Path) -> Callable[[], Any]:
    return lambda: safetensors.torch.load_file(path)


def _torch(path: Path, mmap: bool) -> Callable[[], Any]:
    return lambda: torch.load(path, mmap=mmap)


def _touch(load: Callable[[], Any]) -> Callable[[], Any]:
    """Reads one number of every page of what is loaded."""
    return lambda: [float(tensor.numpy()[::1024].sum()) for tensor in load().values()]


if __name__ == "__main__":
    main()
