"""The confusion set of a yes-or-no question, and Cohen's kappa.

A ratio that has nothing to judge by (sensitivity without a positive case, precision without a positive answer) is 1
where nothing is wrong at all and 0 otherwise: a missed structure has precision 0, an absent one that nobody invented 1.
So no value is NaN, and none drops out of a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medimg.metrics.overlap import check_same_shape


@dataclass(frozen=True)
class Confusion:
    """Counts of true and false positives and negatives, and the measures made of them."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> float:
        """Recall, true positive rate: TP / (TP + FN)."""
        return _ratio(self.tp, self.tp + self.fn, self.fp)

    @property
    def specificity(self) -> float:
        """True negative rate: TN / (TN + FP)."""
        return _ratio(self.tn, self.tn + self.fp, self.fn)

    @property
    def precision(self) -> float:
        """Positive predictive value: TP / (TP + FP)."""
        return _ratio(self.tp, self.tp + self.fp, self.fn)

    @property
    def negative_predictive_value(self) -> float:
        """TN / (TN + FN)."""
        return _ratio(self.tn, self.tn + self.fn, self.fp)

    @property
    def false_positive_rate(self) -> float:
        """1 - specificity."""
        return 1.0 - self.specificity

    @property
    def false_negative_rate(self) -> float:
        """1 - sensitivity."""
        return 1.0 - self.sensitivity

    @property
    def false_discovery_rate(self) -> float:
        """1 - precision."""
        return 1.0 - self.precision

    @property
    def false_omission_rate(self) -> float:
        """1 - negative predictive value."""
        return 1.0 - self.negative_predictive_value

    @property
    def accuracy(self) -> float:
        """Share of right answers; 1 where there is none to give."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn, 0)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def f1(self) -> float:
        """Dice: the harmonic mean of precision and sensitivity."""
        return self.f_beta(1.0)

    def f_beta(self, beta: float) -> float:
        """F-measure that holds sensitivity `beta` times as important as precision (van Rijsbergen 1979)."""
        square = beta * beta
        return _ratio((1 + square) * self.tp, (1 + square) * self.tp + square * self.fn + self.fp, 0)

    @property
    def threat_score(self) -> float:
        """Jaccard index, critical success index: TP / (TP + FN + FP)."""
        return _ratio(self.tp, self.tp + self.fn + self.fp, 0)

    @property
    def matthews(self) -> float:
        """Matthews correlation coefficient, -1 to 1 (1975)."""
        tp, fp, tn, fn = (float(n) for n in (self.tp, self.fp, self.tn, self.fn))
        root = math.sqrt(tp + fp) * math.sqrt(tp + fn) * math.sqrt(tn + fp) * math.sqrt(tn + fn)
        if root == 0:
            return 1.0 if self.fp + self.fn == 0 else 0.0
        return (tp * tn - fp * fn) / root

    @property
    def fowlkes_mallows(self) -> float:
        """Geometric mean of precision and sensitivity."""
        return math.sqrt(self.precision * self.sensitivity)

    @property
    def informedness(self) -> float:
        """Youden's J: sensitivity + specificity - 1."""
        return self.sensitivity + self.specificity - 1.0

    @property
    def markedness(self) -> float:
        """Precision + negative predictive value - 1."""
        return self.precision + self.negative_predictive_value - 1.0

    @property
    def prevalence_threshold(self) -> float:
        """The prevalence below which precision falls fastest (Balayla 2020): sqrt(FPR) / (sqrt(TPR) + sqrt(FPR))."""
        false = math.sqrt(self.false_positive_rate)
        true = math.sqrt(self.sensitivity)
        return false / (true + false) if true + false else 0.0


def confusion(prediction: Any, reference: Any, label: int | None = None) -> Confusion:
    """Confusion set of two masks, or of two label maps for one label, or for all that is not 0 (`label=None`)."""
    a, b = np.asarray(prediction), np.asarray(reference)
    check_same_shape(a, b)
    a = a != 0 if label is None else a == label
    b = b != 0 if label is None else b == label
    positive, true = int(np.count_nonzero(a)), int(np.count_nonzero(b))
    both = int(np.count_nonzero(a & b))
    return Confusion(both, positive - both, a.size - positive - true + both, true - both)


def confusion_matrix(prediction: Any, reference: Any, labels: Sequence[int]) -> np.ndarray:
    """Counts (len(labels), len(labels)) int64: row the reference's label, column the prediction's.

    Values outside `labels` are refused: a matrix that leaves cases out misleads.
    """
    a, b = np.asarray(prediction).ravel(), np.asarray(reference).ravel()
    check_same_shape(a, b)
    order = np.argsort(labels, kind="stable")
    ranked = np.asarray(labels)[order]
    codes = []
    for values in (b, a):
        place = np.minimum(np.searchsorted(ranked, values), len(ranked) - 1)
        wrong = ranked[place] != values
        if wrong.any():
            raise ValueError(f"the value {values[wrong][0]} is not among the labels {list(labels)}.")
        codes.append(order[place])
    n = len(ranked)
    return np.bincount(codes[0] * n + codes[1], minlength=n * n).reshape(n, n).astype(np.int64)


def cohen_kappa(first: Any, second: Any, labels: Sequence[int] | None = None, weights: str | None = None) -> float:
    """Agreement of two raters beyond chance (Cohen 1960; weighted: 1968), -1 to 1.

    `weights` of a disagreement between the i-th and j-th label: None (1), "linear" (|i - j|) or "quadratic". Two raters
    who give one and the same label to all cases agree: 1.
    """
    if weights not in (None, "linear", "quadratic"):
        raise ValueError(f"weights must be None, 'linear' or 'quadratic', got {weights!r}")
    a, b = np.asarray(first), np.asarray(second)
    if a.size == 0:
        raise ValueError("there is no case to agree about.")
    names = np.union1d(a, b).tolist() if labels is None else list(labels)
    table = confusion_matrix(a, b, names).astype(np.float64)
    gap = np.abs(np.subtract.outer(np.arange(len(names)), np.arange(len(names)))).astype(np.float64)
    cost = {None: (gap > 0).astype(np.float64), "linear": gap, "quadratic": gap * gap}[weights]
    expected = float((cost * np.outer(table.sum(1), table.sum(0))).sum() / table.sum())
    return 1.0 - float((cost * table).sum()) / expected if expected else 1.0


def _ratio(part: float, whole: float, wrong: float) -> float:
    if whole:
        return part / whole
    return 1.0 if wrong == 0 else 0.0
