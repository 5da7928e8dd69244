"""A case for training: preprocessed image and labels in memory, with the places from which patches are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medimg.errors import ImageError

if TYPE_CHECKING:
    from medimg.volume import Volume

IGNORE = 255
"""Label of voxels of which nobody knows the class; the loss leaves them out (`ignore_index`)."""

_POINTS_PER_CLASS = 20_000


@dataclass(frozen=True, eq=False)
class Case:
    """One preprocessed case.

    Attributes:
        image: (C, X, Y, Z) float32.
        label: (X, Y, Z) uint8 or int32; IGNORE where unlabelled.
        spacing: voxel edges in mm.
        group: what must not be split between training and test, such as the patient's pseudonym.
        fill: image value outside the volume.
        box: start and stop of the labelled part; patches are drawn from there.
        points: for each class its voxel indices (N, 3), at most some ten thousand, evenly drawn.
    """

    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, float, float]
    group: str
    fill: float
    box: tuple[tuple[int, ...], tuple[int, ...]]
    points: dict[int, np.ndarray]

    @property
    def classes(self) -> list[int]:
        """The foreground classes that occur."""
        return sorted(self.points)


def make_case(
    images: Volume | Sequence[Volume],
    label: Volume,
    group: str = "",
    valid: np.ndarray | None = None,
    fill: float = 0.0,
    points_per_class: int = _POINTS_PER_CLASS,
) -> Case:
    """A case from one or several channels and a label map on the same grid.

    Args:
        images: preprocessed volumes, one a channel.
        label: classes 0 (background), 1, 2, ...; IGNORE (255) where unlabelled.
        valid: boolean (X, Y, Z), false where the labels are not to be believed (such as slices that nobody contoured);
            those voxels become IGNORE.
        fill: image value outside the volume, in preprocessed units. 0 is the mean of a normalised image.

    Raises:
        ImageError: the grids differ, the image holds NaN or infinity, or nothing is labelled.
    """
    channels = [images] if not isinstance(images, Sequence) else list(images)
    for number, channel in enumerate(channels):
        if not channel.same_grid(label):
            raise ImageError(
                f"channel {number} ({channel.array.shape}) and label map ({label.array.shape}) lie on different grids; "
                "bring the labels along with Applied.follow or resample_to."
            )
    image = np.stack([np.asarray(channel.array, dtype=np.float32) for channel in channels])
    if not np.isfinite(image).all():
        raise ImageError("the image holds NaN or infinity; training on it would spoil the network.")
    values = label.array
    if values.min() < 0 or not np.array_equal(values, np.round(values)):
        raise ImageError("a label map for training holds whole numbers from 0; this one does not.")
    classes = np.array(values, dtype=np.uint8 if values.max() <= 255 else np.int32, order="C")
    if valid is not None:
        if valid.shape != classes.shape:
            raise ImageError(f"`valid` has the shape {valid.shape}, the label map {classes.shape}.")
        classes[~valid.astype(bool)] = IGNORE
    box = _box(classes != IGNORE)
    spacing = label.spacing
    return Case(image, classes, spacing, group, fill, box, _points(classes, points_per_class))


def _box(mask: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from medimg.transforms.cropping import foreground_box

    box = foreground_box(mask, select=lambda labelled: labelled)
    if box is None:
        raise ImageError("no voxel of this case is labelled, so there is nothing to train on.")
    return box


def _points(classes: np.ndarray, limit: int) -> dict[int, np.ndarray]:
    """Indices per class, thinned evenly: every n-th voxel in memory order, so that all parts of a structure stay."""
    flat = classes.ravel()
    chosen = np.flatnonzero((flat != 0) & (flat != IGNORE))
    values = flat[chosen]
    order = np.argsort(values, kind="stable")
    chosen, values = chosen[order], values[order]
    names, starts = np.unique(values, return_index=True)
    points = {}
    for name, part in zip(names, np.split(chosen, starts[1:])):
        if len(part) > limit:
            part = part[np.linspace(0, len(part) - 1, limit).astype(np.int64)]
        points[int(name)] = np.stack(np.unravel_index(part, classes.shape), axis=1).astype(np.int32)
    return points
