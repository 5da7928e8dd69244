"""Curves of scores against truth: ROC, precision and recall, FROC; tied scores are one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Points of a curve, one per distinct score from the highest down, after the point at which nothing is accepted."""

    x: np.ndarray
    y: np.ndarray
    threshold: np.ndarray


def roc_curve(scores: Any, truth: Any) -> Curve:
    """False (x) and true (y) positive rate of the cases that score at least a threshold."""
    threshold, tp, fp = _steps(scores, truth)
    if tp[-1] == 0 or fp[-1] == 0:
        raise ValueError("a ROC curve needs cases of both kinds.")
    return Curve(fp / fp[-1], tp / tp[-1], threshold)


def roc_auc(scores: Any, truth: Any) -> float:
    """Area under the ROC curve: the chance that a positive case outscores a negative one, ties counting half."""
    curve = roc_curve(scores, truth)
    return float(np.trapezoid(curve.y, curve.x))


def precision_recall_curve(scores: Any, truth: Any) -> Curve:
    """Recall (x) and precision (y); precision is 1 where nothing is accepted yet."""
    threshold, tp, fp = _steps(scores, truth)
    if tp[-1] == 0:
        raise ValueError("recall needs positive cases.")
    return Curve(tp / tp[-1], np.concatenate([[1.0], tp[1:] / (tp[1:] + fp[1:])]), threshold)


def average_precision(scores: Any, truth: Any) -> float:
    """Sum over the steps of (gain in recall) x precision: the area under the curve without interpolation."""
    curve = precision_recall_curve(scores, truth)
    return float((np.diff(curve.x) * curve.y[1:]).sum())


def froc_curve(false_scores: Any, hit_scores: Any, targets: int, images: int) -> Curve:
    """False positives per image (x) and sensitivity (y) of detections that score at least a threshold.

    Args:
        false_scores: scores of the detections that hit nothing, all images together.
        hit_scores: for each target that was hit, the highest score that hit it; missed targets have none.
        targets: all targets, hit or missed.
        images: all images, with and without targets.
    """
    false, hit = np.asarray(false_scores, np.float64).ravel(), np.asarray(hit_scores, np.float64).ravel()
    if targets < max(hit.size, 1) or images < 1:
        raise ValueError(f"{hit.size} hits need as many targets, at least 1, and an image; got {targets} and {images}.")
    scores = np.unique(np.concatenate([false, hit]))[::-1]
    x = np.concatenate([[0], [np.count_nonzero(false >= s) for s in scores]]) / images
    y = np.concatenate([[0], [np.count_nonzero(hit >= s) for s in scores]]) / targets
    return Curve(x, y, np.concatenate([[np.inf], scores]))


def froc_score(
    false_scores: Any,
    hit_scores: Any,
    targets: int,
    images: int,
    rates: Sequence[float] = (0.25, 0.5, 1, 2, 4, 8),
) -> float:
    """Mean sensitivity at the given false positives per image, linear between points (CAMELYON16; LUNA16 adds 1/8).

    Beyond the last false positive the sensitivity stays what it is.
    """
    x, y, _ = froc_curve(false_scores, hit_scores, targets, images)
    # Of several points with one number of false positives, the last has the highest sensitivity.
    last = np.append(np.flatnonzero(np.diff(x) > 0), len(x) - 1)
    return float(np.interp(rates, x[last], y[last]).mean())


def _steps(scores: Any, truth: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds from infinity down, and the true and false positives at or above each."""
    values = np.asarray(scores, dtype=np.float64).ravel()
    positive = np.asarray(truth).ravel()
    if values.shape != positive.shape or values.size == 0:
        raise ValueError(f"there are {values.size} scores for {positive.size} cases; both must be equal and not 0.")
    if np.isnan(values).any() or not np.isin(positive, (0, 1)).all():
        raise ValueError("scores are numbers, not NaN, and truth is 0 or 1.")
    order = np.argsort(-values, kind="stable")
    values, positive = values[order], positive[order].astype(np.int64)
    ends = np.append(np.flatnonzero(np.diff(values)), values.size - 1)
    tp = np.concatenate([[0], np.cumsum(positive)[ends]]).astype(np.float64)
    fp = np.concatenate([[0], ends + 1]) - tp
    return np.concatenate([[np.inf], values[ends]]), tp, fp
