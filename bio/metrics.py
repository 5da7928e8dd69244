"""How good answers about sequences are: ranking, agreement, correlation, calibration, with bootstrap intervals.

Arrays are NumPy's; `truth` holds classes or values, `score` what a model says. Positive is 1, negative 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bio.errors import SequenceError

Numbers = NDArray[np.float64]


def roc_curve(truth: ArrayLike, score: ArrayLike) -> tuple[Numbers, Numbers]:
    """False and true positive rates at every threshold, from (0, 0) to (1, 1)."""
    wrong, right = _counts(truth, score)
    return np.r_[0, wrong / wrong[-1]], np.r_[0, right / right[-1]]


def auroc(truth: ArrayLike, score: ArrayLike) -> float:
    """The area under the ROC curve: how often a positive scores above a negative, ties counted half."""
    false, true = roc_curve(truth, score)
    return float(((false[1:] - false[:-1]) * (true[1:] + true[:-1])).sum() / 2)


def precision_recall_curve(truth: ArrayLike, score: ArrayLike) -> tuple[Numbers, Numbers]:
    """Precision and recall at every threshold, from the highest down."""
    wrong, right = _counts(truth, score)
    return right / (right + wrong), right / right[-1]


def auprc(truth: ArrayLike, score: ArrayLike) -> float:
    """Average precision: the area under the precision-recall curve in steps, without interpolation."""
    precision, recall = precision_recall_curve(truth, score)
    return float((np.diff(recall, prepend=0) * precision).sum())


def accuracy(truth: ArrayLike, answer: ArrayLike) -> float:
    """The share of equal classes. On residues of three states it is Q3, on those of eight Q8."""
    first, second = _pair(truth, answer)
    return float((first == second).mean())


def q_score(truth: ArrayLike, answer: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Q3 or Q8: the share of residues (N, L), or those where `mask` is true, whose state is right."""
    if mask is None:
        return accuracy(truth, answer)
    real = np.asarray(mask, bool)
    return accuracy(np.asarray(truth)[real], np.asarray(answer)[real])


def matthews(truth: ArrayLike, answer: ArrayLike) -> float:
    """Matthews's correlation of classes, two or more (Gorodkin 2004); 0 where one side has a single class."""
    table = _confusion(truth, answer)
    total, right = table.sum(), np.trace(table)
    rows, columns = table.sum(1), table.sum(0)
    scale = np.sqrt((total**2 - (rows**2).sum()) * (total**2 - (columns**2).sum()))
    return float((right * total - rows @ columns) / scale) if scale else 0.0


def f1(truth: ArrayLike, answer: ArrayLike, average: str = "macro") -> float:
    """F1 of classes: the mean over classes ("macro"), or that of class 1 ("binary")."""
    if average not in ("macro", "binary"):
        raise SequenceError(f"average is 'macro' or 'binary', got {average!r}")
    first, second = _pair(truth, answer)
    classes = np.union1d(first, second) if average == "macro" else np.array([1])
    values = []
    for each in classes:
        both = ((first == each) & (second == each)).sum()
        either = (first == each).sum() + (second == each).sum()
        values.append(2 * both / either if either else 0.0)
    return float(np.mean(values))


def top_k(truth: ArrayLike, scores: ArrayLike, k: int = 5) -> float:
    """The share of rows of scores (N, classes) whose k highest hold the true class; the earlier class wins ties."""
    classes, table = np.asarray(truth), np.asarray(scores, float)
    if table.ndim != 2 or len(classes) != len(table) or not 1 <= k <= table.shape[1]:
        raise SequenceError(f"expected scores (N, classes) and k of at most classes, got {table.shape} and k={k}")
    best = np.argsort(-table, 1, kind="stable")[:, :k]
    return float((best == classes[:, None]).any(1).mean())


def top_k_positions(truth: ArrayLike, score: ArrayLike) -> float:
    """SpliceAI's top-k accuracy: the share of true positions among the k highest scores, k being how many are true."""
    real, value = _pair(truth, score)
    count = int((real == 1).sum())
    if not count:
        raise SequenceError("top-k accuracy needs at least one positive")
    return float((real[np.argsort(-value, kind="stable")[:count]] == 1).mean())


