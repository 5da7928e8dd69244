"""Whether a probability means what it says."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Reliability(NamedTuple):
    """A reliability diagram: per bin its edges, the cases in it, their mean confidence, and the share that was true.

    An empty bin has confidence and accuracy NaN and weighs nothing.
    """

    edges: np.ndarray
    cases: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def expected_error(self) -> float:
        """ECE: mean over the cases of |accuracy - confidence| of their bin."""
        full = self.cases > 0
        gap = np.abs(self.accuracy[full] - self.confidence[full])
        return float((gap * self.cases[full]).sum() / self.cases.sum())

    @property
    def largest_error(self) -> float:
        """MCE: the largest |accuracy - confidence| of a bin."""
        full = self.cases > 0
        return float(np.abs(self.accuracy[full] - self.confidence[full]).max())


def reliability(confidence: Any, correct: Any, bins: int = 15, equal_count: bool = False) -> Reliability:
    """Reliability of `confidence` (0 to 1) about `correct` (0 or 1), any equal shapes (Guo et al., ICML 2017).

    For one class pass its probability and whether it is there; for several pass the largest probability and whether its
    class is right. Bins are (low, high], the first with its low edge, of equal width, or with `equal_count` of equally
    many cases (Nguyen and O'Connor 2015; ties stay together).
    """
    p, hit = np.asarray(confidence, np.float64).ravel(), np.asarray(correct).ravel()
    if p.shape != hit.shape or p.size == 0:
        raise ValueError(f"there are {p.size} confidences for {hit.size} outcomes; both must be equal and not 0.")
    if not ((p >= 0) & (p <= 1)).all() or not np.isin(hit, (0, 1)).all():
        raise ValueError("a confidence lies between 0 and 1, and an outcome is 0 or 1.")
    if bins < 1:
        raise ValueError(f"there must be at least one bin, not {bins}.")
    edges = np.linspace(0, 1, bins + 1)
    if equal_count:
        edges = np.unique(np.concatenate([[0.0], np.quantile(p, edges[1:-1], method="inverted_cdf"), [1.0]]))
    n = len(edges) - 1
    place = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, n - 1)
    count = np.bincount(place, minlength=n)
    weight = np.where(count > 0, count, np.nan)
    return Reliability(edges, count, np.bincount(place, p, n) / weight, np.bincount(place, hit, n) / weight)


def expected_calibration_error(confidence: Any, correct: Any, bins: int = 15, equal_count: bool = False) -> float:
    """ECE of `reliability`: 0 where confidence and accuracy agree in every bin."""
    return reliability(confidence, correct, bins, equal_count).expected_error


def brier_score(confidence: Any, correct: Any) -> float:
    """Mean squared difference of probability and outcome (Brier 1950): 0 best, 1/4 for always saying 1/2."""
    p, hit = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if p.shape != hit.shape or p.size == 0:
        raise ValueError(f"there are {p.size} confidences for {hit.size} outcomes; both must be equal and not 0.")
    return float(((p - hit) ** 2).mean())
