"""What every export of a label map checks first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimg.errors import ImageError
from medimg.volume import Volume


def checked_labels(labels: Volume, names: Mapping[int, str]) -> tuple[NDArray[Any], list[int]]:
    """The label map as uint8 or uint16, and the labels that occur in it, ascending, without the background 0.

    Raises ImageError where the map does not hold labels, or holds one that `names` does not name.
    """
    array = labels.array
    if array.dtype.kind not in "biu":
        raise ImageError(
            f"A label map holds integers, not {array.dtype}: take the most likely class of each voxel first."
        )
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise ImageError(f"Labels are numbers from 0 to 65535; this map holds {lowest} to {highest}.")
    for number, name in names.items():
        if number < 1 or not name:
            raise ImageError(f"Label {number} cannot be named {name!r}: labels start at 1 and names are not empty.")
    compact = array.astype(np.uint8 if highest < 256 else np.uint16)
    present = [int(number) for number in np.flatnonzero(np.bincount(compact.reshape(-1))) if number]
    unnamed = [number for number in present if number not in names]
    if unnamed:
        raise ImageError(
            f"The map holds labels without a name: {', '.join(map(str, unnamed))}. Name them or remove them."
        )
    return compact, present


def centroids(array: NDArray[Any], affine: NDArray[np.float64], present: list[int]) -> dict[int, NDArray[np.float64]]:
    """Centre of mass of each label in RAS+ mm."""
    found = {}
    for number in present:
        voxels = np.argwhere(array == number)
        found[number] = affine[:3, :3] @ voxels.mean(axis=0) + affine[:3, 3]
    return found