def pearson(truth: ArrayLike, score: ArrayLike) -> float:
    """Pearson's correlation; NaN where one side is constant."""
    first, second = (side.astype(float) - side.mean() for side in _pair(truth, score))
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale else float("nan")


def spearman(truth: ArrayLike, score: ArrayLike) -> float:
    """Spearman's correlation: Pearson's of ranks, ties at their mean rank."""
    from scipy.stats import rankdata

    first, second = _pair(truth, score)
    return pearson(rankdata(first), rankdata(second))


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of confidence: mean confidence, share that is right, and how many."""

    confidence: Numbers
    accuracy: Numbers
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini et al. 2015; Guo et al. 2017)."""
        return float((self.count * abs(self.confidence - self.accuracy)).sum() / self.count.sum())


def reliability(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> Reliability:
    """Bins of equal width that hold anything; of probabilities of class 1 (N,), or of the best class (N, classes)."""
    given, chance = np.asarray(truth), np.asarray(probability, float)
    if len(given) != len(chance) or not len(given) or not ((chance >= 0) & (chance <= 1)).all():
        raise SequenceError("calibration needs as many probabilities, between 0 and 1, as classes")
    if chance.ndim == 2:
        right, chance = chance.argmax(1) == given, chance.max(1)
    else:
        right = given == 1
    place = np.minimum((chance * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    means = [np.bincount(place, values, bins)[held] / count[held] for values in (chance, right.astype(float))]
    return Reliability(means[0], means[1], count[held])


def calibration_error(truth: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """The expected calibration error: see `reliability`."""
    return reliability(truth, probability, bins).error


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(
    metric: Callable[..., float],
    truth: ArrayLike,
    score: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The metric and its percentile interval (Efron 1979) over `samples` draws of rows with replacement.

    Rows of one group (a chain, a patient, a cluster) are drawn together. Draws on which the metric is not defined, as
    auROC of one class, are left out; SequenceError where most are.
    """
    if samples < 2 or not 0 < level < 1:
        raise SequenceError(f"a bootstrap needs two samples and a level within 0 and 1, got {samples} and {level}")
    given, values = np.asarray(truth), np.asarray(score)
    names = np.arange(len(given)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.argsort(names, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(names[order])) + 1)
    stream, found = np.random.default_rng(seed), []
    for _ in range(samples):
        drawn = np.concatenate([rows[i] for i in stream.integers(0, len(rows), len(rows))])
        try:
            found.append(metric(given[drawn], values[drawn]))
        except SequenceError:
            continue
    finite: Any = [value for value in found if np.isfinite(value)]
    if 2 * len(finite) < samples:
        raise SequenceError("the metric is not defined on most draws: there are too few rows of one class")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(metric(given, values), float(low), float(high))


def _pair(truth: ArrayLike, other: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second = np.asarray(truth).ravel(), np.asarray(other).ravel()
    if len(first) != len(second) or not len(first):
        raise SequenceError(f"expected two arrays of the same size, got {len(first)} and {len(second)} values")
    return first, second


def _counts(truth: ArrayLike, score: ArrayLike) -> tuple[Numbers, Numbers]:
    """Negatives and positives at or above each distinct score, highest first."""
    real, value = _pair(truth, score)
    if set(np.unique(real).tolist()) != {0, 1}:
        raise SequenceError("this needs both classes, 0 and 1, in truth")
    if not np.isfinite(value.astype(float)).all():
        raise SequenceError("scores must be finite numbers")
    order = np.argsort(-value.astype(float), kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(value[order])), len(value) - 1]
    right = np.cumsum(real[order].astype(float))[ends]
    return ends + 1 - right, right


def _confusion(truth: ArrayLike, answer: ArrayLike) -> Numbers:
    first, second = _pair(truth, answer)
    classes = np.union1d(first, second)
    places = np.searchsorted(classes, first) * len(classes) + np.searchsorted(classes, second)
    return np.bincount(places, minlength=len(classes) ** 2).reshape(len(classes), -1).astype(float)
