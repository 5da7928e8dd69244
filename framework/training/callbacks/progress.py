"""How a run goes, in the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from framework.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer


class ProgressBar(Callback):
    """A bar where a person watches (by rich), a line every `line_seconds` in logs and pipes; both on stderr."""

    def __init__(self, line_seconds: float = 10.0) -> None:
        self.line_seconds = line_seconds
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0

    def on_train_epoch_start(self, trainer: Trainer, module: TrainingModule) -> None:
        self._begin(f"epoch {trainer.current_epoch}", trainer.num_training_batches)

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is None and self._task is None:  # resumed in the middle of an epoch
            self._begin(f"epoch {trainer.current_epoch}", trainer.num_training_batches)
        self._show(trainer, f"epoch {trainer.current_epoch}", batch_idx + 1, trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        self._end()
        self._print(f"epoch {trainer.current_epoch}, step {trainer.global_step}, {shown(trainer)}")

    def on_validation_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.stage == "validate":
            self._evaluated(trainer, batch_idx)

    def on_test_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._evaluated(trainer, batch_idx)

    def on_predict_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._evaluated(trainer, batch_idx)

    def on_exception(self, trainer: Trainer, module: TrainingModule, exception: BaseException) -> None:
        self._end()

    def teardown(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        self._end()
        if stage in ("validate", "test") and trainer.callback_metrics:
            self._print(f"{stage}: {_joined(trainer.callback_metrics)}")

    def _evaluated(self, trainer: Trainer, batch_idx: int) -> None:
        if self._task is None:
            self._begin(trainer.stage, trainer.num_evaluation_batches)
        self._show(trainer, trainer.stage, batch_idx + 1, trainer.num_evaluation_batches)

    def _begin(self, name: str, total: int | None) -> None:
        self._end()
        self._task, self._last = name, time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[state]}"), console=Console(stderr=True))
            self._task = self._bar.add_task(name, total=total, state="")
            self._bar.start()

    def _show(self, trainer: Trainer, name: str, done: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, state=shown(trainer))
        elif time.monotonic() - self._last >= self.line_seconds:
            self._last = time.monotonic()
            self._print(f"{name}, batch {done}{'' if total is None else f'/{total}'}, {shown(trainer)}")

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _print(self, line: str) -> None:
        print(line.removesuffix(", "), file=sys.stderr)


def shown(trainer: Trainer) -> str:
    """The metrics that ask to be shown: "train_loss 0.123  val_loss 0.234"."""
    return _joined(trainer.progress_metrics)


def _joined(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
