"""The demonstration from training to report.

A CT study is labelled on its 12 most inferior slices only. A small network learns from those and from a second scan,
then segments the 8 superior slices, which it never saw; that finishes the contouring.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.card import Card, write_card
from pipelines.config import Config
from pipelines.demo.compare import agreement_table, agreement_unseen, copy_floor, threshold_floor
from pipelines.demo.samples import Task, demo_config, find_samples, load_task
from pipelines.errors import OtherRunError
from pipelines.events import EventLog
from pipelines.predict.model import Model, load_model
from pipelines.predict.report import Comparison
from pipelines.predict.study import StudyResult, read_study, segment_study, write_results
from pipelines.train import train

if TYPE_CHECKING:
    from rich.console import Console

    from medimg import Volume

COPY = "nearest slice copied"
OTHER_SCAN = "other scan only"

# The second, shorter training is left out where the first took longer than this, so that the whole stays below
# six minutes on two slow cores.
LATEST_COMPARISON_SECONDS = 240.0
COMPARISON_PART = 4


def run_demo(
    output: Path,
    data: Path | None = None,
    overrides: Sequence[str] = (),
    threads: int | None = None,
    events: Path | None = None,
    quiet: bool = False,
) -> StudyResult:
    """Run the demonstration in `output`: `model/` is the trained model, `study/` the finished study.

    A run that was stopped or killed goes on where it was. Raises InputError where the sample scans are not found.
    """
    from rich.console import Console

    demo = _Demo(output, find_samples(data), Console(quiet=quiet), threads, events, quiet)
    begin = time.perf_counter()
    config = demo_config(overrides)
    task = load_task(config, demo.samples)
    demo.say("Finishing a contouring. Research use only.", style="bold")
    demo.say(_plan(config, task))
    demo.train(config, output / "model")
    log = EventLog(events)
    model = load_model(output / "model")
    study = read_study(model, task.source, task.case.name or "study", task.case.series, log)
    segmented = time.perf_counter()
    segmentation = segment_study(model, study, log, settled=task.shown)
    seconds = {"read": study.seconds, "segment": round(time.perf_counter() - segmented, 3)}
    others = {COPY: copy_floor(task, model.card.labels)}
    if time.perf_counter() - begin < LATEST_COMPARISON_SECONDS:
        others[OTHER_SCAN] = _other_scan(demo, config, task)
    comparison = Comparison(
        reference=task.reference,
        name=f"TotalSegmentator's labels on the {task.unseen_slices} slices that training never saw",
        agreement=agreement_unseen(segmentation.labels.array, task, model.card.labels),
        floor=threshold_floor(study.image, task, model.card.labels),
        others=others,
        region=~task.shown,
    )
    _note_scores(model, comparison)
    result = write_results(
        model,
        study,
        replace(segmentation, labels=completed(segmentation.labels, task)),
        output / "study",
        seconds=seconds,
        comparison=comparison,
        notes=[_origin_of_slices(task)],
        events=log,
    )
    demo.console.print(agreement_table(comparison))
    _where_to_look(demo, result, time.perf_counter() - begin)
    return result


def completed(labels: "Volume", task: Task) -> "Volume":
    """The given contours where there are some, the model's on the other slices."""
    import numpy as np

    array = np.where(task.shown, task.reference.array, labels.array).astype(labels.array.dtype)
    return labels.with_array(array)


@dataclass(frozen=True)
class _Demo:
    """What every step of the demonstration needs."""

    output: Path
    samples: Path
    console: "Console"
    threads: int | None
    events: Path | None
    quiet: bool

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, style=style, highlight=False, soft_wrap=True)

    def train(self, config: Config, folder: Path) -> None:
        """Begin, go on with, or leave alone a training; what an older demonstration left in the folder is replaced."""
        try:
            self._train(config, folder, restart=False)
        except OtherRunError:
            self.say(f"{folder} is from another demonstration; training begins anew.")
            self._train(config, folder, restart=True)

    def _train(self, config: Config, folder: Path, restart: bool) -> None:
        train(config, folder, self.samples, restart=restart, threads=self.threads, events=self.events, quiet=self.quiet)


def _plan(config: Config, task: Task) -> str:
    first, end = task.case.labelled_slices or (0, 0)
    return (
        f"Training sees slices {first + 1} to {end} (from the feet) of the study and a second scan; the other "
        f"{task.unseen_slices} slices are segmented afterwards. {config.training.iterations} iterations."
    )


def _other_scan(demo: _Demo, config: Config, task: Task) -> dict[str, float]:
    """Agreement of a model that never saw this study: another scanner, another contrast phase."""
    demo.say("For comparison, a shorter training on the other scan alone:")
    others = (case for case in config.data.cases if case != task.case)
    rest = tuple(case.model_copy(update={"joins_at": 0.0}) for case in others)
    iterations = max(1, config.training.iterations // COMPARISON_PART)
    alone = config.model_copy(
        update={
            "name": f"{config.name}_other_scan",
            "data": config.data.model_copy(update={"cases": rest}),
            "training": config.training.model_copy(update={"iterations": iterations}),
        }
    )
    folder = demo.output / "other_scan"
    demo.train(alone, folder)
    model = load_model(folder)
    study = read_study(model, task.source, task.case.name or "study", task.case.series)
    for warning in study.warnings:
        demo.say(f"Warning: {warning}", style="yellow")
    segmentation = segment_study(model, study, settled=task.shown)
    agreement = agreement_unseen(segmentation.labels.array, task, model.card.labels)
    comparison = Comparison(
        task.reference, "TotalSegmentator's labels on the unseen slices", agreement, region=~task.shown
    )
    write_results(model, study, segmentation, folder / "study", ("report",), comparison=comparison)
    return agreement


def _origin_of_slices(task: Task) -> str:
    first, end = task.case.labelled_slices or (0, 0)
    return f"Slices {first + 1} to {end}, counted from the feet, hold the given labels; the others are the model's."


def _note_scores(model: Model, comparison: Comparison) -> Card:
    """Put the agreement on the model's card."""
    scores = {
        "agreement_dice_unseen": {name: round(value, 4) for name, value in comparison.agreement.items()},
        "with": comparison.name,
    }
    card = model.card.model_copy(update={"scores": scores})
    write_card(model.folder, card)
    return card


def _where_to_look(demo: _Demo, result: StudyResult, seconds: float) -> None:
    for warning in result.warnings:
        demo.say(f"Warning: {warning}", style="yellow")
    demo.say(f"\nDone in {seconds:.0f} s. Look next at:")
    for title, key in (("report", "report"), ("NIfTI", "nifti"), ("DICOM SEG", "dicom-seg")):
        if key in result.outputs:
            demo.say(f"  {title:10} {result.outputs[key]}")
    demo.say(f"  {'model':10} {demo.output / 'model'}")
    demo.say(f"  {'browser':10} make app")
