"""Distances between the surfaces of two masks.

One definition everywhere: the surface of a mask is its voxels that have a neighbour across a face outside the mask
(what lies outside the array is outside the mask); a surface voxel's distance is that of its centre, in mm, to the
nearest centre of a surface voxel of the other mask. This is the definition of MONAI and of Metrics Reloaded
(Maier-Hein et al., Nature Methods 21, 2024).

Both masks empty: perfect agreement, distances 0 and NSD 1. One empty: the structure was missed or invented, distances
are infinite and NSD is 0. Nothing is ever NaN, so no missed structure drops out of a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medimg.metrics.overlap import check_same_shape


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances in mm from each surface voxel of one mask to the other mask's surface, both ways.

    An empty mask has no surface voxels; the other mask's distances are then infinite.
    """

    to_reference: np.ndarray
    to_prediction: np.ndarray

    @property
    def hd(self) -> float:
        """Hausdorff distance: the largest distance of all."""
        return self.percentile(100.0)

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles."""
        return self.percentile(95.0)

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean over the surface voxels of both masks."""
        count = len(self.to_reference) + len(self.to_prediction)
        return float((self.to_reference.sum() + self.to_prediction.sum()) / count) if count else 0.0

    def percentile(self, q: float) -> float:
        """The larger of the two directed q-th percentiles (linear between ranks)."""
        if not 0 <= q <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not {q}.")
        return max(_percentile(self.to_reference, q), _percentile(self.to_prediction, q))

    def nsd(self, tolerance: float) -> float:
        """Normalised surface distance (surface Dice): the share of both surfaces within `tolerance` mm of the other."""
        if not tolerance >= 0:
            raise ValueError(f"a tolerance must not be negative, in mm, but is {tolerance}.")
        count = len(self.to_reference) + len(self.to_prediction)
        limit = tolerance * (1 + 1e-6)  # five voxels of 0.7 mm are within 3.5 mm, whatever rounding says
        near = np.count_nonzero(self.to_reference <= limit) + np.count_nonzero(self.to_prediction <= limit)
        return float(near / count) if count else 1.0


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], label: int | None = None
) -> SurfaceDistances:
    """Surface distances of one label, or of all that is not 0; 1 to 3 dimensions, `spacing` in mm.

    All the metrics below come from this; call it once where several are wanted.
    """
    check_same_shape(prediction, reference)
    if not 1 <= prediction.ndim <= 3:
        raise ValueError(f"surface distances are for 1 to 3 dimensions, not {prediction.ndim}.")
    if len(spacing) != prediction.ndim or min(spacing) <= 0:
        raise ValueError(f"spacing must be {prediction.ndim} positive lengths in mm, not {tuple(spacing)}.")
    a = prediction != 0 if label is None else prediction == label
    b = reference != 0 if label is None else reference == label
    box = _union_box(a, b)
    surface_a, surface_b = _surface(_cut(a, box)), _surface(_cut(b, box))
    if not surface_a.any() or not surface_b.any():
        return SurfaceDistances(*(np.full(np.count_nonzero(s), np.inf) for s in (surface_a, surface_b)))
    edges = np.array([1.0] * (3 - a.ndim) + list(spacing), dtype=np.float64)
    import framework

    with ThreadPoolExecutor(min(framework.get_num_threads(), 2)) as pool:
        there, back = pool.map(_distances, (surface_a, surface_b), (surface_b, surface_a), (edges, edges))
    return SurfaceDistances(there, back)


def hausdorff(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    label: int | None = None,
    percentile: float = 100.0,
) -> float:
    """Hausdorff distance in mm, or the larger of the two directed percentiles."""
    return surface_distances(prediction, reference, spacing, label).percentile(percentile)


def hd95(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], label: int | None = None) -> float:
    """Robust Hausdorff distance in mm: the larger of the two directed 95th percentiles."""
    return surface_distances(prediction, reference, spacing, label).hd95


def assd(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], label: int | None = None) -> float:
    """Average symmetric surface distance in mm."""
    return surface_distances(prediction, reference, spacing, label).assd


def nsd(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    tolerance: float,
    label: int | None = None,
) -> float:
    """Share (0 to 1) of both surfaces that lies within `tolerance` mm of the other (Nikolov et al., JMIR 23, 2021)."""
    return surface_distances(prediction, reference, spacing, label).nsd(tolerance)


def _distances(points: np.ndarray, surface: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance of each point voxel to the nearest voxel of the surface, in the array's order."""
    from medimg.metrics import kernels

    shape = (1,) * (3 - surface.ndim) + surface.shape
    squared = np.empty(shape, dtype=np.float32)
    kernels.squared_distance(surface.reshape(shape), spacing, squared)
    return np.sqrt(squared.reshape(points.shape)[points].astype(np.float64))


def _surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of the mask with a face neighbour outside it."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        first = (slice(None),) * axis + (slice(None, 1),)
        last = (slice(None),) * axis + (slice(-1, None),)
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        inner[high] &= mask[low]
        inner[low] &= mask[high]
        inner[first] = False
        inner[last] = False
    return mask & ~inner


def _union_box(a: np.ndarray, b: np.ndarray) -> tuple[slice, ...]:
    either = a | b
    box = []
    for axis in range(either.ndim):
        hits = np.flatnonzero(either.any(axis=tuple(n for n in range(either.ndim) if n != axis)))
        box.append(slice(int(hits[0]), int(hits[-1]) + 1) if hits.size else slice(0, 0))
    return tuple(box)


def _cut(mask: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """The box of the mask. Beyond the box there is no mask, as beyond the array, so surfaces stay the same."""
    return np.ascontiguousarray(mask[box])


def _percentile(distances: np.ndarray, q: float) -> float:
    if len(distances) == 0:
        return 0.0
    if np.isinf(distances[0]):  # the other mask is empty: all are infinite, and NumPy would interpolate to NaN
        return float("inf")
    return float(np.percentile(distances, q))
