"""Detection of boxes: average precision per class and threshold, as COCO counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medimg.boxes import box_iou


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image: (N, 2 n) starts and stops, classes (N,), and scores (N,) for detections."""

    boxes: Any
    classes: Any
    scores: Any = field(default=None)


def mean_average_precision(
    detections: Sequence[Boxes], truths: Sequence[Boxes], iou: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5)
) -> dict[str, Any]:
    """Mean average precision over classes and thresholds of intersection over union; one `Boxes` an image.

    Per class and threshold, detections of all images are taken by falling score; each hits the free box of its class
    and image with the greatest overlap, if that is at least the threshold, otherwise it is false. Average precision is
    the mean of the highest precision at or beyond 101 levels of recall (COCO; Lin et al., ECCV 2014). Only classes that
    the truths hold are averaged; a class in which nothing is found counts 0.

    Returns "map", "ap" {(class, threshold): value} and "recall" with the same keys.
    """
    if len(detections) != len(truths):
        raise ValueError(f"there are detections of {len(detections)} images and truths of {len(truths)}.")
    classes = sorted({int(c) for truth in truths for c in np.asarray(truth.classes).ravel()})
    if not classes:
        raise ValueError("the truths hold no box, so there is nothing to find.")
    result, recalls = {}, {}
    for name in classes:
        for limit in iou:
            result[name, limit], recalls[name, limit] = _average_precision(detections, truths, name, limit)
    return {"map": float(np.mean(list(result.values()))), "ap": result, "recall": recalls}


def _average_precision(
    detections: Sequence[Boxes], truths: Sequence[Boxes], name: int, limit: float
) -> tuple[float, float]:
    scores: list[float] = []
    hits: list[bool] = []
    count = 0
    for found, truth in zip(detections, truths):
        true = _of_class(truth, name)[0]
        boxes, values = _of_class(found, name)
        count += len(true)
        order = np.argsort(-values, kind="stable")
        share = box_iou(boxes[order], true) if len(boxes) and len(true) else np.zeros((len(boxes), len(true)))
        free = np.ones(len(true), bool)
        for row, score in zip(share, values[order]):
            open_share = np.where(free, row, -1.0)
            best = int(open_share.argmax()) if len(true) else -1
            hit = best >= 0 and open_share[best] >= limit
            if hit:
                free[best] = False
            scores.append(float(score))
            hits.append(bool(hit))
    by_score = np.argsort(-np.asarray(scores), kind="stable")
    right = np.cumsum(np.asarray(hits, float)[by_score])
    if right.size == 0:
        return 0.0, 0.0
    recall, precision = right / count, right / np.arange(1, right.size + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-12, side="left")
    return float(np.append(envelope, 0.0)[place].mean()), float(recall[-1])


def _of_class(image: Boxes, name: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.asarray(image.classes).ravel() == name
    if image.scores is None:
        values = np.ones(int(chosen.sum()))
    else:
        values = np.asarray(image.scores, np.float64).ravel()[chosen]
    boxes = np.asarray(image.boxes, np.float64)
    return (boxes[chosen] if chosen.any() else np.zeros((0, 6))), values
