"""Counting things instead of voxels: lesion-wise scores and panoptic quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medimg.metrics.overlap import check_same_shape


@dataclass(frozen=True)
class Matching:
    """Things of a prediction matched one to one with those of a reference.

    `pairs` are their numbers (prediction, reference), `iou` the intersection over union of each pair. Where neither has
    any thing all scores are 1; where one has none they are 0.
    """

    pairs: tuple[tuple[int, int], ...]
    iou: tuple[float, ...]
    predicted: int
    true: int

    @property
    def tp(self) -> int:
        """Matched things."""
        return len(self.pairs)

    @property
    def fp(self) -> int:
        """Predicted things that match nothing."""
        return self.predicted - self.tp

    @property
    def fn(self) -> int:
        """Things of the reference that nothing matches."""
        return self.true - self.tp

    @property
    def sensitivity(self) -> float:
        """Share of the reference's things that were found; 1 where there is none and none was invented."""
        return self.tp / self.true if self.true else float(self.predicted == 0)

    @property
    def precision(self) -> float:
        """Share of the predicted things that are there; 1 where none was predicted and none missed."""
        return self.tp / self.predicted if self.predicted else float(self.true == 0)

    @property
    def f1(self) -> float:
        """Recognition quality: 2 TP / (2 TP + FP + FN)."""
        things = self.predicted + self.true
        return 2 * self.tp / things if things else 1.0

    @property
    def segmentation_quality(self) -> float:
        """Mean intersection over union of the pairs; without pairs 1 where there is nothing, else 0."""
        return float(np.mean(self.iou)) if self.iou else float(self.predicted + self.true == 0)

    @property
    def panoptic_quality(self) -> float:
        """Segmentation quality times recognition quality (Kirillov et al., CVPR 2019)."""
        return self.segmentation_quality * self.f1


def match_things(prediction: np.ndarray, reference: np.ndarray, iou: float = 0.5) -> Matching:
    """Match the things of two maps in which each thing has a number of its own and background is 0.

    A pair needs an intersection over union above `iou`. Above 0.5 such pairs are unique; for lower limits the
    assignment with the most pairs, and among those the greatest sum of intersection over union, is taken.
    """
    check_same_shape(prediction, reference)
    if not 0 <= iou < 1:
        raise ValueError(f"the least intersection over union lies between 0 and 1, not {iou}.")
    names_a, a = np.unique(prediction, return_inverse=True)
    names_b, b = np.unique(reference, return_inverse=True)
    table = np.bincount(a.ravel() * len(names_b) + b.ravel(), minlength=len(names_a) * len(names_b))
    table = table.reshape(len(names_a), len(names_b)).astype(np.float64)
    union = table.sum(1)[:, None] + table.sum(0)[None] - table
    share = np.where(union > 0, table / np.maximum(union, 1), 0.0)[names_a != 0][:, names_b != 0]
    names_a, names_b = names_a[names_a != 0], names_b[names_b != 0]
    pairs = _assign(share, iou)
    numbered = tuple((int(names_a[i]), int(names_b[j])) for i, j in pairs)
    return Matching(numbered, tuple(float(share[i, j]) for i, j in pairs), len(names_a), len(names_b))


def match_lesions(
    prediction: np.ndarray,
    reference: np.ndarray,
    label: int | None = None,
    iou: float = 0.1,
    connectivity: int | None = None,
) -> Matching:
    """Match the connected components of one label, or of all that is not 0.

    `iou` is the least intersection over union of a hit; 0 accepts any overlap. `connectivity` says which voxels touch:
    1 across faces, 2 also edges, 3 also corners (None: all). A component hits one lesion at most, and the other way
    round, so one large prediction over five lesions is one hit.
    """
    from medimg.postprocess import connected_components

    masks = [array != 0 if label is None else array == label for array in (prediction, reference)]
    a, b = (connected_components(mask, connectivity)[0] for mask in masks)
    return match_things(a, b, iou)


def _assign(share: np.ndarray, least: float) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    allowed = share > least
    if not allowed.any():
        return []
    # One more pair outweighs any sum of shares.
    rows, columns = linear_sum_assignment(np.where(allowed, share + min(share.shape), 0.0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns) if allowed[i, j]]
