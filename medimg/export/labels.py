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
        if number < 0 or not name:
            raise ImageError(f"Label {number} cannot be named {name!r}: labels are not negative and names not empty.")
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
        mask = array == number
        planes = mask.sum(axis=2)
        along = (planes.sum(axis=1), planes.sum(axis=0), mask.sum(axis=(0, 1)))
        middle = [counts @ np.arange(len(counts)) / counts.sum() for counts in along]
        found[number] = affine[:3, :3] @ middle + affine[:3, 3]
    return found


def onto_grid(labels: Volume, source: Volume) -> NDArray[Any]:
    """The label map's array with the axes of `source`, permuted and reversed as their affines say.

    Raises ImageError where the two do not have the same voxels: nothing is ever interpolated here.
    """
    step = np.linalg.solve(source.affine, labels.affine)[:3, :3]
    turn = np.rint(step)
    if (
        np.array_equal(np.sort(np.abs(turn), axis=0), [[0, 0, 0], [0, 0, 0], [1, 1, 1]])
        and abs(np.linalg.det(turn)) == 1
    ):
        order = [int(np.flatnonzero(row)[0]) for row in turn]
        reverse = tuple(slice(None, None, int(turn[axis, order[axis]])) for axis in range(3))
        turned = labels.array.transpose(order)[reverse]
        affine = labels.affine @ _reordering(turn, labels.shape)
        if source.same_grid(Volume(turned, affine)):
            return turned
    raise ImageError(
        f"The label map ({_grid(labels)}) is not on the grid of the source images ({_grid(source)}). "
        "Bring it there first: medimg.transforms.resample_to(labels, source, label=True)."
    )


def _reordering(turn: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Index of the turned array -> index of the array, for a signed permutation `turn` (source axis, label axis)."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn.T
    # A reversed axis starts at its last voxel.
    matrix[:3, 3] = [size - 1 if turn[:, axis].sum() < 0 else 0 for axis, size in enumerate(shape)]
    return matrix


def _grid(volume: Volume) -> str:
    size = "x".join(map(str, volume.shape))
    spacing = "x".join(f"{step:.4g}" for step in volume.spacing)
    return f"{size} voxels of {spacing} mm, {volume.axcodes}"
