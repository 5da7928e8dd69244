"""Irregular stacks (tilted gantry, uneven spacing, missing slices) interpolated onto a regular, orthogonal grid."""

from typing import Any

import numpy as np
import numpy.typing as npt

from medimg import geometry
from medimg.io.dicom.layout import Layout
from medimg.io.dicom.stacks import Stack
from medimg.io.sources import require_memory

_STILL = 0.05
"""Slices shifted by less than this part of a pixel are left where they are: interpolation would only blur them."""


def resample_regular(
    stack: Stack, layout: Layout, values: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], geometry.Affine]:
    """Interpolate planes (N, rows, columns) linearly onto an even, orthogonal grid.

    Each plane is first moved within itself to where it belongs on the new grid (which undoes a tilt), then the planes
    are interpolated along their normal at the median spacing. Where no plane reaches, the lowest value stands.

    Returns the planes (M, rows', columns') in float32 and their affine (column, row, slice) -> RAS mm.
    """
    first = stack.first
    assert first.pixel_spacing is not None
    positions, normal = stack.positions, stack.normal
    row_spacing, column_spacing = first.pixel_spacing
    along = (positions - positions[0]) @ normal
    right = (positions - positions[0]) @ np.asarray(first.row_direction) / column_spacing
    down = (positions - positions[0]) @ np.asarray(first.column_direction) / row_spacing
    if max(np.abs(right).max(), np.abs(down).max()) < _STILL:
        right, down = np.zeros_like(right), np.zeros_like(down)
    left, top = int(np.floor(right.min())), int(np.floor(down.min()))
    columns = values.shape[2] + int(np.ceil(right.max())) - left
    rows = values.shape[1] + int(np.ceil(down.max())) - top

    count = round(float(along[-1]) / layout.step) + 1
    step = float(along[-1]) / (count - 1)
    require_memory(count * rows * columns * 4, "the regular grid")
    fill = float(values.min())
    regular = np.empty((count, rows, columns), dtype=np.float32)
    moved: dict[int, npt.NDArray[np.float32]] = {}
    for m in range(count):
        place = min(m * step, float(along[-1]))
        upper = min(int(np.searchsorted(along, place - 1e-6)), len(along) - 1)
        lower = max(upper - 1, 0)
        for k in (lower, upper):
            if k not in moved:
                moved[k] = _move(values[k], right[k] - left, down[k] - top, (rows, columns), fill)
        weight = 1.0 if upper == lower else float(np.clip((place - along[lower]) / (along[upper] - along[lower]), 0, 1))
        if weight > 1 - 1e-6:
            regular[m] = moved[upper]
        else:
            regular[m] = (1 - weight) * moved[lower] + weight * moved[upper]
        moved = {k: plane for k, plane in moved.items() if k >= lower}

    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.row_direction) * column_spacing
    affine[:3, 1] = np.asarray(first.column_direction) * row_spacing
    affine[:3, 2] = normal * step
    affine[:3, 3] = positions[0] + left * affine[:3, 0] + top * affine[:3, 1]
    return regular, geometry.lps_to_ras(affine)


def _move(
    plane: npt.NDArray[Any], right: float, down: float, shape: tuple[int, int], fill: float
) -> npt.NDArray[np.float32]:
    """Put a plane on a larger one with its first pixel at (down, right), linear between pixels."""
    moved = _move_rows(plane.astype(np.float32), down, shape[0], fill)
    return np.ascontiguousarray(_move_rows(moved.T, right, shape[1], fill).T)


def _move_rows(plane: npt.NDArray[np.float32], down: float, rows: int, fill: float) -> npt.NDArray[np.float32]:
    whole = int(np.floor(down))
    part = np.float32(down - whole)
    padded = np.full((plane.shape[0] + 2, plane.shape[1]), fill, dtype=np.float32)
    padded[1:-1] = plane
    # Row r of the result lies at r - down in the plane: between rows r - whole - 1 and r - whole.
    between = part * padded[:-1] + (1 - part) * padded[1:]
    result = np.full((rows, plane.shape[1]), fill, dtype=np.float32)
    fitting = between[: rows - whole]
    result[whole : whole + len(fitting)] = fitting
    return result
