"""The pictures of a report: an overview and three planes through a structure's centre."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimg.display import PLANES, plane_layout, slice_image, three_planes, voxel_at
from medimg.display.layout import Plane
from medimg.export.report_data import Picture, StructurePictures, StructureResult, best_median_worst
from medimg.structures import structure
from medimg.volume import Volume

# Side of a picture in pixels: sharp in print at half a page's width, and small enough to embed a dozen.
_SIDE = 512


def overview_pictures(volume: Volume, labels: Volume, names: Mapping[int, str], **style: Any) -> tuple[Picture, ...]:
    """Three planes of the whole volume, through the centre of everything that is labelled."""
    voxel = centre_voxel(labels.array > 0) or voxel_at(volume)
    extent = max(count * step for count, step in zip(volume.shape, volume.spacing))
    drawn = three_planes(volume, voxel, labels, names=names, pixel_mm=extent / _SIDE, **style)
    shown = [structure(names[int(n)]).display for n in np.unique(labels.array) if int(n) in names]
    return tuple(
        Picture(
            pixels=drawn[plane],
            caption=_caption(volume, plane, voxel),
            alt=f"{plane.capitalize()} slice with the segmentation overlaid: {', '.join(shown) or 'nothing found'}.",
        )
        for plane in PLANES
    )


def case_pictures(
    volume: Volume,
    labels: Volume,
    names: Mapping[int, str],
    results: tuple[StructureResult, ...],
    reference: Volume | None = None,
    **style: Any,
) -> tuple[StructurePictures, ...]:
    """Three planes through the best, the median and the worst structure; the reference's border is white."""
    numbers = {name: number for number, name in names.items()}
    cases = []
    for role, result in best_median_worst(results).items():
        pictures = structure_pictures(volume, labels, names, numbers[result.name], reference, **style)
        cases.append(StructurePictures(role, result, pictures))
    return tuple(cases)


def structure_pictures(
    volume: Volume,
    labels: Volume,
    names: Mapping[int, str],
    number: int,
    reference: Volume | None = None,
    **style: Any,
) -> tuple[Picture, ...]:
    """Three planes through the centre of label `number`, or of the reference's where the result is empty."""
    truth = None if reference is None else (reference.array == number)
    found = labels.array == number
    shown = found if found.any() or truth is None else truth
    voxel = centre_voxel(shown) or voxel_at(volume)
    field = _field_mm(volume, shown)
    only = volume.with_array(np.where(found, labels.array, 0), "label")
    border = None if truth is None else volume.with_array(truth.astype(np.uint8), "label")
    scale = {"field_mm": field, "pixel_mm": field / _SIDE}
    drawn = three_planes(volume, voxel, only, border=border, names=names, **scale, **style)
    display = structure(names[number]).display
    compared = "" if border is None else "; the reference is outlined in white"
    return tuple(
        Picture(
            pixels=drawn[plane],
            caption=_caption(volume, plane, voxel),
            alt=f"{plane.capitalize()} slice through the centre of the {display.lower()}, as found{compared}.",
        )
        for plane in PLANES
    )


def finding_picture(
    volume: Volume,
    labels: Volume,
    names: Mapping[int, str],
    plane: Plane,
    index: int,
    number: int | None = None,
    reference: Volume | None = None,
    **style: Any,
) -> Picture:
    """Slice `index` of `plane` for a finding: about label `number` where that is given and occurs there."""
    axis = plane_layout(volume, plane).axis
    here = [slice(None)] * 3
    here[axis] = slice(index, index + 1)
    inside = np.zeros(volume.shape, dtype=bool)
    for found in (labels, reference) if number is not None else ():
        if found is not None:
            inside[tuple(here)] |= found.array[tuple(here)] == number
    voxel = centre_voxel(inside)
    field = _field_mm(volume, inside) if voxel else max(c * s for c, s in zip(volume.shape, volume.spacing))
    pixels = slice_image(
        volume,
        plane,
        index,
        labels,
        border=reference,
        about=voxel,
        names=names,
        field_mm=field if voxel else None,
        pixel_mm=field / _SIDE,
        **style,
    )
    of = f" about the {structure(names[number]).display.lower()}" if voxel and number is not None else ""
    return Picture(pixels, "", f"{plane.capitalize()} slice {index + 1} of {volume.shape[axis]}{of}.")


def centre_voxel(mask: NDArray[np.bool_]) -> tuple[int, int, int] | None:
    """The voxel of the mask nearest to its centre of mass; None where it is empty."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return None
    nearest = voxels[np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()]
    return (int(nearest[0]), int(nearest[1]), int(nearest[2]))


def _field_mm(volume: Volume, mask: NDArray[np.bool_]) -> float:
    """A field of view that shows the structure and where it lies: at least 120 mm."""
    voxels = np.argwhere(mask)
    extent = (np.ptp(voxels, axis=0) + 1) * volume.spacing if len(voxels) else np.array([0.0])
    return float(max(120.0, 1.4 * extent.max()))


def _caption(volume: Volume, plane: Plane, voxel: tuple[int, int, int]) -> str:
    axis = plane_layout(volume, plane).axis
    return f"{plane.capitalize()}, slice {voxel[axis] + 1} of {volume.shape[axis]}"
