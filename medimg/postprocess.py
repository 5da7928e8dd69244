"""Clean-up of label maps: largest component, small islands, holes.

All functions take label maps (any integer dtype, 1 to 3 dimensions) and return a changed copy. `connectivity` says
which voxels touch: 1 across faces, 2 also across edges, 3 also across corners; None means all that the dimensions
allow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def keep_largest_component(
    labels: np.ndarray,
    applied: Sequence[int] | None = None,
    connectivity: int | None = None,
    independent: bool = True,
    components: int = 1,
) -> np.ndarray:
    """Keep the largest connected component of each label and turn its other voxels into background.

    Args:
        labels: label map.
        applied: the labels concerned; all but 0 where None.
        connectivity: which voxels touch, 1 to the number of dimensions.
        independent: treat each label alone; otherwise the labels together are one structure.
        components: how many of the largest components to keep.

    Of components of one size the first in memory order stays.
    """
    if components < 1:
        raise ValueError(f"at least one component must be kept, not {components}.")
    result = labels.copy()
    for value in _groups(labels, applied, independent):
        mask, box = _mask(labels, value)
        numbered, count = connected_components(mask, connectivity)
        if count > components:
            sizes = np.bincount(numbered.ravel())[1:]
            kept = np.argsort(-sizes, kind="stable")[:components] + 1
            result[box][mask & ~np.isin(numbered, kept)] = 0
    return result


def remove_small(
    labels: np.ndarray,
    minimum_mm3: float,
    spacing: Sequence[float],
    applied: Sequence[int] | None = None,
    connectivity: int | None = None,
) -> np.ndarray:
    """Turn connected components of fewer than `minimum_mm3` cubic millimetres into background, label by label.

    `spacing` is in mm. A whole structure below the limit vanishes.
    """
    if len(spacing) != labels.ndim or min(spacing) <= 0:
        raise ValueError(f"spacing must be {labels.ndim} positive lengths in mm, not {tuple(spacing)}.")
    voxel = float(np.prod(np.asarray(spacing, dtype=np.float64)))
    result = labels.copy()
    for value in _groups(labels, applied, independent=True):
        mask, box = _mask(labels, value)
        numbered, _ = connected_components(mask, connectivity)
        small = np.bincount(numbered.ravel()) * voxel < minimum_mm3 * (1 - 1e-9)
        small[0] = False
        result[box][small[numbered]] = 0
    return result


def fill_holes(labels: np.ndarray, applied: Sequence[int] | None = None, connectivity: int | None = None) -> np.ndarray:
    """Give background that one label encloses on all sides that label; other labels in it stay.

    `connectivity` says across what the background leaks: with 1 a hole is closed where only corners and edges are open.
    """
    from scipy import ndimage

    result = labels.copy()
    for (value,) in _groups(labels, applied, independent=True):
        mask, box = _mask(labels, (value,))
        filled = ndimage.binary_fill_holes(mask, structure=_structure(labels.ndim, connectivity))
        result[box][filled & (labels[box] == 0)] = value
    return result


def connected_components(mask: np.ndarray, connectivity: int | None) -> tuple[np.ndarray, int]:
    """Number the connected components of a mask from 1 on, in memory order; the map (0: none) and their count."""
    from scipy import ndimage

    numbered, count = ndimage.label(mask, structure=_structure(mask.ndim, connectivity))
    return numbered, int(count)


def _groups(labels: np.ndarray, applied: Sequence[int] | None, independent: bool) -> list[tuple[int, ...]]:
    """The sets of label values treated together, without background."""
    present = [int(value) for value in np.unique(labels) if value != 0]
    chosen = present if applied is None else [int(v) for v in applied if int(v) in present]
    if independent:
        return [(value,) for value in chosen]
    return [tuple(chosen)] if chosen else []


def _mask(labels: np.ndarray, values: tuple[int, ...]) -> tuple[np.ndarray, tuple[slice, ...]]:
    """The mask of some labels, cut to the box around it, and that box."""
    mask = labels == values[0] if len(values) == 1 else np.isin(labels, values)
    box = []
    for axis in range(mask.ndim):
        hits = np.flatnonzero(mask.any(axis=tuple(n for n in range(mask.ndim) if n != axis)))
        box.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return mask[tuple(box)], tuple(box)


def _structure(dimensions: int, connectivity: int | None) -> np.ndarray:
    from scipy import ndimage

    degree = dimensions if connectivity is None else connectivity
    if not 1 <= degree <= dimensions:
        raise ValueError(f"connectivity is 1 to {dimensions} for {dimensions} dimensions, not {connectivity}.")
    return np.asarray(ndimage.generate_binary_structure(dimensions, degree))
