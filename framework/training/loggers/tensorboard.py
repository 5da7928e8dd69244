"""Metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.training.loggers.events import ScalarWriter
from framework.training.loggers.logger import Logger


class TensorBoardLogger(Logger):
    """Scalars as event files in a folder; `tensorboard --logdir FOLDER` shows them.

    A resumed run begins a new file that tells TensorBoard to drop what the former one holds beyond the checkpoint.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: ScalarWriter | None = None
        self._step = 0
        self._purge: int | None = None

    def start(self) -> None:
        self.finalize("")
        self._step, self._purge = 0, 0 if self.folder.exists() else None

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        if self._writer is None:
            self._writer = ScalarWriter(self.folder, self._purge)
        self._writer.add(step, **metrics)
        self._step = step

    def finalize(self, status: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._step = int(state_dict["step"])
        self._purge = self._step + 1
