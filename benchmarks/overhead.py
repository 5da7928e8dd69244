"""What the door costs: tiny operations, ours and PyTorch's in turn, in one process.

python benchmarks/overhead.py
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import framework

ROUNDS = 15


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'work':42} {'ours':>9} {'torch':>9} {'ratio':>6}")
    for name, build in (
        ("add, recording", _add),
        ("add, no grad", _add_plain),
        ("40-op chain, forward + backward", _chain),
    ):
        ours, theirs = build(framework), build(torch)
        times: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            times.append((_time(ours), _time(theirs)))
        a, b = (statistics.median(column) for column in zip(*times))
        ratio = statistics.median(x / y for x, y in times)
        print(f"{name:42} {a * 1e6:7.2f}us {b * 1e6:7.2f}us {ratio:6.2f}")


def _add(module: Any) -> Callable[[], Any]:
    x = module.tensor(np.ones(8, np.float32)).requires_grad_()
    y = module.tensor(np.ones(8, np.float32)).requires_grad_()
    add = module.add
    return lambda: add(x, y)


def _add_plain(module: Any) -> Callable[[], Any]:
    x, y = module.tensor(np.ones(8, np.float32)), module.tensor(np.ones(8, np.float32))
    add = module.add
    return lambda: add(x, y)


def _chain(module: Any) -> Callable[[], Any]:
    x = module.tensor(np.ones(8, np.float32)).requires_grad_()
    y = module.tensor(np.full(8, 1.01, np.float32)).requires_grad_()

    def run() -> None:
        z = x
        for _ in range(13):
            z = (z + y) * y - x
        z.sum().backward()
        x.grad = y.grad = None

    return run


def _time(work: Callable[[], Any]) -> float:
    """Seconds a call, the best of a few short runs."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(300):
            work()
        best = min(best, (time.perf_counter() - start) / 300)
    return best


if __name__ == "__main__":
    main()
