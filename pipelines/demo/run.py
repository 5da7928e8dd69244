"""The demonstration from training to report.

A CT study is labelled on its 12 most inferior slices only. A small network learns from those and from a second scan,
then segments the 8 superior slices, which it never saw; that finishes the contouring.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.card import Card, write_card
from pipelines.config import Config
from pipelines.demo.compare import agreement_table, agreement_unseen, copy_floor, threshold_floor
from pipelines.demo.samples import Task, demo_config, find_samples, load_task
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
LATEST_COMPARISON_SECONDS = 200.0
COMPARISON_PART = 3


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

    console = Console(quiet=quiet)
    begin = time.perf_counter()
    samples = find_samples(data)
    config = demo_config(overrides)
    task = load_task(config, samples)
    console.print("Finishing a contouring. Research use only.", style="bold")
    console.print(_plan(config, task), highlight=False)
    train(config, output / "model", base=samples, threads=threads, events=events, quiet=quiet)
    log = EventLog(events)
    model = load_model(output / "model")
    study = read_study(model, task.source, task.case.name or "study", task.case.series, log)
    segmented = time.perf_counter()
    segmentation = segment_study(model, study, log)
    seconds = {"read": study.seconds, "segment": round(time.perf_counter() - segmented, 3)}
    agreement = agreement_unseen(segmentation.labels.array, task, model.card.labels)
    others = {COPY: copy_floor(task, model.card.labels)}
    if time.perf_counter() - begin < LATEST_COMPARISON_SECONDS:
        others[OTHER_SCAN] = _other_scan(config, task, output, samples, threads, events, quiet, console)
    comparison = Comparison(
        reference=task.reference,
        name=f"TotalSegmentator's labels on the {task.unseen_slices} slices that training never saw",
        agreement=agreement,
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
    console.print(agreement_table(comparison, task.unseen_slices))
    _where_to_look(console, result, output, time.perf_counter() - begin)
    return result


def _plan(config: Config, task: Task) -> str:
    first, end = task.case.labelled_slices or (0, 0)
    return (
        f"Training sees slices {first + 1} to {end} (from the feet) of the study and a second scan; the other "
        f"{task.unseen_slices} slices are segmented afterwards. {config.training.iterations} iterations."
    )


def _other_scan(
    config: Config,
    task: Task,
    output: Path,
    samples: Path,
    threads: int | None,
    events: Path | None,
    quiet: bool,
    console: "Console",
) -> dict[str, float]:
    """Agreement of a model that never saw this study: another scanner, another contrast phase."""
    console.print("For comparison, a shorter training on the other scan alone:", highlight=False)
    others = (case for case in config.data.cases if case != task.case)
    rest = tuple(case.model_copy(update={"joins_at": 0.0}) for case in others)
    alone = config.model_copy(
        update={
            "name": f"{config.name}_other_scan",
            "data": config.data.model_copy(update={"cases": rest}),
            "training": config.training.model_copy(
                update={"iterations": max(1, config.training.iterations // COMPARISON_PART)}
            ),
        }
    )
    train(alone, output / "other_scan", base=samples, threads=threads, events=events, quiet=quiet)
    model = load_model(output / "other_scan")
    study = read_study(model, task.source, task.case.name or "study", task.case.series)
    for warning in study.warnings:
        console.print(f"Warning: {warning}", style="yellow", highlight=False)
    segmentation = segment_study(model, study)
    agreement = agreement_unseen(segmentation.labels.array, task, model.card.labels)
    comparison = Comparison(
        task.reference, "TotalSegmentator's labels on the unseen slices", agreement, region=~task.shown
    )
    write_results(model, study, segmentation, output / "other_scan" / "study", ("report",), comparison=comparison)
    return agreement


def completed(labels: "Volume", task: Task) -> "Volume":
    """The given contours where there are some, the model's on the other slices."""
    import numpy as np

    array = np.where(task.shown, task.reference.array, labels.array).astype(labels.array.dtype)
    return labels.with_array(array)


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


def _where_to_look(console: "Console", result: StudyResult, output: Path, seconds: float) -> None:
    for warning in result.warnings:
        console.print(f"Warning: {warning}", style="yellow", highlight=False)
    console.print(f"\nDone in {seconds:.0f} s. Look next at:", highlight=False)
    for title, key in (("report", "report"), ("NIfTI", "nifti"), ("DICOM SEG", "dicom-seg")):
        if key in result.outputs:
            console.print(f"  {title:10} {result.outputs[key]}", highlight=False, soft_wrap=True)
    console.print(f"  {'model':10} {output / 'model'}", highlight=False, soft_wrap=True)
    console.print(f"  {'browser':10} make app", highlight=False)
