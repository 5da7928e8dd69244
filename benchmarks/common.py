"""Side-by-side timing: the contestants take turns, so that both see the same machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds of each call, the warm-up left out."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Distance between the quartiles over the median."""
        if len(self.seconds) < 4:
            return (max(self.seconds) - min(self.seconds)) / self.median
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return (third - first) / self.median


def alternate(
    contestants: Mapping[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Call every contestant `repeats` times in turn, after one call each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for function in contestants.values():
        function()
    for _ in range(repeats):
        for name, function in contestants.items():
            start = clock()
            function()
            seconds[name].append(clock() - start)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}
