"""The events of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.training.module import TrainingModule
    from framework.training.trainer import Trainer


class Callback:
    """Base of callbacks: define the methods of the events that matter. All get the trainer and the module.

    The order of events in `fit`:

        setup, on_fit_start
        on_sanity_check_start, (validation events), on_sanity_check_end
        on_train_start
        each epoch: on_train_epoch_start
            each batch: on_train_batch_start, on_before_backward, on_after_backward,
                        on_before_optimizer_step, on_before_zero_grad, on_train_batch_end, (on_safe_point)
            on_validation_start, on_validation_epoch_start,
            each batch: on_validation_batch_start, on_validation_batch_end
            on_validation_epoch_end, on_validation_end
            on_train_epoch_end, (on_safe_point)
        (on_safe_point), on_train_end, on_fit_end, teardown

    `validate`, `test` and `predict` run their own events between setup and teardown. `on_exception` comes when an error
    ends the run. A callback with state defines `state_dict` and `load_state_dict`; checkpoints then hold it.
    """

    def setup(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        """Before anything; `stage` is "fit", "validate", "test" or "predict"."""

    def teardown(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        """After everything, also after an error."""

    def on_fit_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """The optimizers exist, and a resumed run has its state."""

    def on_fit_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """The fit is complete."""

    def on_sanity_check_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """A few batches of validation follow, to find mistakes early."""

    def on_sanity_check_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """They went through; what they logged is forgotten."""

    def on_train_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the first epoch."""

    def on_train_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the last epoch, or when the run ends early."""

    def on_train_epoch_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the first batch of an epoch; a run resumed in the middle of an epoch does not repeat it."""

    def on_train_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the last batch of an epoch and its validation; the epoch's means are in `trainer.callback_metrics`."""

    def on_train_batch_start(self, trainer: Trainer, module: TrainingModule, batch: Any, batch_idx: int) -> None:
        """Before a batch."""

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a batch; `outputs` is what the training step gave."""

    def on_before_backward(self, trainer: Trainer, module: TrainingModule, loss: Any) -> None:
        """The loss (divided by the number of accumulated batches, not scaled) is known."""

    def on_after_backward(self, trainer: Trainer, module: TrainingModule) -> None:
        """The gradients are there, still scaled where the precision asks for scaling."""

    def on_before_optimizer_step(self, trainer: Trainer, module: TrainingModule, optimizer: Any) -> None:
        """The gradients are unscaled, accumulated and not yet clipped."""

    def on_before_zero_grad(self, trainer: Trainer, module: TrainingModule, optimizer: Any) -> None:
        """The optimizer has stepped."""

    def on_validation_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before validation; the module is in eval mode."""

    def on_validation_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After validation; its means are in `trainer.callback_metrics`."""

    def on_validation_epoch_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the first batch of validation."""

    def on_validation_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the last batch of validation; what is logged here counts among its means."""

    def on_validation_batch_start(self, trainer: Trainer, module: TrainingModule, batch: Any, batch_idx: int) -> None:
        """Before a batch."""

    def on_validation_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a batch."""

    def on_test_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the test."""

    def on_test_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the test."""

    def on_test_epoch_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the first batch of the test."""

    def on_test_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the last batch of the test."""

    def on_test_batch_start(self, trainer: Trainer, module: TrainingModule, batch: Any, batch_idx: int) -> None:
        """Before a batch."""

    def on_test_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a batch."""

    def on_predict_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before predictions."""

    def on_predict_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After predictions."""

    def on_predict_epoch_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Before the first batch of predictions."""

    def on_predict_epoch_end(self, trainer: Trainer, module: TrainingModule) -> None:
        """After the last batch of predictions."""

    def on_predict_batch_start(self, trainer: Trainer, module: TrainingModule, batch: Any, batch_idx: int) -> None:
        """Before a batch."""

    def on_predict_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a batch; `outputs` is the prediction."""

    def on_safe_point(self, trainer: Trainer, module: TrainingModule, event: str) -> None:
        """All that belongs to a batch ("batch"), to an epoch ("epoch") or to the fit ("end") is done.

        The place to save: a run resumed from here goes on to the same bits.
        """

    def on_exception(self, trainer: Trainer, module: TrainingModule, exception: BaseException) -> None:
        """An error, or a request to stop, ends the run."""

    def on_save_checkpoint(self, trainer: Trainer, module: TrainingModule, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be written: more may be put into it."""

    def on_load_checkpoint(self, trainer: Trainer, module: TrainingModule, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be loaded."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""

    @property
    def state_key(self) -> str:
        """The name of this callback's state in checkpoints; two of one class need different ones."""
        return type(self).__name__
