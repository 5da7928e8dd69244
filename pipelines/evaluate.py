"""Agreement of two label maps, structure by structure.

It is agreement and not accuracy: which of the two maps is right, these numbers do not say.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.card import RESEARCH_USE, read_card
from pipelines.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from medimg import Volume
    from medimg.metrics import Agreement


def evaluate(
    prediction: "Volume", reference: "Volume", labels: Mapping[str, int], tolerance: float = 2.0
) -> "list[Agreement]":
    """Agreement per structure of two label maps on the same grid; `tolerance` of the surface Dice (NSD) is in mm.

    Raises InputError where the grids differ.
    """
    from medimg import metrics

    if not prediction.same_grid(reference):
        raise InputError(
            f"the label maps are not on the same grid: {prediction!r} and {reference!r}; "
            "resample one to the other (nearest neighbour) first"
        )
    names = {value: name for name, value in labels.items()}
    return metrics.agreement(prediction.array, reference.array, names, prediction.spacing, tolerance)


def evaluate_files(
    prediction: Path,
    reference: Path,
    names: Path | None = None,
    tolerance: float = 2.0,
    json_path: Path | None = None,
    csv_path: Path | None = None,
) -> "list[Agreement]":
    """Compare two label files, print a table, and write JSON or CSV where asked."""
    from rich.console import Console

    ours, theirs = _read(prediction), _read(reference)
    labels = label_names(names, prediction) or _labels_found(ours, theirs)
    if not labels:
        raise InputError("neither map holds a label")
    result = evaluate(ours, theirs, labels, tolerance)
    if json_path is not None:
        rows = [_row(row) for row in result]
        _write(json_path, json.dumps({"notice": RESEARCH_USE, "structures": rows}, indent=2))
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


def as_table(result: "Sequence[Agreement]", tolerance: float) -> "Table":
    """A table for the terminal."""
    from rich.table import Table

    table = Table(caption="Agreement of two label maps. Research use only.")
    table.add_column("structure", overflow="fold")
    for title in ("Dice", "HD95 mm", f"NSD {tolerance:g} mm", "volume ml", "reference ml"):
        table.add_column(title, justify="right")
    for row in result:
        scores = (f"{row.dice:.3f}", f"{row.hd95:.1f}", f"{row.nsd:.3f}")
        cells = scores if row.found != "absent" else ("absent", "", "")
        table.add_row(row.name, *cells, f"{row.volume_ml:.1f}", f"{row.reference_ml:.1f}")
    return table


def as_csv(result: "Sequence[Agreement]") -> str:
    """One line a structure, with the columns of `medimg.metrics.Agreement`; infinite distances are written inf."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rows = [asdict(row) for row in result]
    writer.writerow(rows[0])
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in rows)
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


def _row(agreement: "Agreement") -> dict[str, Any]:
    """JSON has no infinity: null stands for a distance to what is not there."""
    return {
        key: (round(value, 6) if math.isfinite(value) else None) if isinstance(value, float) else value
        for key, value in asdict(agreement).items()
    }


def _write(path: Path, text: str) -> None:
    from framework.core.files import atomic_write

    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        file.write(text if text.endswith("\n") else text + "\n")
