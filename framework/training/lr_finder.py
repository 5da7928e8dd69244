"""The range test of learning rates (Smith 2017): the loss as the rate grows from tiny to too large."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from framework.training.callbacks import Callback
from framework.training.module import TrainingModule
from framework.training.seeding import random_state, set_random_state
from framework.training.trainer import Trainer


@dataclass(frozen=True)
class LearningRates:
    """Rates, and the smoothed loss after a step with each."""

    lrs: list[float]
    losses: list[float]

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The rate where the loss falls most steeply; None where too few steps were made."""
        losses = self.losses[skip_begin : len(self.losses) - skip_end]
        finite = [loss for loss in losses if math.isfinite(loss)]
        if len(finite) < 3:
            return None
        slopes = [(losses[i + 1] - losses[i - 1]) / 2 for i in range(1, len(losses) - 1)]
        return self.lrs[skip_begin + 1 + min(range(len(slopes)), key=lambda i: slopes[i])]


def find_learning_rate(
    module: TrainingModule,
    train_dataloaders: Any,
    min_lr: float = 1e-8,
    max_lr: float = 1.0,
    num_training: int = 100,
    mode: str = "exponential",
    early_stop_threshold: float | None = 4.0,
    **settings: Any,
) -> LearningRates:
    """Train for `num_training` steps with rates from `min_lr` to `max_lr`, and leave everything as it was.

    Stops early once the loss is `early_stop_threshold` times the least. `settings` go to the Trainer (precision,
    gradient_clip_val, accumulate_grad_batches, ...). The schedules of the module are not used.
    """
    if mode not in ("exponential", "linear"):
        raise ValueError(f"mode is 'exponential' or 'linear', got {mode!r}")
    if not 0 < min_lr < max_lr or num_training < 2:
        raise ValueError("0 < min_lr < max_lr and num_training >= 2 are needed")
    sweep = _Sweep(min_lr, max_lr, num_training, mode, early_stop_threshold)
    weights, streams = deepcopy(dict(module.state_dict())), random_state()
    modes = {part: part.training for part in module.modules()}
    loader = train_dataloaders.state_dict() if hasattr(train_dataloaders, "state_dict") else None
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=num_training, callbacks=[sweep], check_finite_loss=False, **{**quiet, **settings})
    try:
        trainer.fit(module, train_dataloaders)
    finally:
        module.load_state_dict(weights)
        module.zero_grad()
        for part, training in modes.items():
            part.training = training
        if loader is not None:
            train_dataloaders.load_state_dict(loader)
        set_random_state(streams)
    return LearningRates(sweep.lrs, sweep.losses)


class _Sweep(Callback):
    """Sets the rate before each step, and keeps the smoothed loss after it."""

    def __init__(self, low: float, high: float, steps: int, mode: str, threshold: float | None) -> None:
        self.low, self.high, self.steps, self.mode, self.threshold = low, high, steps, mode, threshold
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self._average, self._least, self._loss = 0.0, math.inf, 0.0

    def on_fit_start(self, trainer: Trainer, module: TrainingModule) -> None:
        if not module.automatic_optimization:
            raise ValueError("the range test steps the optimizer itself: it needs automatic_optimization")
        trainer.schedules = []

    def on_before_backward(self, trainer: Trainer, module: TrainingModule, loss: Any) -> None:
        self._loss = float(loss.detach()) * trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, trainer: Trainer, module: TrainingModule, optimizer: Any) -> None:
        done = trainer.global_step / (self.steps - 1)
        line, curve = self.low + (self.high - self.low) * done, self.low * (self.high / self.low) ** done
        self.lrs.append(line if self.mode == "linear" else curve)
        for group in optimizer.param_groups:
            group["lr"] = self.lrs[-1]
        self._average = 0.98 * self._average + 0.02 * self._loss
        self.losses.append(self._average / (1 - 0.98 ** len(self.lrs)))
        if self.threshold is not None and len(self.lrs) > 1 and not self.losses[-1] <= self.threshold * self._least:
            trainer.should_stop = True
        self._least = min(self._least, self.losses[-1])
