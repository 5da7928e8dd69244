"""Intensity maps: clip, window, normalise. Each is affine inside its clipping range, so each records how to go back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medimg.transforms.base import Applied, Transform
from medimg.transforms.grid import Grid, derive

if TYPE_CHECKING:
    from medimg.volume import Volume


class IntensityStatistics(NamedTuple):
    """Statistics of one channel's voxels, as nnU-Net's fingerprint takes them of the foreground (HU for CT)."""

    mean: float
    std: float
    low: float
    high: float


def intensity_statistics(
    array: np.ndarray, mask: np.ndarray | None = None, percentiles: tuple[float, float] = (0.5, 99.5)
) -> IntensityStatistics:
    """Mean, standard deviation and two percentiles of an image, or of its voxels in `mask`."""
    values = array[mask] if mask is not None else array.ravel()
    if values.size == 0:
        raise ValueError("there is no voxel to take statistics of: the mask is empty.")
    low, high = np.percentile(values, percentiles)
    return IntensityStatistics(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)), low, high)


def clip_intensity(volume: Volume, low: float, high: float) -> Volume:
    """Values below `low` become `low`, above `high` become `high`; float32."""
    if not low < high:
        raise ValueError(f"a clipping range needs low < high, not {low} and {high}.")
    array = np.clip(_float(volume.array), np.float32(low), np.float32(high))
    return derive(volume, array, note=f"clipped to {low:.6g}..{high:.6g}")


def window(volume: Volume, low: float, high: float) -> Volume:
    """Clip to low..high and map that range to 0..1, as a display window does; float32 without units."""
    clipped = clip_intensity(volume, low, high)
    array = (clipped.array - np.float32(low)) / np.float32(high - low)
    return derive(clipped, array, units="normalised", note="scaled to 0..1")


def normalize_intensity(volume: Volume, mean: float | None = None, std: float | None = None) -> Volume:
    """(value - mean) / std, with the given statistics or, where None, the volume's own; float32 without units.

    A constant volume (std 0) becomes 0 everywhere.
    """
    array = _float(volume.array)
    mean, std = _moments(array, mean, std)
    result = (array - np.float32(mean)) * np.float32(1.0 / std)
    return derive(volume, result, units="normalised", note=f"normalised by mean {mean:.6g}, std {std:.6g}")


class ClipIntensity(Transform):
    """`clip_intensity` as a transform; what was clipped stays clipped when undone."""

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"a clipping range needs low < high, not {low} and {high}.")
        self.low = low
        self.high = high

    def apply(self, volume: Volume) -> Applied:
        return Applied(clip_intensity(volume, self.low, self.high), Grid.of(volume))


class ClipPercentiles(Transform):
    """Clip to two percentiles of the volume itself (MR, where values have no absolute scale)."""

    def __init__(self, low: float = 0.5, high: float = 99.5) -> None:
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles need 0 <= low < high <= 100, not {low} and {high}.")
        self.low = low
        self.high = high

    def apply(self, volume: Volume) -> Applied:
        low, high = np.percentile(volume.array, (self.low, self.high))
        if low == high:  # nearly all voxels have one value: there is no range to clip to
            return Applied(volume, Grid.of(volume))
        return Applied(clip_intensity(volume, float(low), float(high)), Grid.of(volume))


class Window(Transform):
    """`window` as a transform."""

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"a window needs low < high, not {low} and {high}.")
        self.low = low
        self.high = high

    def apply(self, volume: Volume) -> Applied:
        scaled = window(volume, self.low, self.high)
        return Applied(scaled, Grid.of(volume), ((float(self.high - self.low), float(self.low)),))


class NormalizeIntensity(Transform):
    """`normalize_intensity` as a transform: given statistics for CT, the volume's own where None."""

    def __init__(self, mean: float | None = None, std: float | None = None) -> None:
        if std is not None and not std > 0:
            raise ValueError(f"a standard deviation must be positive, not {std}.")
        self.mean = mean
        self.std = std

    def apply(self, volume: Volume) -> Applied:
        mean, std = _moments(_float(volume.array), self.mean, self.std)
        return Applied(normalize_intensity(volume, mean, std), Grid.of(volume), ((std, mean),))


def _float(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float32)


def _moments(array: np.ndarray, mean: float | None, std: float | None) -> tuple[float, float]:
    centre = float(array.mean(dtype=np.float64)) if mean is None else float(mean)
    width = float(array.std(dtype=np.float64)) if std is None else float(std)
    if std is None and width <= 1e-12 * max(abs(centre), 1.0):
        width = 1.0
    if not width > 0:
        raise ValueError(f"a standard deviation must be positive, not {std}.")
    return centre, width
