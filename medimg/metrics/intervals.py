"""Confidence intervals by resampling cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A statistic of the cases and the interval that holds it with the asked-for confidence."""

    estimate: float
    low: float
    high: float


def bootstrap(
    values: Any,
    statistic: Callable[[np.ndarray], float] = np.mean,
    level: float = 0.95,
    resamples: int = 2000,
    groups: Any = None,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval (Efron 1979) of a statistic of `values` (N, ...), one row a case.

    `groups` (N,) names the patient of each row: whole patients are drawn then, because scans of one patient are not
    independent. Infinite values (missed structures) are legal: the mean of such cases is infinite and so is the upper
    bound; take `np.median` where that says too little. NaN in the values or in the estimate is refused. The seed makes
    the draw reproducible.
    """
    array = np.asarray(values)
    if array.ndim == 0 or len(array) == 0:
        raise ValueError("there is no case to draw from.")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level lies between 0 and 1 and resamples is positive, not {level} and {resamples}.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("a case has the value NaN; decide what it stands for before an interval is drawn.")
    rng = np.random.Generator(np.random.Philox(seed))
    rows = _rows(groups, len(array))
    with np.errstate(invalid="ignore"):
        estimate = float(statistic(array))
        drawn = np.empty(resamples)
        for n in range(resamples):
            chosen = rng.integers(0, len(rows), len(rows))
            drawn[n] = statistic(array[chosen if groups is None else np.concatenate([rows[i] for i in chosen])])
    if np.isnan(estimate):
        raise ValueError("the statistic of the cases is NaN.")
    known = np.sort(drawn[~np.isnan(drawn)])  # a resample may lack what the statistic needs, such as one of two classes
    if known.size == 0:
        raise ValueError("the statistic is NaN in every resample.")
    # Order statistics, not interpolated: between a number and infinity there is no line.
    low, high = (known[round((known.size - 1) * q)] for q in ((1 - level) / 2, (1 + level) / 2))
    return Interval(estimate, float(low), float(high))


def _rows(groups: Any, count: int) -> list[np.ndarray]:
    """The rows of each unit that is drawn."""
    if groups is None:
        return [np.array([n]) for n in range(count)]
    names = np.asarray(groups)
    if names.shape != (count,):
        raise ValueError(f"groups names the patient of each of the {count} cases, but has the shape {names.shape}.")
    return [np.flatnonzero(names == name) for name in np.unique(names)]
