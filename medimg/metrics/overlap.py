"""Overlap of masks and label maps, and volumes.

Both empty: two segmentations that agree that a structure is absent score `empty`, 1.0 unless another value is asked for
(NaN, to leave such cases out of a mean, must be asked for). One empty: 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def dice(prediction: np.ndarray, reference: np.ndarray, label: int | None = None, empty: float = 1.0) -> float:
    """Dice coefficient 2|A and B| / (|A| + |B|) of one label, or of all that is not 0 (`label=None`); 0 to 1."""
    a, b, both = _sizes(prediction, reference, label)
    return 2 * both / (a + b) if a + b else empty


def iou(prediction: np.ndarray, reference: np.ndarray, label: int | None = None, empty: float = 1.0) -> float:
    """Intersection over union (Jaccard index) of one label, or of all that is not 0 (`label=None`); 0 to 1."""
    a, b, both = _sizes(prediction, reference, label)
    return both / (a + b - both) if a + b else empty


def volume_similarity(
    prediction: np.ndarray, reference: np.ndarray, label: int | None = None, empty: float = 1.0
) -> float:
    """1 - ||A| - |B|| / (|A| + |B|), 0 to 1 (Taha and Hanbury, BMC Medical Imaging 15, 2015); place does not count."""
    a, b, _ = _sizes(prediction, reference, label)
    return 1.0 - abs(a - b) / (a + b) if a + b else empty


def volume_ml(labels: np.ndarray, spacing: Sequence[float], label: int | None = None) -> float:
    """Volume in millilitres of one label, or of all that is not 0, for voxel edges in mm."""
    if len(spacing) != labels.ndim or min(spacing) <= 0:
        raise ValueError(f"spacing must be {labels.ndim} positive lengths in mm, not {tuple(spacing)}.")
    voxels = np.count_nonzero(labels if label is None else labels == label)
    return float(voxels * np.prod(np.asarray(spacing, dtype=np.float64)) / 1000.0)


def overlap_counts(prediction: np.ndarray, reference: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Voxels of each label in the prediction, in the reference, and in both: (len(labels), 3) int64, in one pass."""
    from medimg.metrics import kernels

    check_same_shape(prediction, reference)
    a, b = _integers(prediction), _integers(reference)
    low = int(min(a.min(), b.min(), 0)) if a.size else 0
    high = int(max(a.max(), b.max(), 0)) if a.size else 0
    if high - low > 1 << 24:
        raise ValueError(f"labels from {low} to {high} are too far apart to be a label map.")
    row_of = np.full(high - low + 1, -1, dtype=np.int64)
    for row, value in enumerate(labels):
        if low <= value <= high:
            row_of[value - low] = row
    counts = np.zeros((len(labels), 3), dtype=np.int64)
    kernels.count_overlap(a, b, row_of, low, counts)
    return counts


def check_same_shape(prediction: np.ndarray, reference: np.ndarray) -> None:
    """Refuse to compare arrays that are not on one grid."""
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction {prediction.shape} and reference {reference.shape} differ in shape; "
            "bring them to one grid first (medimg.transforms.resample_to with label=True)."
        )


def _sizes(prediction: np.ndarray, reference: np.ndarray, label: int | None) -> tuple[int, int, int]:
    check_same_shape(prediction, reference)
    a = prediction != 0 if label is None else prediction == label
    b = reference != 0 if label is None else reference == label
    return int(np.count_nonzero(a)), int(np.count_nonzero(b)), int(np.count_nonzero(a & b))


def _integers(labels: np.ndarray) -> np.ndarray[Any, Any]:
    """Flat labels as uint8 or int32, the types the kernel is compiled for."""
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        raise ValueError("a label map holds whole numbers; this one has fractions.")
    small = labels.dtype == np.uint8 or labels.dtype == np.bool_
    return np.ascontiguousarray(labels, dtype=np.uint8 if small else np.int32).ravel()
