"""Learning rates in the logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framework.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer


class LearningRateMonitor(Callback):
    """Logs the rate of every parameter group at each step: "lr", with several optimizers "lr-AdamW" and so on.

    Of several groups the rates are "lr/0", "lr/1". `log_momentum` logs momentum, or the first beta, too.
    """

    def __init__(self, log_momentum: bool = False) -> None:
        self.log_momentum = log_momentum

    def on_before_optimizer_step(self, trainer: Trainer, module: TrainingModule, optimizer: Any) -> None:
        suffix = f"-{type(optimizer).__name__}" if len(trainer.optimizers) > 1 else ""
        groups = optimizer.param_groups
        for i, group in enumerate(groups):
            place = f"/{i}" if len(groups) > 1 else ""
            trainer.log(f"lr{suffix}{place}", group["lr"], on_step=True, on_epoch=False)
            momentum = group["betas"][0] if "betas" in group else group.get("momentum")
            if self.log_momentum and momentum is not None:
                trainer.log(f"momentum{suffix}{place}", momentum, on_step=True, on_epoch=False)
