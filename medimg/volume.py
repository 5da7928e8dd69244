"""A voxel array with its place in the patient, its units and where it came from."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medimg import geometry
from medimg.errors import ImageError


@dataclass(frozen=True)
class SliceSource:
    """The DICOM object, and the frame in it, that one slice of an array came from."""

    path: Path
    """File, or the zip that holds it."""
    member: str | None
    """Name inside the zip; None for a plain file."""
    sop_instance_uid: str
    frame: int | None = None
    """0-based frame of a multi-frame object; None for a single-frame one."""


@dataclass(frozen=True)
class Provenance:
    """Where a volume came from and what was done to it."""

    path: Path | None = None
    format: str = "array"
    """"nifti", "nrrd", "dicom" or "array"."""
    sha256: str | None = None
    """One file: its SHA-256. Several: SHA-256 over the sorted SHA-256 digests of the files used (see `read`)."""
    modality: str | None = None
    """DICOM modality ("CT", "MR", "PT", ...), where the source says it."""
    series_uid: str | None = None
    slices: tuple[SliceSource, ...] = ()
    """DICOM source of each slice along the last axis of the array *as read*; () where there is no such slice."""
    notes: tuple[str, ...] = ()
    """What the reader had to decide, repair, drop or assume: to be shown to the user."""
    history: tuple[str, ...] = ()
    """What was done to the volume since it was read."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A three-dimensional image or label map on a voxel grid in the patient.

    `array` is (X, Y, Z), indexed as the columns of `affine`, the 4x4 float64 matrix from voxel index to RAS+
    millimetres. `units` names what the values are: "HU", "label", "BQML", ...; "unknown" where the source does not say.
    """

    array: npt.NDArray[Any]
    affine: geometry.Affine
    units: str = "unknown"
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3 or 0 in array.shape:
            raise ImageError(f"A volume needs a non-empty three-dimensional array (X, Y, Z), not shape {array.shape}.")
        if array.dtype.kind not in "biuf":
            raise ImageError(f"A volume holds real numbers, not {array.dtype}.")
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", geometry.as_affine(self.affine))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        spacing = "x".join(f"{s:.4g}" for s in self.spacing)
        return f"Volume({size} {self.array.dtype}, {spacing} mm, {self.axcodes}, {self.units})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each index axis."""
        x, y, z = self.array.shape
        return x, y, z

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxels along each index axis."""
        return geometry.spacing(self.affine)

    @property
    def origin(self) -> tuple[float, float, float]:
        """Place of the centre of voxel (0, 0, 0) in RAS+ mm."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def axcodes(self) -> str:
        """Where each index axis grows to, such as "RAS" or "LPS"; the nearest letters for an oblique grid."""
        return geometry.axcodes(self.affine)

    @property
    def handedness(self) -> int:
        """+1 for a right-handed grid, -1 for a mirrored one."""
        return geometry.handedness(self.affine)

    @property
    def tilt(self) -> float:
        """Angle in degrees between the slices' normal and the slice direction; not 0 for a tilted gantry."""
        return geometry.tilt(self.affine)

    @property
    def is_orthogonal(self) -> bool:
        """Whether the index axes are at right angles (cosines up to 0.001 allowed)."""
        return geometry.is_orthogonal(self.affine)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres (right for sheared grids too)."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def voxel_to_world(self, indices: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Voxel indices (..., 3), fractions allowed, to RAS+ mm (..., 3)."""
        return geometry.apply(self.affine, indices)

    def world_to_voxel(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """RAS+ mm (..., 3) to fractional voxel indices (..., 3)."""
        return geometry.apply(np.linalg.inv(self.affine).astype(np.float64), points)

    def same_grid(self, other: "Volume", tolerance: float = 0.01) -> bool:
        """Whether both have the same shape and no voxel lies further than `tolerance` mm apart."""
        return self.shape == other.shape and geometry.same_affine(self.affine, other.affine, self.shape, tolerance)

    def with_array(self, array: npt.NDArray[Any], units: str | None = None) -> "Volume":
        """Another array on the same grid, such as a label map of this image."""
        if array.shape != self.array.shape:
            raise ImageError(
                f"The array has shape {array.shape}, the grid {self.array.shape}; give the new affine instead."
            )
        return replace(self, array=array, units=self.units if units is None else units)

    def with_orthogonal_axes(self, tolerance: float = geometry.ORTHOGONAL_TOLERANCE) -> "Volume":
        """The volume with exactly orthogonal axes, for software that insists on them (ITK does).

        Moves voxels by what rounding in the header had moved them, and says by how much in the notes. Raises ImageError
        where the axes are off by more than `tolerance` (a cosine).
        """
        affine = geometry.nearest_orthogonal(self.affine, tolerance)
        moved = geometry.largest_distance(affine, self.affine, self.shape)
        shear = geometry.shear(self.affine)
        note = f"Made the voxel axes exactly orthogonal (cosine was {shear:.1e}, moved by up to {moved:.2g} mm)."
        return replace(self, affine=affine, provenance=self._provenance_with(notes=(note,)))

    def with_notes(self, *notes: str) -> "Volume":
        """The volume with further provenance notes."""
        return replace(self, provenance=self._provenance_with(notes=notes))

    def with_history(self, *steps: str) -> "Volume":
        """The volume with further steps in its provenance history."""
        return replace(self, provenance=self._provenance_with(history=steps))

    def _provenance_with(self, notes: tuple[str, ...] = (), history: tuple[str, ...] = ()) -> Provenance:
        old = self.provenance
        return replace(old, notes=old.notes + notes, history=old.history + history)
