"""Agreement of two measurements of the same cases, such as volumes by a reader and by a network."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from medimg.metrics.intervals import Interval


class BlandAltman(NamedTuple):
    """Limits of agreement: `bias` is the mean of first - second, the limits lie 1.96 standard deviations around it."""

    bias: Interval
    lower: Interval
    upper: Interval
    std: float
    mean: np.ndarray
    difference: np.ndarray


def bland_altman(first: Any, second: Any, level: float = 0.95, relative: bool = False) -> BlandAltman:
    """Limits of agreement of two measurements (N,) with confidence intervals (Bland and Altman 1986, 1999).

    `mean` and `difference` are the points of the diagram. `relative` gives differences in percent of the mean of both
    (a case with mean 0 differs by 0). Intervals are of Student's t; the variance of a limit is
    s^2 (1/N + 1.96^2 / (2 (N - 1))).
    """
    from scipy import stats

    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if a.shape != b.shape or a.size < 2:
        raise ValueError(f"limits of agreement need two measurements of at least 2 cases, not {a.size} and {b.size}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a measurement is NaN or infinite.")
    if not 0 < level < 1:
        raise ValueError(f"level lies between 0 and 1, not {level}.")
    mean, difference = (a + b) / 2, a - b
    if relative:
        difference = np.divide(100.0 * difference, mean, out=np.zeros_like(mean), where=mean != 0)
    n = a.size
    bias, std = float(difference.mean()), float(difference.std(ddof=1))
    t = float(stats.t.ppf((1 + level) / 2, n - 1))
    reach = t * std / math.sqrt(n)
    limit = t * std * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    low, high = bias - 1.96 * std, bias + 1.96 * std
    return BlandAltman(
        Interval(bias, bias - reach, bias + reach),
        Interval(low, low - limit, low + limit),
        Interval(high, high - limit, high + limit),
        std,
        mean,
        difference,
    )
