"""Crops and pads; the affine moves with the first voxel, so every voxel keeps its world position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medimg.transforms.base import Applied, Transform
from medimg.transforms.grid import Grid, derive

if TYPE_CHECKING:
    from medimg.volume import Volume

Select = float | Callable[[np.ndarray], np.ndarray]


def crop_pad(volume: Volume, start: Sequence[int], stop: Sequence[int], fill: float = 0.0) -> Volume:
    """The voxels start <= index < stop of each axis; where that reaches beyond the volume, `fill`."""
    if len(start) != 3 or len(stop) != 3 or any(int(a) >= int(b) for a, b in zip(start, stop)):
        raise ValueError(f"a crop needs three starts below three stops, not {tuple(start)} to {tuple(stop)}.")
    grid = Grid.of(volume).window(start, stop)
    inner = [slice(max(a, 0), max(min(b, n), 0)) for a, b, n in zip(start, stop, volume.array.shape)]
    part = volume.array[tuple(inner)]
    if part.shape == grid.shape:
        array = np.array(part, order="C")
    else:
        array = np.full(grid.shape, fill, dtype=volume.array.dtype)
        array[tuple(slice(s.start - a, s.start - a + n) for s, a, n in zip(inner, start, part.shape))] = part
    return derive(volume, array, grid.affine, note=f"cropped or padded to {tuple(start)}..{tuple(stop)}")


def crop_pad_to_size(volume: Volume, size: Sequence[int | None], fill: float = 0.0) -> Volume:
    """Crop or pad around the centre to `size` voxels; None keeps an axis. An odd voxel goes to the upper end."""
    if len(size) != 3 or any(n is not None and n < 1 for n in size):
        raise ValueError(f"size is three positive numbers of voxels (None keeps an axis), not {tuple(size)}.")
    start = [0 if n is None else -((n - have) // 2) for n, have in zip(size, volume.array.shape)]
    stop = [a + (have if n is None else n) for a, n, have in zip(start, size, volume.array.shape)]
    return crop_pad(volume, start, stop, fill)


def pad_to_multiple(volume: Volume, multiple: int | Sequence[int], fill: float = 0.0) -> Volume:
    """Pad around the centre to the next multiple, one number or one per axis; an odd voxel goes to the upper end."""
    steps = [multiple] * 3 if isinstance(multiple, int) else list(multiple)
    if len(steps) != 3 or any(n < 1 for n in steps):
        raise ValueError(f"multiple is one positive number or three, not {multiple}.")
    return crop_pad_to_size(volume, [-(-have // n) * n for have, n in zip(volume.array.shape, steps)], fill)


def foreground_box(
    array: np.ndarray, select: Select = 0.0, margin: int | Sequence[int] = 0
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Start and stop of the box around the selected voxels, grown by `margin` voxels but kept inside the array.

    `select` is a threshold (voxels above it count) or a function that takes the array to a mask. None where nothing is
    selected.
    """
    mask = select(array) if callable(select) else array > select
    margins = [margin] * mask.ndim if isinstance(margin, int) else list(margin)
    start, stop = [], []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        if hits.size == 0:
            return None
        start.append(max(int(hits[0]) - margins[axis], 0))
        stop.append(min(int(hits[-1]) + 1 + margins[axis], mask.shape[axis]))
    return tuple(start), tuple(stop)


def crop_foreground(volume: Volume, select: Select = 0.0, margin: int | Sequence[int] = 0) -> Volume:
    """Crop to the box of `foreground_box`; a volume without foreground is returned whole."""
    box = foreground_box(volume.array, select, margin)
    return volume if box is None else crop_pad(volume, *box)


class CropForeground(Transform):
    """`crop_foreground` as a transform."""

    def __init__(self, select: Select = 0.0, margin: int | Sequence[int] = 0) -> None:
        self.select = select
        self.margin = margin

    def apply(self, volume: Volume) -> Applied:
        return Applied(crop_foreground(volume, self.select, self.margin), Grid.of(volume))


class CropPad(Transform):
    """`crop_pad_to_size` as a transform."""

    def __init__(self, size: Sequence[int | None], fill: float = 0.0) -> None:
        self.size = tuple(size)
        self.fill = fill

    def apply(self, volume: Volume) -> Applied:
        return Applied(crop_pad_to_size(volume, self.size, self.fill), Grid.of(volume))


class PadToMultiple(Transform):
    """`pad_to_multiple` as a transform."""

    def __init__(self, multiple: int | Sequence[int], fill: float = 0.0) -> None:
        self.multiple = multiple
        self.fill = fill

    def apply(self, volume: Volume) -> Applied:
        return Applied(pad_to_multiple(volume, self.multiple, self.fill), Grid.of(volume))
