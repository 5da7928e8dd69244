"""The table of agreement between a prediction and a reference, one row a structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medimg.metrics.overlap import overlap_counts
from medimg.metrics.surface import surface_distances


@dataclass(frozen=True)
class Agreement:
    """How a prediction and a reference agree about one structure.

    Attributes:
        label: its value in the label maps.
        name: its name.
        found: "both", "missed" (only in the reference), "invented" (only in the prediction) or "absent" (in neither).
        dice, iou: 1 where absent, 0 where missed or invented.
        volume_ml, reference_ml: in the prediction and in the reference.
        hd95, assd: in mm; 0 where absent, infinite where missed or invented.
        nsd: share of the surfaces within `tolerance` mm; 1 where absent, 0 where missed or invented.
    """

    label: int
    name: str
    found: str
    dice: float
    iou: float
    volume_ml: float
    reference_ml: float
    hd95: float
    assd: float
    nsd: float
    tolerance: float

    @property
    def difference_ml(self) -> float:
        """Predicted minus reference volume."""
        return self.volume_ml - self.reference_ml


def agreement(
    prediction: np.ndarray,
    reference: np.ndarray,
    labels: Mapping[int, str] | Sequence[int],
    spacing: Sequence[float],
    tolerance: float = 2.0,
    ignore: int | None = None,
) -> list[Agreement]:
    """Agreement per label of two label maps on one grid.

    Args:
        prediction, reference: (X, Y, Z) label maps.
        labels: label values, or a mapping of them to names; background need not be among them.
        spacing: voxel edges in mm.
        tolerance: distance in mm that the normalised surface distance accepts.
        ignore: reference value of voxels that nobody labelled; they are left out of both maps.
    """
    names = dict(labels) if isinstance(labels, Mapping) else {int(value): str(value) for value in labels}
    if ignore is not None:
        prediction = np.where(reference == ignore, ignore, prediction)
        names.pop(ignore, None)
    counts = overlap_counts(prediction, reference, list(names))
    voxel_ml = float(np.prod(np.asarray(spacing, dtype=np.float64)) / 1000.0)
    rows = []
    for (value, name), (predicted, true, both) in zip(names.items(), counts.tolist()):
        distances = surface_distances(prediction, reference, spacing, value)
        rows.append(
            Agreement(
                label=value,
                name=name,
                found=_FOUND[predicted > 0, true > 0],
                dice=2 * both / (predicted + true) if predicted + true else 1.0,
                iou=both / (predicted + true - both) if predicted + true else 1.0,
                volume_ml=predicted * voxel_ml,
                reference_ml=true * voxel_ml,
                hd95=distances.hd95,
                assd=distances.assd,
                nsd=distances.nsd(tolerance),
                tolerance=tolerance,
            )
        )
    return rows


_FOUND = {(True, True): "both", (False, True): "missed", (True, False): "invented", (False, False): "absent"}
