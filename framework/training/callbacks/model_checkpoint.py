"""Checkpoints during a run: the last one, and the best."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer

SUFFIX = ".safetensors"
LAST = f"last{SUFFIX}"


class ModelCheckpoint(Callback):
    """Writes checkpoints at the end of every `every_n_epochs` epochs, or after every `every_n_train_steps` steps.

    `last.safetensors` (`save_last`) is the newest, and written at the end of a fit too: fit(..., ckpt_path="last") goes
    on from it. With a `monitor`, the `save_top_k` best by that metric are kept besides (-1: all), and
    `best_model_path` names the best; without one the `save_top_k` newest. Names come from `filename` with the epoch,
    the step and metrics in braces: "{epoch}-{step}-{val_loss:.3f}" gives "epoch=3-step=400-val_loss=0.123.safetensors".
    Files lie in `dirpath` (default: "checkpoints" in the trainer's folder), and are whole or absent at any moment.
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str = "{epoch}-{step}",
        monitor: str | None = None,
        mode: str = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        every_n_train_steps: int | None = None,
        every_n_epochs: int | None = None,
        save_weights_only: bool = False,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode can be 'min' or 'max', got {mode!r}")
        if save_top_k < -1:
            raise ValueError(f"save_top_k should be -1 (all), 0 or more, got {save_top_k}")
        for name, value in (("every_n_train_steps", every_n_train_steps), ("every_n_epochs", every_n_epochs)):
            if value is not None and value < 1:
                raise ValueError(f"{name} should be at least 1, got {value}")
        if every_n_train_steps is None and every_n_epochs is None:
            every_n_epochs = 1
        self.dirpath = Path(dirpath) if dirpath is not None else None
        self.filename, self.monitor, self.mode = filename, monitor, mode
        self.save_top_k, self.save_last, self.save_weights_only = save_top_k, save_last, save_weights_only
        self.every_n_train_steps, self.every_n_epochs = every_n_train_steps, every_n_epochs
        self.kept: dict[str, float] = {}  # file name -> score, in the order of writing
        self.best_model_path, self.best_model_score = "", math.nan
        self._last_step = -1

    def setup(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        if self.dirpath is None:
            self.dirpath = trainer.checkpoint_folder
        if stage == "fit":
            self._folder()

    def on_safe_point(self, trainer: Trainer, module: TrainingModule, event: str) -> None:
        if event == "end":  # a fit that ends in the middle of an epoch
            if self.save_last and trainer.global_step != self._last_step:
                self._last_step = trainer.global_step
                trainer.save_checkpoint(self._folder() / LAST, weights_only=self.save_weights_only)
            return
        if event == "epoch":
            due = self.every_n_epochs is not None and trainer.current_epoch % self.every_n_epochs == 0
        else:
            every = self.every_n_train_steps
            due = every is not None and trainer.global_step % every == 0 and trainer.global_step != self._last_step
        if due:
            self._last_step = trainer.global_step
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write what is due now, and remove what no longer belongs to the best."""
        folder = self._folder()
        names = []
        leaving: list[str] = []
        if self.save_top_k and (self.monitor is None or self.monitor in trainer.callback_metrics):
            name = self._name(trainer)
            score = trainer.callback_metrics[self.monitor] if self.monitor is not None else float(trainer.global_step)
            leaving = self._keep(name, score)
            if name in self.kept:
                names.append(name)
        elif self.save_top_k and trainer.current_epoch and (trainer.has_validated or not trainer.has_validation):
            known = ", ".join(sorted(trainer.callback_metrics)) or "nothing yet"
            raise KeyError(f"ModelCheckpoint watches {self.monitor!r}, which was not logged; logged are: {known}")
        if self.save_last:
            names.append(LAST)
        for name in names:
            trainer.save_checkpoint(folder / name, weights_only=self.save_weights_only)
        for name in leaving:
            (folder / name).unlink(missing_ok=True)

    @property
    def state_key(self) -> str:
        return f"ModelCheckpoint({self.monitor}, {self.mode}, {self.every_n_train_steps}, {self.every_n_epochs})"

    def state_dict(self) -> dict[str, Any]:
        keys = ("kept", "best_model_path", "best_model_score", "_last_step")
        return {key: getattr(self, key) for key in keys}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)

    def _folder(self) -> Path:
        if self.dirpath is None:
            raise RuntimeError("ModelCheckpoint has no folder: give dirpath, or default_root_dir to the Trainer")
        return self.dirpath

    def _keep(self, name: str, score: float) -> list[str]:
        """Take a name among the kept ones where its score is good enough; gives the names that leave."""
        self.kept.pop(name, None)
        self.kept[name] = score
        sign = 1 if self.mode == "min" and self.monitor is not None else -1

        def rank(name: str) -> float:
            value = sign * self.kept[name]
            return math.inf if math.isnan(value) else value

        ranked = sorted(self.kept, key=rank)
        leaving = ranked[self.save_top_k :] if self.save_top_k > 0 else []
        for gone in leaving:
            del self.kept[gone]
        if ranked:
            self.best_model_path, self.best_model_score = str(self._folder() / ranked[0]), self.kept[ranked[0]]
        return [gone for gone in leaving if gone != name]

    def _name(self, trainer: Trainer) -> str:
        values = {**trainer.callback_metrics, "epoch": trainer.epoch_of_step, "step": trainer.global_step}

        def filled(match: re.Match[str]) -> str:
            name, _, form = match[1].partition(":")
            if name not in values:
                raise KeyError(f"ModelCheckpoint: {self.filename!r} names {name!r}, which was not logged")
            return f"{name}={format(values[name], form)}".replace("/", "_")

        return re.sub(r"\{([^}]+)\}", filled, self.filename) + SUFFIX
