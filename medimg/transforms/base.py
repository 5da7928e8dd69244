"""What every transform is, how one is undone, and how several are chained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medimg.transforms.grid import Grid, derive
from medimg.transforms.sampling import sample

if TYPE_CHECKING:
    from medimg.volume import Volume


@dataclass(frozen=True, eq=False)
class Applied:
    """A transformed volume and all that is needed to go back; nothing is remembered in the transform itself.

    Attributes:
        volume: the result.
        source: the grid on which the volume came.
        intensity: (scale, shift) pairs in the order applied; each original value was scale * value + shift, up to
            clipping.
    """

    volume: Volume
    source: Grid
    intensity: tuple[tuple[float, float], ...] = ()

    def undo(self, volume: Volume, label: bool = True, interpolation: str = "linear", fill: float = 0.0) -> Volume:
        """Bring a volume on the transformed grid, such as a prediction, back to the source grid in one interpolation.

        A label map keeps its values. For an image (`label=False`) the intensity scaling is undone too; what clipping
        removed stays removed. Voxels of the source that the transform cropped away become `fill`.
        """
        here = Grid.of(self.volume)
        if tuple(volume.array.shape) != here.shape:
            raise ValueError(
                f"this volume has the shape {tuple(volume.array.shape)}, but the transform made {here.shape}; "
                "undo takes a volume on the transformed grid."
            )
        array = volume.array
        if not label:
            for scale, shift in reversed(self.intensity):
                array = (array * np.float32(scale) + np.float32(shift)).astype(np.float32)
        array = sample(array, here, self.source, label, interpolation, fill=fill)
        return derive(volume, array, self.source.affine.copy(), note="returned to the source grid")

    def undo_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """Label map on the source grid from class scores (C, X, Y, Z) on the transformed grid.

        Scores are interpolated before the largest is taken, slab by slab (see `label_from_probabilities`).
        """
        from medimg.transforms.probabilities import label_from_probabilities

        return label_from_probabilities(probabilities, Grid.of(self.volume), self.source)

    def follow(self, volume: Volume, label: bool = True, interpolation: str = "linear", fill: float = 0.0) -> Volume:
        """Bring another volume of the same body, such as a reference label map, to the transformed grid.

        It goes through world space, so it need not lie on the source grid. Intensities are left alone.
        """
        here = Grid.of(self.volume)
        array = sample(volume.array, Grid.of(volume), here, label, interpolation, fill=fill)
        return derive(volume, array, here.affine.copy(), note="resampled to a transformed grid")


class Transform(ABC):
    """A function of one volume. Calling it gives the volume; `apply` gives it with the way back."""

    @abstractmethod
    def apply(self, volume: Volume) -> Applied:
        """Transform an image volume and record how to return."""

    def __call__(self, volume: Volume) -> Volume:
        return self.apply(volume).volume

    def inverse(self, volume: Volume, source: Volume | Grid, label: bool = True) -> Volume:
        """Return a volume from the transformed grid to `source`, the grid before the transform; one interpolation.

        The grids say all that is needed. Intensities are not changed; `Applied.undo` does that, having recorded them.
        """
        target = Grid.of(source)
        array = sample(volume.array, Grid.of(volume), target, label)
        return derive(volume, array, target.affine.copy(), note="returned to the source grid")


class Compose(Transform):
    """Transforms one after another, undone as a whole: straight from the last grid to the first.

    >>> prepare = Compose([Orient("RAS"), Resample(1.5), ClipIntensity(-200, 300), NormalizeIntensity()])
    >>> applied = prepare.apply(scan)
    >>> mask = applied.undo(predict(applied.volume))      # on the grid of `scan`
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def apply(self, volume: Volume) -> Applied:
        source = Grid.of(volume)
        intensity: tuple[tuple[float, float], ...] = ()
        for transform in self.transforms:
            step = transform.apply(volume)
            volume = step.volume
            intensity += step.intensity
        return Applied(volume, source, intensity)
