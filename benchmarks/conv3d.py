"""3D convolution, forward and both gradients, against torch (oneDNN) in channels-last memory.

    python benchmarks/conv3d.py [--one-core] [--repeats 9] [--only "32 "]

Prints GFLOP/s of ours and torch's, the ratio (above 1: ours is faster) and the spread between quartiles. With
--one-core both use one thread and its processor time, which other processes on the machine disturb least.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch on huge pages: its best case
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from common import alternate  # noqa: E402

from framework.backends.cpu import conv, threads  # noqa: E402


@dataclass(frozen=True)
class Case:
    name: str
    images: int
    channels: int
    outputs: int
    size: tuple[int, int, int]
    kernel: tuple[int, int, int] = (3, 3, 3)
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: tuple[int, int, int] = (1, 1, 1)


CASES = (
    Case("16 channels", 1, 16, 16, (64, 64, 64)),
    Case("32 channels", 1, 32, 32, (48, 48, 48)),
    Case("32 channels, thin patch", 2, 32, 32, (96, 96, 8)),
    Case("64 channels", 1, 64, 64, (32, 32, 32)),
    Case("128 channels", 1, 128, 128, (16, 16, 16)),
    Case("256 channels", 1, 256, 256, (8, 8, 8)),
    Case("320 channels, bottleneck", 2, 320, 320, (5, 5, 4)),
    Case("stem 1 to 32", 2, 1, 32, (64, 64, 64)),
    Case("stem 1 to 32, thin patch", 2, 1, 32, (96, 96, 8)),
    Case("stem 4 to 32", 1, 4, 32, (64, 64, 64)),
    Case("32 to 64, stride 2", 1, 32, 64, (48, 48, 48), stride=(2, 2, 2)),
    Case("32 to 64, stride 2 2 1", 1, 32, 64, (64, 64, 16), stride=(2, 2, 1)),
    Case("3x3x1, 32 channels", 1, 32, 32, (64, 64, 16), kernel=(3, 3, 1), padding=(1, 1, 0)),
    Case("2x2x2 stride 2, 64 and 32", 1, 32, 64, (48, 48, 48), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    Case("1x1x1, 64 channels", 1, 64, 64, (32, 32, 32), kernel=(1, 1, 1), padding=(0, 0, 0)),
    Case("head 1x1x1, 32 to 14", 1, 32, 14, (64, 64, 64), kernel=(1, 1, 1), padding=(0, 0, 0)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one-core", action="store_true", help="one thread, its processor time")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    number = 1 if options.one_core else threads.get_num_threads()
    threads.set_num_threads(number)
    torch.set_num_threads(number)
    clock = time.thread_time if options.one_core else time.perf_counter
    print(f"{number} thread(s), {'processor' if options.one_core else 'wall'} time, torch {torch.__version__}")
    print("GFLOP/s ours / torch, ratio, quartile spread of ours and torch's; the last column is transposed convolution")
    print(f"{'':28}" + "".join(f"{title:>32}" for title in ("forward", "by weight", "by input")))
    for case in CASES:
        if options.only in case.name:
            print(f"{case.name:28}" + "".join(f"{column:>32}" for column in measure(case, options.repeats, clock)))


def measure(case: Case, repeats: int, clock: Callable[[], float]) -> list[str]:
    rng = np.random.default_rng(0)
    form = case.stride, case.padding, (1, 1, 1), 1
    x = channels_last(rng, case.images, case.channels, case.size)
    w = rng.standard_normal((case.outputs, case.channels, *case.kernel), dtype=np.float32)
    y = conv.conv(x, w, None, *form)
    g = channels_last(rng, case.images, case.outputs, y.shape[2:])
    their_x, their_w, their_g = (
        torch.from_numpy(a).contiguous(memory_format=torch.channels_last_3d) for a in (x, w, g)
    )

    def gradient(mask: list[bool]) -> torch.Tensor:
        return torch.ops.aten.convolution_backward(
            their_g, their_x, their_w, None, *form[:3], False, (0, 0, 0), 1, mask
        )

    rounds = (
        {
            "ours": lambda: conv.conv(x, w, None, *form),
            "torch": lambda: torch.nn.functional.conv3d(their_x, their_w, None, *form),
        },
        {
            "ours": lambda: conv.conv_grad_weight(g, x, case.kernel, *form),
            "torch": lambda: gradient([False, True, False]),
        },
        {
            "ours": lambda: conv.conv_grad_input(g, w, case.size, *form),
            "torch": lambda: gradient([True, False, False]),
        },
    )
    work = 2 * y.size * case.channels * np.prod(case.kernel) / 1e9
    columns = []
    for contestants in rounds:
        timing = alternate(contestants, repeats, clock)
        ours, theirs = timing["ours"], timing["torch"]
        columns.append(
            f"{work / ours.median:5.0f} /{work / theirs.median:5.0f}  {theirs.median / ours.median:5.2f}  "
            f"±{ours.spread:4.0%} {theirs.spread:4.0%}"
        )
    return columns


def channels_last(rng: np.random.Generator, images: int, channels: int, size: tuple[int, ...]) -> np.ndarray:
    return np.moveaxis(rng.standard_normal((images, *size, channels), dtype=np.float32), -1, 1)


if __name__ == "__main__":
    main()
