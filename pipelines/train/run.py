"""A training run in its folder: begun, continued, stopped, finished.

The folder holds `config.yaml`, `checkpoint.safetensors`, `log.csv`, `tensorboard/`, `events.jsonl`, and in the end
`model.safetensors` and `card.json`, which together with the configuration are the model.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.training.stop import StopRequest
from pipelines.card import Card, config_hash, file_hash, read_card, write_card
from pipelines.config import Config, dump_config, load_config
from pipelines.errors import OtherRunError, PipelineError, StoppedError, UsageError
from pipelines.events import EventLog
from pipelines.train.cases import load_cases
from pipelines.train.checkpoint import NAME as CHECKPOINT
from pipelines.train.checkpoint import read_checkpoint, write_checkpoint
from pipelines.train.logs import CSV_NAME, TrainingLog
from pipelines.train.loop import Trainer
from pipelines.train.prepare import Prepared, prepare
from pipelines.versions import device, versions

if TYPE_CHECKING:
    from framework import Tensor

EVENTS = "events.jsonl"
WEIGHTS = "model.safetensors"


def train(
    config: Config,
    folder: Path,
    base: Path,
    resume: bool = False,
    restart: bool = False,
    show_agreement: bool = False,
    threads: int | None = None,
    events: Path | None = None,
    quiet: bool = False,
) -> Card:
    """Train the model of `config` in `folder`; relative data paths start from `base`.

    A checkpoint of the same configuration and data in the folder is continued, to the same bits that an uninterrupted
    run gives. Raises StoppedError after Ctrl-C or SIGTERM, with the checkpoint written.
    """
    from pipelines.threads import use_threads

    use_threads(threads)
    if restart:
        _clear(folder)
    finished = _finished(folder, config)
    if finished is not None:
        return finished
    if resume and not (folder / CHECKPOINT).exists():
        raise UsageError(f"there is nothing to resume: {folder} has no {CHECKPOINT}")
    folder.mkdir(parents=True, exist_ok=True)
    log = EventLog(folder / EVENTS, events)
    log.write("prepare", message="reading the training cases")
    prepared = prepare(config, load_cases(config, base))
    trainer = Trainer(config)
    identity = {"config": config_hash(config), "data": [source.model_dump(mode="json") for source in prepared.sources]}
    tally = {"loss": 0.0, "count": 0, "seconds": 0.0}
    if (folder / CHECKPOINT).exists():
        tally = read_checkpoint(folder, trainer, identity)
        log.write("resume", trainer.iteration, config.training.iterations, f"going on at {trainer.iteration}")
    _write_text(folder / "config.yaml", dump_config(config))
    structures = list(config.labels) if show_agreement else []
    with (
        StopRequest() as stop,
        TrainingLog(folder, log, trainer.iteration, config.training.iterations, structures, quiet) as logs,
    ):
        _loop(_Run(folder, prepared, trainer, identity, tally), stop, logs, structures)
    card = _finish(config, folder, prepared, trainer, tally)
    log.write("trained", trainer.iteration, config.training.iterations, "training finished")
    return card


@dataclass(frozen=True)
class _Run:
    """A run in progress; `tally` holds the sums that the logs have in hand, and the seconds of training so far."""

    folder: Path
    prepared: Prepared
    trainer: Trainer
    identity: dict[str, Any]
    tally: dict[str, Any]

    def step(self, images: "Tensor", labels: "Tensor") -> tuple[float, "Tensor"]:
        """One iteration; what a loss that is not a number means for the user is said here."""
        try:
            loss, scores = self.trainer.step(images, labels)
        except FloatingPointError:
            raise PipelineError(
                f"the loss is not a number at iteration {self.trainer.iteration}; "
                "a smaller training.optimizer.lr or some training.warmup helps"
            ) from None
        self.tally["loss"] += loss
        self.tally["count"] += 1
        return loss, scores

    def mean_loss(self) -> float:
        """The mean loss since it was asked for last."""
        mean: float = self.tally["loss"] / self.tally["count"]
        self.tally["loss"], self.tally["count"] = 0.0, 0
        return mean

    def save(self) -> None:
        write_checkpoint(self.folder, self.trainer, self.identity, self.tally)


def _loop(run: _Run, stop: StopRequest, logs: TrainingLog, structures: Sequence[str]) -> None:
    """Train to the end, or until a stop is asked for."""
    training, first = run.trainer.config.training, run.trainer.iteration
    begin, before = time.perf_counter(), run.tally["seconds"]
    for images, labels in _batches(run.trainer.config, run.prepared, first):
        rate = run.trainer.rate()
        loss, scores = run.step(images, labels)
        done, passed = run.trainer.iteration, time.perf_counter() - begin
        run.tally["seconds"] = before + passed
        pace = passed / (done - first)
        last = done == training.iterations
        logs.step(done, loss, rate, pace)
        if done % training.log_every == 0 or last:
            agreement = _agreement(scores, labels, structures) if structures else {}
            logs.record(done, run.mean_loss(), rate, pace, agreement)
        if done % training.checkpoint_every == 0 or last or stop.asked:
            run.save()
        if stop.asked and not last:
            raise StoppedError(
                f"Stopped after iteration {done} of {training.iterations}; the same command goes on from there."
            )


def _batches(config: Config, prepared: Prepared, first: int) -> Any:
    """Batches (images, labels) of the iterations from `first` on; the patches depend on their number alone."""
    from framework.data import DataLoader

    size = config.training.batch_size
    order = range(first * size, config.training.iterations * size)
    loader = DataLoader(prepared.patches, batch_size=size, sampler=order, num_workers=config.training.workers, seed=0)
    for batch in loader:
        yield batch["image"], batch["label"]


def _agreement(scores: "Tensor", labels: "Tensor", structures: Sequence[str]) -> dict[str, float]:
    """Dice of each structure on one batch; nan where the batch has none of it."""
    import numpy as np

    from medimg.data import IGNORE

    predicted = np.argmax(scores.detach().numpy(), axis=1).swapaxes(-1, -3)
    reference = np.asarray(labels.numpy())
    known = reference != IGNORE
    result = {}
    for value, name in enumerate(structures, start=1):
        ours, theirs = (predicted == value) & known, reference == value
        total = int(ours.sum()) + int(theirs.sum())
        result[name] = 2 * int((ours & theirs).sum()) / total if total else float("nan")
    return result


def _finish(config: Config, folder: Path, prepared: Prepared, trainer: Trainer, tally: dict[str, Any]) -> Card:
    import framework

    framework.save(trainer.weights(), folder / WEIGHTS)
    card = Card(
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=config.labels,
        spacing=prepared.spacing,
        intensity=prepared.intensity,
        fingerprint=prepared.fingerprint,
        sources=prepared.sources,
        config_sha256=file_hash(folder / "config.yaml"),
        weights_sha256=file_hash(folder / WEIGHTS),
        seed=config.training.seed,
        iterations=config.training.iterations,
        seconds=round(tally["seconds"], 1),
        device=device(),
        versions=versions(),
    )
    write_card(folder, card)
    return card


def _finished(folder: Path, config: Config) -> Card | None:
    """The card of a run that is complete; OtherRunError where it is the run of another configuration."""
    if not (folder / "card.json").exists():
        return None
    card = read_card(folder)
    if config_hash(load_config(folder / "config.yaml")) != config_hash(config):
        raise OtherRunError(
            f"{folder} holds a finished model of another configuration; "
            "choose another folder with -o, or --restart to throw that model away"
        )
    return card


def _clear(folder: Path) -> None:
    for name in ("card.json", WEIGHTS, CHECKPOINT, CSV_NAME, EVENTS, "config.yaml"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    from framework.core.files import atomic_write

    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write(text)
