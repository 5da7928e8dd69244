"""The best single intensity interval: the floor that any segmentation has to clear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class BestThreshold(NamedTuple):
    """Voxels with low <= intensity <= high; `dice` is theirs on the data on which the interval was chosen."""

    low: float
    high: float
    dice: float

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The boolean mask of an image."""
        return (image >= self.low) & (image <= self.high)


def best_threshold(image: np.ndarray, mask: np.ndarray, levels: int = 4096) -> BestThreshold:
    """The intensity interval whose voxels have the greatest Dice with `mask`.

    Exact for integer images that span fewer than 65536 values. Others are divided into `levels` steps between their
    extremes, and the interval is the best that begins and ends at a step.

    Dice = 2 F / (A + P), with F the mask's voxels in the interval, A all voxels in it and P the mask's size, is a ratio
    of sums over the interval; Dinkelbach's iteration (Management Science 13, 1967) turns it into a few searches for the
    run of levels with the greatest sum of 2 f - dice * a.
    """
    if image.shape != mask.shape:
        raise ValueError(f"image {image.shape} and mask {mask.shape} differ in shape.")
    inside = np.asarray(mask) != 0
    total = int(np.count_nonzero(inside))
    if total == 0:
        raise ValueError("the mask is empty, so no threshold is better than another.")
    if not np.isfinite(image).all():
        raise ValueError("the image holds NaN or infinity.")
    level, count = _levels(image, levels)
    everything = np.bincount(level.ravel(), minlength=count).astype(np.float64)
    wanted = np.bincount(level[inside], minlength=count).astype(np.float64)
    dice, first, last = 0.0, 0, count - 1
    while True:
        begin, end = _best_run(2 * wanted - dice * everything)
        better = 2 * wanted[begin : end + 1].sum() / (everything[begin : end + 1].sum() + total)
        if better <= dice:
            chosen = image[(level >= first) & (level <= last)]
            return BestThreshold(float(chosen.min()), float(chosen.max()), float(dice))
        dice, first, last = better, begin, end


def _levels(image: np.ndarray, levels: int) -> tuple[np.ndarray, int]:
    """The level of each voxel, rising with intensity, and the number of levels."""
    low, high = image.min(), image.max()
    if image.dtype.kind in "biu" and int(high) - int(low) < 65536:
        return image.astype(np.int32) - int(low), int(high) - int(low) + 1
    step = (float(high) - float(low)) / levels or 1.0
    level = ((image - low) / image.dtype.type(step)).astype(np.int32)
    return np.minimum(level, levels - 1), levels


def _best_run(gain: np.ndarray) -> tuple[int, int]:
    """First and last index of the run with the greatest sum; the shortest of several."""
    sums = np.concatenate([[0.0], np.cumsum(gain)])
    lowest = np.minimum.accumulate(sums[:-1])
    end = int(np.argmax(sums[1:] - lowest))
    before = sums[: end + 1]
    begin = int(np.flatnonzero(before == before.min())[-1])
    return begin, end
