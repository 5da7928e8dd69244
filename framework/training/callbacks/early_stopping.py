"""Ending a run that no longer improves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from framework.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer


class EarlyStopping(Callback):
    """Stops the fit when the metric `monitor` has not improved by more than `min_delta` for `patience` checks.

    A check is a validation, or the end of an epoch where there is none. `mode` says whether less ("min") or more
    ("max") is better. `stopping_threshold`: good enough; `divergence_threshold`: hopeless; `check_finite`: stop at NaN
    and infinity. With `strict` a metric that was not logged is a KeyError.
    """

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode can be 'min' or 'max', got {mode!r}")
        self.monitor, self.min_delta, self.patience, self.mode = monitor, abs(min_delta), patience, mode
        self.strict, self.check_finite = strict, check_finite
        self.stopping_threshold, self.divergence_threshold = stopping_threshold, divergence_threshold
        self.wait_count, self.stopped_epoch = 0, 0
        self.best_score = math.inf if mode == "min" else -math.inf
        self.reason = ""

    def on_train_start(self, trainer: Trainer, module: TrainingModule) -> None:
        if self.reason and self.wait_count >= self.patience:  # resumed from the end of a run that was stopped
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, module: TrainingModule) -> None:
        if not trainer.sanity_checking and trainer.stage == "fit":
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        if not trainer.has_validation:
            self._check(trainer)

    @property
    def state_key(self) -> str:
        return f"EarlyStopping({self.monitor}, {self.mode})"

    def state_dict(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("wait_count", "stopped_epoch", "best_score", "reason")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)

    def _check(self, trainer: Trainer) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            if self.strict:
                known = ", ".join(sorted(trainer.callback_metrics)) or "nothing yet"
                raise KeyError(f"EarlyStopping watches {self.monitor!r}, which was not logged; logged are: {known}")
            return
        sign = 1 if self.mode == "min" else -1
        if self.check_finite and not math.isfinite(score):
            self._stop(trainer, f"{self.monitor} is {score}")
        elif self.stopping_threshold is not None and sign * score < sign * self.stopping_threshold:
            self._stop(trainer, f"{self.monitor} {score:.6g} is good enough (threshold {self.stopping_threshold})")
        elif self.divergence_threshold is not None and sign * score > sign * self.divergence_threshold:
            self._stop(trainer, f"{self.monitor} {score:.6g} diverged (threshold {self.divergence_threshold})")
        elif sign * score < sign * self.best_score - self.min_delta:
            self.best_score, self.wait_count = score, 0
        else:
            self.wait_count += 1
            if self.wait_count >= self.patience:
                self._stop(
                    trainer, f"{self.monitor} has not improved on {self.best_score:.6g} in {self.wait_count} checks"
                )

    def _stop(self, trainer: Trainer, reason: str) -> None:
        self.reason, self.stopped_epoch, trainer.should_stop = reason, trainer.current_epoch, True
