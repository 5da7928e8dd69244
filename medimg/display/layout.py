"""Where the axes of a volume go on the screen.

A plane is one array axis held fixed: pictures show voxels as they are stored, never resampled ones. Each array axis
is matched to the patient axis that it is closest to, so an oblique volume shows its own planes, with letters that
say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medimg import geometry
from medimg.errors import ImageError
from medimg.volume import Volume

Plane = Literal["axial", "coronal", "sagittal"]
Convention = Literal["radiological", "neurological"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")

# Letters of the positive and negative ends of the patient axes (RAS+).
_ENDS = (("R", "L"), ("A", "P"), ("S", "I"))
# A direction is named by every patient axis that it follows by more than this (about 11 degrees off the others).
_NAMED_FROM = 0.2


@dataclass(frozen=True)
class PlaneLayout:
    """One plane: array axes through, down and across the picture, whether each is reversed, and voxel sizes in mm.

    `letters` names the patient direction at the picture's left, right, top and bottom edge.
    """

    plane: Plane
    axis: int
    rows: int
    columns: int
    flip_rows: bool
    flip_columns: bool
    row_mm: float
    column_mm: float
    letters: tuple[str, str, str, str]

    def extract(self, array: NDArray[Any], index: int) -> NDArray[Any]:
        """The slice as a view with picture rows and columns."""
        picture = np.moveaxis(array, (self.axis, self.rows, self.columns), (0, 1, 2))[index]
        return picture[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def picture_mm(self, voxel: Sequence[float], shape: Sequence[int]) -> tuple[float, float]:
        """Distance in mm of a voxel's centre from the picture's left and top edge."""
        across, down = voxel[self.columns] + 0.5, voxel[self.rows] + 0.5
        if self.flip_columns:
            across = shape[self.columns] - across
        if self.flip_rows:
            down = shape[self.rows] - down
        return across * self.column_mm, down * self.row_mm


def plane_layout(volume: Volume, plane: Plane, convention: Convention = "radiological") -> PlaneLayout:
    """How `plane` of `volume` lies on the screen.

    Radiological: the patient's right is at the left of axial and coronal pictures, as if seen from the feet and the
    front. Neurological: the patient's right is at the right. Sagittal pictures have anterior at the left in both.
    """
    if plane not in PLANES:
        raise ValueError(f"No plane is called {plane!r}; choose one of {', '.join(PLANES)}.")
    if convention not in ("radiological", "neurological"):
        raise ValueError(f"No convention is called {convention!r}; choose 'radiological' or 'neurological'.")
    directions, spacing = geometry.directions(volume.affine), volume.spacing
    # The array axis that goes with patient axis R, A and S.
    axes = [next(axis for axis, code in enumerate(volume.axcodes) if code in ends) for ends in _ENDS]
    # Patient axis (0: R, 1: A, 2: S) through, down and across the picture, and the end that is at the top and left.
    through, down, across = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}[plane]
    left_is_positive = plane == "sagittal" or convention == "radiological"
    rows, columns = axes[down], axes[across]
    flip_rows = bool(directions[down, rows] > 0)
    flip_columns = bool(directions[across, columns] > 0) == left_is_positive
    to_right = directions[:, columns] * (-1 if flip_columns else 1)
    to_bottom = directions[:, rows] * (-1 if flip_rows else 1)
    letters = (_letters(-to_right), _letters(to_right), _letters(-to_bottom), _letters(to_bottom))
    return PlaneLayout(
        plane=plane,
        axis=axes[through],
        rows=rows,
        columns=columns,
        flip_rows=flip_rows,
        flip_columns=flip_columns,
        row_mm=spacing[rows],
        column_mm=spacing[columns],
        letters=letters,
    )


def slice_count(volume: Volume, plane: Plane) -> int:
    """Number of slices of `plane`; slice `k` holds the voxels whose index on `plane_layout(...).axis` is `k`."""
    return volume.shape[plane_layout(volume, plane).axis]


def voxel_at(
    volume: Volume, at: Literal["centre"] | Sequence[float] = "centre", space: Literal["voxel", "mm"] = "voxel"
) -> tuple[int, int, int]:
    """The voxel at a position: "centre", or three array indices, or three RAS+ coordinates where `space` is "mm"."""
    shape = volume.shape
    if isinstance(at, str):
        if at != "centre":
            raise ValueError(f"A position is 'centre' or three numbers, not {at!r}.")
        return (shape[0] // 2, shape[1] // 2, shape[2] // 2)
    point = np.asarray(at, dtype=np.float64)
    if point.shape != (3,):
        raise ValueError(f"A position has three numbers, not shape {point.shape}.")
    if space == "mm":
        point = volume.world_to_voxel(point)
    elif space != "voxel":
        raise ValueError(f"A position is given in 'voxel' or 'mm', not {space!r}.")
    nearest = np.floor(point + 0.5).astype(int)
    if (nearest < 0).any() or (nearest >= shape).any():
        raise ImageError(f"Voxel {tuple(nearest.tolist())} lies outside the volume of shape {tuple(shape)}.")
    return (int(nearest[0]), int(nearest[1]), int(nearest[2]))


def _letters(direction: NDArray[np.float64]) -> str:
    """Patient letters of a direction, strongest first, as DICOM viewers write them ("A", "AR")."""
    strongest = sorted(range(3), key=lambda world: -abs(direction[world]))
    named = [world for world in strongest if abs(direction[world]) > _NAMED_FROM]
    return "".join(_ENDS[world][0 if direction[world] > 0 else 1] for world in named)
