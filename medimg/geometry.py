"""Affines of voxel grids: spacing, orientation letters, handedness, shear, repair.

An affine is a 4x4 float64 matrix that takes voxel indices (i, j, k) to millimetres in RAS+ space: x grows to the
patient's right, y to the anterior, z to the superior. DICOM and NRRD use LPS+; `lps_to_ras` converts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from medimg.errors import ImageError

Affine = npt.NDArray[np.float64]

ORTHOGONAL_TOLERANCE = 1e-3
"""How far (cosine between axes) a grid may be from orthogonal and still be called so: 0.06 degrees."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_affine(matrix: npt.ArrayLike) -> Affine:
    """Return `matrix` as a checked, read-only 4x4 float64 affine.

    Raises ImageError where it is not 4x4, not finite, singular, or its last row is not (0, 0, 0, 1).
    """
    affine: Affine = np.array(matrix, dtype=np.float64)
    if affine.shape != (4, 4):
        raise ImageError(f"An affine must be a 4x4 matrix, not {affine.shape}.")
    if not np.isfinite(affine).all():
        raise ImageError("The affine holds NaN or infinity, so no voxel has a place; the header is damaged.")
    if not np.allclose(affine[3], [0, 0, 0, 1], atol=1e-6):
        raise ImageError("The last row of an affine must be (0, 0, 0, 1).")
    affine[3] = [0, 0, 0, 1]
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (lengths == 0).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-4:
        raise ImageError(
            "The affine is singular (an axis has no length, or two point the same way); repair the header."
        )
    affine.setflags(write=False)
    return affine


def spacing(affine: Affine) -> tuple[float, float, float]:
    """Distance in mm between neighbouring voxels along each index axis."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def directions(affine: Affine) -> npt.NDArray[np.float64]:
    """Unit vectors (3, 3) of the index axes, one a column."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def axcodes(affine: Affine) -> str:
    """Three letters saying where each index axis grows to, such as "RAS" or "LPS".

    Each of the letter pairs L/R, P/A, I/S occurs once: the assignment of axes is the one with the greatest sum of
    cosines, so it is right for oblique and sheared grids too.
    """
    from itertools import permutations

    cosines = directions(affine)
    best = max(permutations(range(3)), key=lambda world: sum(abs(cosines[w, axis]) for axis, w in enumerate(world)))
    letters = ("LR", "PA", "IS")
    return "".join(letters[w][int(cosines[w, axis] > 0)] for axis, w in enumerate(best))


def handedness(affine: Affine) -> int:
    """+1 where the index axes form a right-handed system in RAS space, -1 where they are mirrored."""
    return 1 if np.linalg.det(affine[:3, :3]) > 0 else -1


def obliquity(affine: Affine) -> tuple[float, float, float]:
    """Angle in degrees between each index axis and the patient axis nearest to it."""
    a, b, c = np.degrees(np.arccos(np.clip(np.abs(directions(affine)).max(axis=0), -1, 1)))
    return float(a), float(b), float(c)


def shear(affine: Affine) -> float:
    """Largest cosine between two index axes: 0 for an orthogonal grid."""
    cosines = directions(affine)
    gram = np.abs(cosines.T @ cosines)
    return float(max(gram[0, 1], gram[0, 2], gram[1, 2]))


def tilt(affine: Affine) -> float:
    """Signed angle in degrees between the normal of the slices (axes 0 and 1) and the slice direction (axis 2).

    The sign is that of the slice direction's part along axis 1 (for an axial CT: the gantry tilt). It is measured
    on the affine, never taken from the DICOM tag (0018,1120), which scanners fill with either sign.
    """
    row, column, step = directions(affine).T
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    along = abs(float(step @ normal))
    across = float(np.linalg.norm(step - (step @ normal) * normal))
    angle = float(np.degrees(np.arctan2(across, along)))
    return -angle if step @ column < 0 else angle


def is_orthogonal(affine: Affine, tolerance: float = ORTHOGONAL_TOLERANCE) -> bool:
    """Whether no two index axes have a cosine above `tolerance`."""
    return shear(affine) <= tolerance


def nearest_orthogonal(affine: Affine, tolerance: float = ORTHOGONAL_TOLERANCE) -> Affine:
    """Return the affine with the nearest exactly orthogonal axes (polar decomposition), spacing and origin kept.

    Raises ImageError where the axes are sheared by more than `tolerance` (a cosine): that is a tilted acquisition,
    not rounding, and changing it would move anatomy.
    """
    found = shear(affine)
    if found > tolerance:
        raise ImageError(
            f"The voxel axes are sheared (cosine {found:.4f}, tolerance {tolerance:g}; tilt {tilt(affine):.2f} "
            "degrees): resample the image to an orthogonal grid instead."
        )
    left, _, right = np.linalg.svd(directions(affine))
    repaired: Affine = affine.copy()
    repaired[:3, :3] = (left @ right) * np.asarray(spacing(affine))
    return as_affine(repaired)


def same_affine(a: Affine, b: Affine, shape: tuple[int, ...], tolerance: float) -> bool:
    """Whether two affines put every voxel of a grid of `shape` within `tolerance` mm of the same place."""
    return largest_distance(a, b, shape) <= tolerance


def largest_distance(a: Affine, b: Affine, shape: tuple[int, ...]) -> float:
    """Largest distance in mm between where two affines put a voxel of a grid of `shape` (reached at a corner)."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]], indexing="ij")).reshape(3, -1)
    offset = (a - b)[:3, :3] @ corners + (a - b)[:3, 3:]
    return float(np.linalg.norm(offset, axis=0).max())


def apply(affine: Affine, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Map points of shape (..., 3) by an affine."""
    coordinates = np.asarray(points, dtype=np.float64)
    if coordinates.shape[-1:] != (3,):
        raise ImageError(f"Points must have shape (..., 3), not {coordinates.shape}.")
    mapped: npt.NDArray[np.float64] = coordinates @ affine[:3, :3].T + affine[:3, 3]
    return mapped


def lps_to_ras(affine: npt.NDArray[Any]) -> Affine:
    """Affine to LPS+ mm (DICOM, ITK, NRRD) -> affine to RAS+ mm. It is its own inverse."""
    converted: Affine = _LPS_TO_RAS @ np.asarray(affine, dtype=np.float64)
    return converted
