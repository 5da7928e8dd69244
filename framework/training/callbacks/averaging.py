"""Averages of the weights, which predict more steadily than the last iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import framework
from framework.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from framework.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer


class WeightAveraging(Callback):
    """Keeps an exponential moving average of parameters and buffers; validation uses it, and the fit ends with it.

    After update n the average is d average + (1 - d) weights, d = `decay`; with `warmup` d = min(decay, (1 + n) /
    (10 + n)), so that the beginning does not linger (as TensorFlow's ExponentialMovingAverage does). `avg_fn(average,
    present, n)` puts another average in its place, for instance `swa_utils.get_swa_avg_fn()`, the mean. Updates happen
    every `every_n_steps` optimizer steps from step `start_step` on.
    """

    def __init__(
        self,
        decay: float = 0.999,
        warmup: bool = False,
        every_n_steps: int = 1,
        start_step: int = 0,
        avg_fn: Any = None,
    ) -> None:
        get_ema_multi_avg_fn(decay)  # refuses a decay outside [0, 1]
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps should be at least 1, got {every_n_steps}")
        self.decay, self.warmup, self.avg_fn = decay, warmup, avg_fn
        self.every_n_steps, self.start_step = every_n_steps, start_step
        self.average: AveragedModel | None = None
        self._last_step = 0
        self._swapped = False

    def setup(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        if stage == "fit":
            # The first update copies the weights, so the average does not remember the initialisation.
            self.average = AveragedModel(module, avg_fn=self.avg_fn, multi_avg_fn=None, use_buffers=True)
            self.average.requires_grad_(False)

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step == self._last_step or step < self.start_step or step % self.every_n_steps:
            return
        self._last_step = step
        average = self._made()
        if self.avg_fn is None:
            n = int(average.n_averaged)
            decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
            average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        average.update_parameters(module)

    def on_validation_start(self, trainer: Trainer, module: TrainingModule) -> None:
        if trainer.stage == "fit" and int(self._made().n_averaged):
            self._swap(module)

    def on_validation_end(self, trainer: Trainer, module: TrainingModule) -> None:
        if self._swapped:
            self._swap(module)

    def on_exception(self, trainer: Trainer, module: TrainingModule, exception: BaseException) -> None:
        if self._swapped:
            self._swap(module)

    def on_train_end(self, trainer: Trainer, module: TrainingModule) -> None:
        average = self._made()
        if int(average.n_averaged):
            with framework.no_grad():
                own = module.state_dict()
                for name, value in average.module.state_dict().items():
                    own[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return {"average": dict(self._made().state_dict()), "last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._made().load_state_dict(state_dict["average"])
        self._last_step = int(state_dict["last_step"])

    def _made(self) -> AveragedModel:
        if self.average is None:
            raise RuntimeError("WeightAveraging keeps no average before fit")
        return self.average

    def _swap(self, module: TrainingModule) -> None:
        """Exchange the weights of the module and of the average."""
        with framework.no_grad():
            own = module.state_dict()
            for name, value in self._made().module.state_dict().items():
                kept = own[name].detach().clone()
                own[name].copy_(value)
                value.copy_(kept)
        self._swapped = not self._swapped
