"""What the side-by-side benchmarks share: torch at its best setting, turns, memory, and a line for the table.

Import this before torch: it asks torch's allocator for huge pages, which helps it most. Neither library is imported
before a contestant is made, so that a process that runs one alone holds only that one.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from common import Timing, alternate  # noqa: E402

THREADS = 2


@dataclass(frozen=True)
class Work:
    """One piece of work, made for each contestant by a function of no arguments that returns the call to time."""

    name: str
    ours: Callable[[], Callable[[], Any]]
    theirs: Callable[[], Callable[[], Any]]
    flop: float = 0  # floating-point operations of one call, for the share of the machine's rate
    bytes: float = 0  # the fewest bytes that must be moved, for the share of its bandwidth


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument(
        "--one-core", action="store_true", help="one thread, its processor time: steady on a busy machine"
    )
    parser.add_argument("--only", default="", help="works whose name contains this")
    return parser


def run(works: list[Work], options: argparse.Namespace) -> None:
    """Time the works by turns and print a line for each: seconds, ratio (below 1: ours is faster), spreads."""
    import torch

    import framework

    threads = 1 if options.one_core else options.threads
    torch.set_num_threads(threads)
    framework.set_num_threads(threads)
    clock = time.process_time if options.one_core else time.perf_counter
    kind = "processor" if options.one_core else "wall"
    print(f"{threads} thread(s), {kind} time, torch {torch.__version__}; ratio below 1: ours is faster")
    print(f"{'work':44}{'ours':>12}{'torch':>12}{'ratio':>8}{'spread':>14}")
    for work in works:
        if options.only in work.name:
            timing = alternate({"ours": work.ours(), "torch": work.theirs()}, options.repeats, clock)
            print(line(work, timing["ours"], timing["torch"]), flush=True)


def line(work: Work, ours: Timing, theirs: Timing) -> str:
    """One row of the table."""
    share = ""
    if work.flop:
        share = f"   {work.flop / ours.median / 1e9:.0f} / {work.flop / theirs.median / 1e9:.0f} GFLOP/s"
    elif work.bytes:
        share = f"   {work.bytes / ours.median / 1e9:.1f} / {work.bytes / theirs.median / 1e9:.1f} GB/s"
    return (
        f"{work.name:44}{_time(ours.median):>12}{_time(theirs.median):>12}{ours.median / theirs.median:8.2f}"
        f"{f'±{ours.spread:.0%} {theirs.spread:.0%}':>14}{share}"
    )


def compare_memory(script: str, *options: str) -> None:
    """Print the peaks of resident memory of `script --alone ours` and `script --alone torch`, each its own process."""
    ours, theirs = (_peak(script, "--alone", name, *options) for name in ("ours", "torch"))
    print(f"peak resident memory: ours {ours / 1e6:.0f} MB, torch {theirs / 1e6:.0f} MB, ratio {ours / theirs:.2f}")


def _peak(*command: str) -> int:
    process = subprocess.Popen([sys.executable, *command])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return usage.ru_maxrss * 1024


def _time(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"
