"""Where a stack's voxels lie: its affine, and what is irregular about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from medimg import geometry
from medimg.errors import ImageError
from medimg.io.dicom.stacks import Stack

_RELATIVE, _ABSOLUTE = 0.05, 0.1
"""Slice distances may differ from their median by 5 % or 0.1 mm (as in dicom2nifti), the latter up to a fifth of it."""

_SHOWN = 8
"""Missing places that a message lists."""


@dataclass(frozen=True)
class Layout:
    """The grid of a stack. `affine` is right only where `problem` is None."""

    affine: geometry.Affine
    """Voxel (column, row, slice) -> RAS mm."""
    step: float
    """Median distance of the planes along the normal, mm."""
    problem: str | None
    """Why the stack is no regular grid: a clause for a sentence, or None."""
    notes: tuple[str, ...]


def lay_out(stack: Stack) -> Layout:
    """Find the grid of a stack and what is irregular about it.

    The slice column of the affine is (last - first) / (N - 1) as a vector, so it keeps what tilt there is.
    """
    positions, normal = stack.positions, stack.normal
    notes: list[str] = []
    if len(positions) == 1:
        step = _single_step(stack, notes)
        return Layout(_affine(stack, normal * step), step, None, tuple(notes))
    along = positions @ normal
    gaps = np.diff(along)
    step = _slice_step(gaps)
    vector = (positions[-1] - positions[0]) / (len(positions) - 1)
    problem = _irregularity(along, gaps, step)
    problem = problem or _tilt(positions, along, normal, stack) or _sideways(positions, along, normal)
    if problem is None:
        off = np.abs(along - along[0] - np.arange(len(along)) * (vector @ normal)).max()
        if off > 0.02:
            notes.append(f"Slice positions deviate from an even grid by up to {off:.2g} mm (within tolerance).")
    skew = max(plane.skew for plane in stack.planes)
    if skew > 1e-4:
        notes.append(f"Made the image orientation exactly orthogonal (was off by {skew:.1e}).")
    return Layout(_affine(stack, vector), step, problem, tuple(notes))


def require_regular(layout: Layout, name: str) -> None:
    """Raise ImageError where the planes are no regular grid."""
    if layout.problem:
        raise ImageError(
            f"{name}: {layout.problem}; send the complete series again, or pass resample_irregular=True to interpolate "
            "a regular grid."
        )


def tolerance(step: float) -> float:
    """How far (mm) slices may be from an even grid and still count as even."""
    return max(_RELATIVE * step, min(_ABSOLUTE, 0.2 * step))


def _affine(stack: Stack, vector: npt.NDArray[np.float64]) -> geometry.Affine:
    plane = stack.first
    assert plane.pixel_spacing is not None
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(plane.row_direction) * plane.pixel_spacing[1]
    affine[:3, 1] = np.asarray(plane.column_direction) * plane.pixel_spacing[0]
    affine[:3, 2] = vector
    affine[:3, 3] = plane.position
    return geometry.lps_to_ras(affine)


def _single_step(stack: Stack, notes: list[str]) -> float:
    thickness = stack.first.thickness
    if thickness is None:
        notes.append("One slice without a thickness; assumed 1 mm.")
        return 1.0
    notes.append("One slice; its thickness stands for the distance between slices.")
    return thickness


def _slice_step(gaps: npt.NDArray[np.float64]) -> float:
    """Distance of neighbouring planes: the lower median, or the smallest gap where all are multiples only of that."""
    median = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    for step in (median, float(gaps.min())):
        if np.abs(gaps - np.maximum(np.round(gaps / step), 1) * step).max() <= tolerance(step):
            return step
    return median


def _irregularity(along: npt.NDArray[np.float64], gaps: npt.NDArray[np.float64], step: float) -> str | None:
    """Missing planes, where every odd gap is a multiple of the step; else uneven spacing."""
    allowed = tolerance(step)
    multiples = np.maximum(np.round(gaps / step), 1).astype(int)
    if np.abs(gaps - multiples * step).max() > allowed:
        return f"its slices are unevenly spaced ({gaps.min():.3g} to {gaps.max():.3g} mm, median {step:.3g} mm)"
    count = int((multiples - 1).sum())
    if count:
        first = tuple(islice(_holes(along, gaps, multiples), _SHOWN))
        shown = ", ".join(f"{p:.1f}" for p in first) + (", ..." if count > len(first) else "")
        words = "1 slice is" if count == 1 else f"{count} slices are"
        return f"{words} missing, at {shown} mm along the normal ({len(along)} are there, {step:.3g} mm apart)"
    even = along[0] + np.arange(len(along)) * (along[-1] - along[0]) / (len(along) - 1)
    if np.abs(along - even).max() > 2 * allowed:
        return f"the distance of its slices drifts ({gaps.min():.3g} to {gaps.max():.3g} mm)"
    return None


def _holes(
    along: npt.NDArray[np.float64], gaps: npt.NDArray[np.float64], multiples: npt.NDArray[np.int64]
) -> Iterator[float]:
    """Positions along the normal where planes are missing. A generator: a damaged position can leave millions."""
    for k in np.flatnonzero(multiples > 1):
        for n in range(1, int(multiples[k])):
            yield float(along[k] + n * gaps[k] / multiples[k])


def _tilt(
    positions: npt.NDArray[np.float64], along: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], stack: Stack
) -> str | None:
    drift = (positions[-1] - positions[0]) - (along[-1] - along[0]) * normal
    ratio = float(np.linalg.norm(drift) / (along[-1] - along[0]))
    # Positions are rounded in the header: over a short stack that looks like an angle, so ask for a real shift too.
    if ratio <= geometry.ORTHOGONAL_TOLERANCE or float(np.linalg.norm(drift)) < 0.05:
        return None
    angle = geometry.tilt(_affine(stack, positions[-1] - positions[0]))
    return f"its slices are sheared by {angle:.1f} degrees (tilted gantry)"


def _sideways(
    positions: npt.NDArray[np.float64], along: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> str | None:
    """Planes that are even along the normal and still do not stand above one another."""
    across = positions - along[:, np.newaxis] * normal
    fraction = ((along - along[0]) / (along[-1] - along[0]))[:, np.newaxis]
    off = float(np.linalg.norm(across - across[0] - fraction * (across[-1] - across[0]), axis=1).max())
    if off > 0.1:
        return f"its slices are shifted against one another by up to {off:.2g} mm within their planes"
    return None
