"""Boxes around structures: arrays (N, 2 n) of n starts, then n stops, in 2 or 3 dimensions.

Coordinates are continuous: the box of voxels 2, 3 and 4 is 2 to 5, and its edge 3 long. `to_start_stop` and
`from_start_stop` change from and to other orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MODES = ("start_stop", "interleaved", "start_size", "centre_size")
"""Orders for three axes: xyzxyz, xxyyzz, xyzwhd, cccwhd."""


def to_start_stop(boxes: Any, mode: str) -> np.ndarray:
    """Boxes (N, 2 n) in another order as starts and stops, float64."""
    array, n = _checked(boxes)
    if mode == "start_stop":
        return array
    if mode == "interleaved":
        return np.concatenate([array[:, 0::2], array[:, 1::2]], axis=1)
    first, size = array[:, :n], array[:, n:]
    if mode not in MODES:
        raise ValueError(f"no order {mode!r} of boxes; choose one of {', '.join(MODES)}.")
    if (size < 0).any():
        raise ValueError("a box has a negative size.")
    start = first - size / 2 if mode == "centre_size" else first
    return np.concatenate([start, start + size], axis=1)


def from_start_stop(boxes: Any, mode: str) -> np.ndarray:
    """Boxes of starts and stops in another order; the inverse of `to_start_stop`."""
    array, n = _checked(boxes)
    start, stop = array[:, :n], array[:, n:]
    if mode == "start_stop":
        return array
    if mode == "interleaved":
        return np.stack([start, stop], axis=2).reshape(len(array), 2 * n)
    if mode not in MODES:
        raise ValueError(f"no order {mode!r} of boxes; choose one of {', '.join(MODES)}.")
    first = (start + stop) / 2 if mode == "centre_size" else start
    return np.concatenate([first, stop - start], axis=1)


def box_volume(boxes: Any) -> np.ndarray:
    """Area (N,) of boxes in two dimensions, volume in three; 0 where a stop lies before its start."""
    array, n = _checked(boxes)
    return np.asarray(np.maximum(array[:, n:] - array[:, :n], 0).prod(axis=1))


def box_iou(first: Any, second: Any) -> np.ndarray:
    """Intersection over union (N, M) of every pair; 0 for two empty boxes."""
    intersection, union, _ = _pairs(first, second)
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def box_giou(first: Any, second: Any) -> np.ndarray:
    """Generalised intersection over union (N, M), -1 to 1 (Rezatofighi et al., CVPR 2019)."""
    intersection, union, hull = _pairs(first, second)
    iou = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou - np.divide(hull - union, hull, out=np.zeros_like(hull), where=hull > 0)


def clip_boxes(boxes: Any, size: Any) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to an image of `size` voxels, without those that lose all of it; and which were kept (N,)."""
    array, n = _checked(boxes)
    clipped = np.clip(array, 0, np.tile(np.asarray(size, np.float64), 2))
    kept = np.all(clipped[:, n:] > clipped[:, :n], axis=1)
    return clipped[kept], kept


def non_maximum_suppression(boxes: Any, scores: Any, iou: float = 0.5) -> np.ndarray:
    """Indices of the boxes kept, best score first: each is dropped that overlaps a better kept one by more than `iou`.

    Of equal scores the first box is the better.
    """
    array, _ = _checked(boxes)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[box_iou(array[best : best + 1], array[rest])[0] <= iou]
    return np.array(kept, dtype=np.int64)


def boxes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box of each label but 0 in a label map, (N, 2 n), and the labels (N,)."""
    values = np.unique(labels)
    values = values[values != 0]
    boxes = np.empty((len(values), 2 * labels.ndim))
    for row, value in enumerate(values):
        where = np.nonzero(labels == value)
        boxes[row] = [axis.min() for axis in where] + [axis.max() + 1 for axis in where]
    return boxes, values


def _pairs(first: Any, second: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volumes (N, M) of the intersection, the union and the hull of every pair."""
    a, n = _checked(first)
    b, m = _checked(second)
    if n != m:
        raise ValueError(f"boxes of {n} and of {m} dimensions have nothing in common.")
    low, high = np.maximum(a[:, None, :n], b[None, :, :n]), np.minimum(a[:, None, n:], b[None, :, n:])
    intersection = np.maximum(high - low, 0).prod(axis=2)
    least, most = np.minimum(a[:, None, :n], b[None, :, :n]), np.maximum(a[:, None, n:], b[None, :, n:])
    union = box_volume(a)[:, None] + box_volume(b)[None] - intersection
    return intersection, union, np.maximum(most - least, 0).prod(axis=2)


def _checked(boxes: Any) -> tuple[np.ndarray, int]:
    array = np.asarray(boxes, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] not in (4, 6):
        raise ValueError(f"boxes are (N, 4) or (N, 6), not {array.shape}.")
    return array, array.shape[1] // 2
