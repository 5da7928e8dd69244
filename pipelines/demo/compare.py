"""Agreement on the slices that training never saw: of a model, and of the best single threshold."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.demo.samples import Task

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from medimg import Volume
    from pipelines.predict.report import Comparison


def agreement_unseen(labels: "np.ndarray[Any, Any]", task: Task, structures: Mapping[str, int]) -> dict[str, float]:
    """Dice of each structure on the unseen slices; nan where neither map has it there."""
    from medimg import metrics

    ours, theirs = labels[~task.shown], task.reference.array[~task.shown]
    return {name: metrics.dice(ours, theirs, value, empty=math.nan) for name, value in structures.items()}


def threshold_floor(image: "Volume", task: Task, structures: Mapping[str, int]) -> dict[str, float]:
    """Dice on the unseen slices of the best single intensity interval, chosen on the slices that training was shown."""
    from medimg import metrics

    result = {}
    for name, value in structures.items():
        mask = task.reference.array == value
        rule = metrics.best_threshold(image.array[task.shown], mask[task.shown])
        result[name] = metrics.dice(rule.apply(image.array[~task.shown]), mask[~task.shown], empty=math.nan)
    return result


def copy_floor(task: Task, structures: Mapping[str, int]) -> dict[str, float]:
    """Dice on the unseen slices of the nearest shown slice, copied: what one has without any model.

    Neighbouring slices are alike, so this is the floor that counts.
    """
    import numpy as np

    seen = np.flatnonzero(task.shown.any(axis=(0, 1)))
    every = np.arange(task.shown.shape[2])
    nearest = seen[np.abs(every[:, None] - seen[None, :]).argmin(axis=1)]
    return agreement_unseen(task.reference.array[:, :, nearest], task, structures)


def agreement_table(comparison: "Comparison") -> "Table":
    """The table that the demonstration ends with."""
    from rich.table import Table

    table = Table(
        title=f"Agreement (Dice) with {comparison.name}",
        caption="The labels are another model's, so this is agreement, not accuracy; the settings of the training "
        "were chosen with these slices in view. Research use only.",
    )
    table.add_column("structure")
    for title in ("this model", "best single threshold", *comparison.others):
        table.add_column(title, justify="right")
    for name, value in comparison.agreement.items():
        others = [values.get(name, float("nan")) for values in comparison.others.values()]
        cells = [value, comparison.floor.get(name, float("nan")), *others]
        table.add_row(name.replace("_", " "), *("-" if math.isnan(cell) else f"{cell:.2f}" for cell in cells))
    return table
