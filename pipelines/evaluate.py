"""Agreement of two label maps, structure by structure.

It is agreement and not accuracy: which of the two maps is right, these numbers do not say.
"""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.card import RESEARCH_USE, read_card
from pipelines.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from medimg import Volume


@dataclass(frozen=True)
class Agreement:
    """How far two maps agree on one structure.

    `dice` and `nsd` run from 0 to 1 and are nan where the structure is in neither map; `hd95` is in mm and infinite
    where it is in one map alone.
    """

    dice: float
    hd95: float
    nsd: float
    volume_ml: float
    reference_ml: float


def evaluate(
    prediction: "Volume", reference: "Volume", labels: Mapping[str, int], tolerance: float = 2.0
) -> dict[str, Agreement]:
    """Agreement per structure of two label maps on the same grid (bring both to RAS+ first).

    `tolerance` of the surface Dice (NSD) is in mm. Raises InputError where the grids differ.
    """
    from medimg import metrics

    if not prediction.same_grid(reference):
        raise InputError(
            f"the label maps are not on the same grid: {prediction!r} and {reference!r}; "
            "resample one to the other (nearest neighbour) first"
        )
    result = {}
    for name, value in labels.items():
        ours, theirs = prediction.array == value, reference.array == value
        result[name] = Agreement(
            dice=metrics.dice(ours, theirs),
            hd95=metrics.hausdorff(ours, theirs, spacing=prediction.spacing, percentile=95),
            nsd=metrics.surface_dice(ours, theirs, spacing=prediction.spacing, tolerance=tolerance),
            volume_ml=int(ours.sum()) * prediction.voxel_volume_ml,
            reference_ml=int(theirs.sum()) * reference.voxel_volume_ml,
        )
    return result


def evaluate_files(
    prediction: Path,
    reference: Path,
    names: Path | None = None,
    tolerance: float = 2.0,
    json_path: Path | None = None,
    csv_path: Path | None = None,
) -> dict[str, Agreement]:
    """Compare two label files, print a table, and write JSON or CSV where asked."""
    from rich.console import Console

    ours, theirs = _read(prediction), _read(reference)
    labels = label_names(names, prediction) or _labels_found(ours, theirs)
    result = evaluate(ours, theirs, labels, tolerance)
    if json_path is not None:
        content = {name: _finite(agreement) for name, agreement in result.items()}
        _write(
            json_path, json.dumps({"notice": RESEARCH_USE, "tolerance_mm": tolerance, "structures": content}, indent=2)
        )
    if csv_path is not None:
        _write(csv_path, as_csv(result))
    Console().print(as_table(result, tolerance))
    return result


def label_names(source: Path | None, prediction: Path) -> dict[str, int]:
    """Structure -> value, from a model folder, a card, a JSON table {value: name}, or the prediction's own header."""
    if source is None:
        from medimg.export import read_label_names

        found = read_label_names(prediction) if prediction.name.endswith((".nii", ".nii.gz")) else {}
        return {name: value for value, name in found.items()}
    if source.is_dir() or source.name == "card.json":
        return dict(read_card(source if source.is_dir() else source.parent).labels)
    try:
        raw = json.loads(source.read_text(encoding="utf-8"))
        return {str(name): int(value) for value, name in raw.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        raise InputError(
            f"{source} should be a model folder, its card.json, or JSON such as {{'1': 'liver'}}"
        ) from None


def as_table(result: Mapping[str, Agreement], tolerance: float) -> "Table":
    """A table for the terminal."""
    from rich.table import Table

    table = Table("structure", caption="Agreement of two label maps. Research use only.")
    for title in ("Dice", "HD95 mm", f"NSD {tolerance:g} mm", "volume ml", "reference ml"):
        table.add_column(title, justify="right")
    for name, row in result.items():
        cells = (
            f"{row.dice:.3f}",
            f"{row.hd95:.1f}",
            f"{row.nsd:.3f}",
            f"{row.volume_ml:.1f}",
            f"{row.reference_ml:.1f}",
        )
        table.add_row(name, *(cell.replace("nan", "-") for cell in cells))
    return table


def as_csv(result: Mapping[str, Agreement]) -> str:
    """One line a structure; empty where a value is not defined."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["structure", *Agreement.__dataclass_fields__])
    for name, row in result.items():
        values = asdict(row).values()
        writer.writerow([name, *("" if math.isnan(value) else f"{value:.6g}" for value in values)])
    return buffer.getvalue()


def _read(path: Path) -> "Volume":
    import numpy as np

    import medimg
    from medimg import transforms

    if not path.exists():
        raise InputError(f"{path} does not exist")
    volume = transforms.orient(medimg.read(path, units="label"), "RAS")
    whole = np.asarray(volume.array).astype(np.int64)
    if not np.array_equal(whole, volume.array):
        raise InputError(f"{path} holds fractions, so it is not a label map")
    return volume.with_array(whole)


def _labels_found(*volumes: "Volume") -> dict[str, int]:
    import numpy as np

    values: set[int] = set()
    for volume in volumes:
        values |= {int(value) for value in np.unique(volume.array)}
    return {f"label_{value}": value for value in sorted(values) if value != 0}


def _finite(agreement: Agreement) -> dict[str, Any]:
    """JSON has neither nan nor infinity: null stands for both."""
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in asdict(agreement).items()}


def _write(path: Path, text: str) -> None:
    from framework.core.files import atomic_write

    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        file.write(text if text.endswith("\n") else text + "\n")
