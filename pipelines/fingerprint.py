"""Statistics of the training images, and how far an input is from them.

Intensities are described by percentiles of the tissue (for CT: soft tissue, -20 to 250 HU; else what is brighter than
the mean), which need no labels and so exist for training images and inputs alike. Between parts of one CT scan these
percentiles differ by 5 HU or less on average, between contrast phases by 30 and more.
"""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume

SOFT_TISSUE_HU = (-20.0, 250.0)
PERCENTILES = tuple(range(5, 100, 5))


class Appearance(BaseModel):
    """One image as training saw it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    modality: str | None
    units: str
    spacing: tuple[float, float, float]
    extent: tuple[float, float, float]
    tissue_percentiles: tuple[float, ...]
    range: tuple[float, float]


class Fingerprint(BaseModel):
    """The training images, and the intensities (0.5 and 99.5 percentile, mean, std) of their labelled voxels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: tuple[Appearance, ...]
    foreground: dict[str, float]
    patch_extent: tuple[float, float, float]


def appearance(volume: "Volume") -> Appearance:
    """Describe an RAS+ oriented image by its geometry and its tissue."""
    import numpy as np

    array = np.asarray(volume.array)
    low, high = SOFT_TISSUE_HU if volume.units == "HU" else (float(array.mean()), np.inf)
    tissue = array[(array > low) & (array < high)]
    if tissue.size == 0:
        tissue = array.reshape(-1)
    step = max(1, tissue.size // 2_000_000)
    levels = np.percentile(tissue[::step], PERCENTILES)
    spacing = [round(float(value), 6) for value in volume.spacing]
    return Appearance(
        modality=volume.provenance.modality,
        units=str(volume.units),
        spacing=(spacing[0], spacing[1], spacing[2]),
        extent=_triple(length * step for length, step in zip(array.shape, spacing, strict=True)),
        tissue_percentiles=tuple(round(float(value), 2) for value in levels),
        range=(float(array.min()), float(array.max())),
    )


def foreground_statistics(samples: "list[np.ndarray[Any, Any]]") -> dict[str, float]:
    """Percentiles, mean and std of labelled voxels, where each case counts alike whatever its size."""
    import numpy as np

    size = min(200_000, max(len(sample) for sample in samples))
    picked = np.concatenate([np.sort(s)[np.linspace(0, len(s) - 1, size).astype(int)] for s in samples]).astype(
        np.float64
    )
    low, high = np.percentile(picked, [0.5, 99.5])
    return {
        "percentile_00_5": float(low),
        "percentile_99_5": float(high),
        "mean": float(picked.mean()),
        "std": float(picked.std()),
    }


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 4) for value in values)
    return (x, y, z)
