"""Proof that a DICOM SEG file says what it should: read frame by frame with pydicom alone."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medimg.errors import ImageError
from medimg.export.labels import centroids
from medimg.geometry import lps_to_ras
from medimg.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

# mm. Positions are decimal strings of up to 16 characters.
_TOLERANCE = 1e-3
# How far a source image may lie from the slice of the regular grid that the reader made of it: in its plane (mm), and
# along the normal as a fraction of the slice distance. A slice out of place is out by a whole distance.
_IN_PLANE, _THROUGH = 0.15, 0.25


def prove_segmentation(
    file: IO[bytes], segments: NDArray[Any], source: Volume, labels: Volume, present: Sequence[int]
) -> None:
    """Raise ImageError unless the file holds `segments` (1, 2, ... for the labels `present`) on the source's grid.

    Every frame is put where its own position and orientation say. The centre of mass of each segment, from those
    frames alone, must be the label's own, from the label map's affine.
    """
    import pydicom

    dataset = pydicom.dcmread(file)
    found = np.zeros_like(segments)
    sums = np.zeros((len(present) + 1, 4))
    in_plane = through = 0.0
    for index, plane, numbers in _frames(dataset):
        affine = _frame_affine(dataset, index)
        slot, aside, along = _slot(affine, source)
        in_plane, through = max(in_plane, aside), max(through, along)
        for number in numbers:
            mask = plane == number
            found[:, :, slot][mask.T] = number
            by_column, by_row = mask.sum(axis=0), mask.sum(axis=1)
            places = np.array([by_column @ np.arange(len(by_column)), by_row @ np.arange(len(by_row))])
            count = by_row.sum()
            sums[number] += [*(affine[:3, :2] @ places + affine[:3, 3] * count), count]
    if not np.array_equal(found, segments):
        raise ImageError("The DICOM SEG read back does not hold the voxels that were written; nothing was saved.")
    if in_plane > _IN_PLANE or through > _THROUGH * source.spacing[2]:
        raise ImageError(
            f"The source's images lie up to {max(in_plane, through):.3g} mm from its voxels: give the volume as it was "
            "read, before it was reoriented or resampled."
        )
    wanted = centroids(labels.array, labels.affine, list(present))
    for number, label in enumerate(present, start=1):
        centre = sums[number, :3] / sums[number, 3]
        off = float(np.linalg.norm(centre - wanted[label]))
        if off > _TOLERANCE + np.hypot(in_plane, through):
            raise ImageError(f"Label {label} lies {off:.3g} mm from its place in the DICOM SEG; nothing was saved.")


def _frames(dataset: "Dataset") -> Any:
    """Each frame's index, its segment numbers (rows, columns), and which segments it speaks of."""
    from pydicom.pixels import iter_pixels

    described = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
    binary = dataset.SegmentationType == "BINARY"
    for index, plane in enumerate(iter_pixels(dataset)):
        if not binary:
            yield index, plane, described
            continue
        group = dataset.PerFrameFunctionalGroupsSequence[index]
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        yield index, plane.astype(np.uint16) * number, [number]


def _frame_affine(dataset: "Dataset", index: int) -> NDArray[np.float64]:
    """(column, row, 0, 1) of a frame to RAS mm, from its functional groups (PS3.3 C.7.6.2.1.1)."""
    position = [float(value) for value in _group(dataset, index, "PlanePosition").ImagePositionPatient]
    cosines = [float(value) for value in _group(dataset, index, "PlaneOrientation").ImageOrientationPatient]
    row_mm, column_mm = (float(value) for value in _group(dataset, index, "PixelMeasures").PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = np.array(cosines[:3]) * column_mm
    affine[:3, 1] = np.array(cosines[3:]) * row_mm
    affine[:3, 2] = np.cross(cosines[:3], cosines[3:])
    affine[:3, 3] = position
    return lps_to_ras(affine)


def _group(dataset: "Dataset", index: int, name: str) -> "Dataset":
    keyword = f"{name}Sequence"
    for groups in (dataset.PerFrameFunctionalGroupsSequence[index], dataset.SharedFunctionalGroupsSequence[0]):
        if keyword in groups:
            return groups[keyword].value[0]
    raise ImageError(f"Frame {index + 1} of the DICOM SEG has no {keyword}; nothing was saved.")


def _slot(affine: NDArray[np.float64], source: Volume) -> tuple[int, float, float]:
    """The source's slice nearest to a frame, and how far (mm) its corners are from it: in plane, and through."""
    columns, rows, slices = source.shape
    corners = np.array([[0, 0], [columns - 1, 0], [0, rows - 1], [columns - 1, rows - 1]], dtype=float)
    places = corners @ affine[:3, :2].T + affine[:3, 3]
    slot = int(np.clip(np.rint(source.world_to_voxel(places[0])[2]), 0, slices - 1))
    off = places - source.voxel_to_world(np.column_stack([corners, np.full(4, slot)]))
    through = off @ affine[:3, 2]
    aside = np.linalg.norm(off - through[:, None] * affine[:3, 2], axis=1)
    return slot, float(aside.max()), float(np.abs(through).max())
