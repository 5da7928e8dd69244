"""Resampling in world space: to a spacing, or to the grid of another volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medimg.transforms.base import Applied, Transform
from medimg.transforms.grid import Grid, derive
from medimg.transforms.sampling import INTERPOLATIONS, sample

if TYPE_CHECKING:
    from medimg.volume import Volume

Spacing = float | Sequence[float | None]


def resample(
    volume: Volume, spacing: Spacing, label: bool = False, interpolation: str = "linear", antialias: bool = True
) -> Volume:
    """Resample to a voxel spacing in mm, one number or one per array axis (None keeps that axis).

    The new grid has the same directions and the same centre, and as many voxels as fill the same extent, to within half
    a new voxel on each side. Images (`label=False`) become float32, by "linear", "cubic" (Keys) or "nearest"
    interpolation; where the new voxels are larger they average over what they cover. Label maps keep their values and
    dtype, by "linear" votes or "nearest".
    """
    source = Grid.of(volume)
    target = spaced_grid(source, spacing)
    array = sample(volume.array, source, target, label, interpolation, antialias)
    mm = " x ".join(f"{s:.4g}" for s in target.spacing)
    return derive(volume, array, target.affine, note=f"resampled to {mm} mm ({_kind(label, interpolation)})")


def resample_to(
    volume: Volume,
    reference: Volume | Grid,
    label: bool = False,
    interpolation: str = "linear",
    antialias: bool = True,
    fill: float = 0.0,
) -> Volume:
    """Resample to the grid of `reference`, whatever the two affines are; outside the volume's extent stands `fill`.

    Interpolation as in `resample`. Where the reference's voxel centres are the volume's own (a flip, permutation, crop
    or pad) voxels are copied unchanged.
    """
    target = Grid.of(reference)
    array = sample(volume.array, Grid.of(volume), target, label, interpolation, antialias, fill)
    note = f"resampled to a grid of {' x '.join(map(str, target.shape))} ({_kind(label, interpolation)})"
    return derive(volume, array, target.affine.copy(), note=note)


def spaced_grid(grid: Volume | Grid, spacing: Spacing) -> Grid:
    """The grid with this spacing (mm) that has the centre, directions and, to half a voxel, the extent of `grid`."""
    source = Grid.of(grid)
    wanted = [spacing] * 3 if np.isscalar(spacing) else list(spacing)  # type: ignore[arg-type]
    if len(wanted) != 3:
        raise ValueError(f"spacing is one number or three, in mm, not {spacing}.")
    present = source.spacing
    new = np.array([present[axis] if s is None else s for axis, s in enumerate(wanted)], dtype=np.float64)
    if not np.all(np.isfinite(new)) or np.any(new <= 0):
        raise ValueError(f"spacing must be positive, in mm, not {spacing}.")
    shape = tuple(int(max(1, np.floor(n * old / s + 0.5))) for n, old, s in zip(source.shape, present, new))
    affine = source.affine.copy()
    affine[:3, :3] *= new / present
    centre = source.to_world((np.array(source.shape) - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


class Resample(Transform):
    """`resample` as a transform for images; `Applied.follow` brings a label map along."""

    def __init__(self, spacing: Spacing, interpolation: str = "linear", antialias: bool = True) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"no interpolation {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}.")
        self.spacing = spacing
        self.interpolation = interpolation
        self.antialias = antialias

    def apply(self, volume: Volume) -> Applied:
        result = resample(volume, self.spacing, False, self.interpolation, self.antialias)
        return Applied(result, Grid.of(volume))


class ResampleTo(Transform):
    """`resample_to` as a transform for images."""

    def __init__(self, reference: Volume | Grid, interpolation: str = "linear", fill: float = 0.0) -> None:
        self.reference = Grid.of(reference)
        self.interpolation = interpolation
        self.fill = fill

    def apply(self, volume: Volume) -> Applied:
        result = resample_to(volume, self.reference, False, self.interpolation, fill=self.fill)
        return Applied(result, Grid.of(volume))


def _kind(label: bool, interpolation: str) -> str:
    return f"{interpolation} label votes" if label and interpolation == "linear" else interpolation
