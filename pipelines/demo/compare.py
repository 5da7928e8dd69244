"""Agreement on the slices that training never saw: of a model, and of the best single threshold."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.demo.samples import Task

if TYPE_CHECKING:
    from rich.table import Table

    from medimg import Volume
    from pipelines.predict.report import Comparison


def agreement_unseen(labels: "Volume", task: Task, structures: Mapping[str, int]) -> dict[str, float]:
    """Dice of each structure on the unseen slices; nan where neither map has it there."""
    from medimg import metrics

    unseen = ~task.shown
    return {
        name: float(metrics.dice((labels.array == value) & unseen, (task.reference.array == value) & unseen))
        for name, value in structures.items()
    }


def threshold_floor(image: "Volume", task: Task, structures: Mapping[str, int]) -> dict[str, float]:
    """Dice on the unseen slices of the best single threshold: the least that a model must beat.

    The threshold, and whether the structure lies above or below it, is the one with the best Dice on the slices that
    training was shown.
    """
    from medimg import metrics

    unseen = ~task.shown
    result = {}
    for name, value in structures.items():
        mask = task.reference.array == value
        rule = metrics.best_threshold(image.array[task.shown], mask[task.shown])
        result[name] = float(metrics.dice(rule(image.array) & unseen, mask & unseen))
    return result


def agreement_table(comparison: "Comparison", slices: int) -> "Table":
    """The table that the demonstration ends with."""
    from rich.table import Table

    table = Table(
        title=f"Agreement (Dice) with {comparison.name}",
        caption="The labels are another model's, so this is agreement, not accuracy. Research use only.",
    )
    table.add_column("structure")
    for title in ("this model", "best single threshold", *comparison.others):
        table.add_column(title, justify="right")
    for name, value in comparison.agreement.items():
        others = [values.get(name, float("nan")) for values in comparison.others.values()]
        cells = [value, comparison.floor.get(name, float("nan")), *others]
        table.add_row(name.replace("_", " "), *("-" if cell != cell else f"{cell:.2f}" for cell in cells))
    return table
