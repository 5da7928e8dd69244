"""What a Trainer trains: a module that knows its steps and its optimizers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from framework.core.tensor import Tensor
from framework.nn.modules.module import Module

if TYPE_CHECKING:
    from framework.training.trainer import Trainer


class TrainingModule(Module):
    """A network together with how it is trained; a subclass defines `training_step` and `configure_optimizers`.

        class Classifier(TrainingModule):
            def training_step(self, batch, batch_idx):
                images, labels = batch
                loss = F.cross_entropy(self(images), labels)
                self.log("train_loss", loss)
                return loss

            def configure_optimizers(self):
                return optim.AdamW(self.parameters(), lr=1e-3)

    With `automatic_optimization = False` the training step itself calls `manual_backward` and steps `optimizers()`.
    Every hook of `Callback` may also be defined here, without its first two arguments.
    """

    automatic_optimization = True
    _trainer: weakref.ref[Trainer] | None = None

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The loss of a batch, a dict with "loss", or None to leave the batch out."""
        raise NotImplementedError(f"{type(self).__name__} does not define training_step(batch, batch_idx)")

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """What is measured on a batch of the validation data; log it."""
        raise NotImplementedError(f"{type(self).__name__} does not define validation_step(batch, batch_idx)")

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """What is measured on a batch of the test data; log it."""
        raise NotImplementedError(f"{type(self).__name__} does not define test_step(batch, batch_idx)")

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """What `Trainer.predict` gives for a batch: the output for the batch, or for its first item."""
        return self(batch[0] if isinstance(batch, list | tuple) else batch)

    def configure_optimizers(self) -> Any:
        """An optimizer; or a dict of "optimizer" and "lr_scheduler"; or lists of optimizers and of schedulers.

        A scheduler may be a dict of "scheduler", "interval" ("epoch" or "step"), "frequency" and "monitor" (the metric
        that ReduceLROnPlateau watches).
        """
        raise NotImplementedError(f"{type(self).__name__} does not define configure_optimizers()")

    @property
    def trainer(self) -> Trainer:
        """The Trainer at work."""
        trainer = self._trainer() if self._trainer is not None else None
        if trainer is None:
            raise RuntimeError(f"{type(self).__name__} is not attached to a Trainer: it is, during fit and its like")
        return trainer

    @property
    def current_epoch(self) -> int:
        """The epoch under way, from 0."""
        return self.trainer.current_epoch

    @property
    def global_step(self) -> int:
        """Optimizer steps made so far."""
        return self.trainer.global_step

    def log(self, name: str, value: Any, **options: Any) -> None:
        """Log a number: see `Trainer.log`."""
        self.trainer.log(name, value, **options)

    def log_dict(self, values: Mapping[str, Any], **options: Any) -> None:
        """Log several numbers."""
        for name, value in values.items():
            self.trainer.log(name, value, **options)

    def optimizers(self) -> Any:
        """The optimizer, or the list of them where there are several."""
        made = self.trainer.optimizers
        return made[0] if len(made) == 1 else made

    def lr_schedulers(self) -> Any:
        """The schedule, the list of them, or None."""
        made = [plan.scheduler for plan in self.trainer.schedules]
        return made[0] if len(made) == 1 else made or None

    def manual_backward(self, loss: Tensor) -> None:
        """`loss.backward()`, scaled where the precision asks for it; for modules that optimize by themselves."""
        self.trainer.backward(loss)


class Supervised(TrainingModule):
    """A plain network with a loss: batches are pairs (input, target), or dicts with the names of `keys`.

    `optimizer` is made of parameters (`lambda params: optim.AdamW(params, lr=1e-3)`) and `scheduler` of the optimizer;
    the schedule counts optimizer steps, or epochs with `interval="epoch"`. `metrics` are functions of (output, target)
    that are averaged over validation and test data. Logs train_loss, val_loss, val_<metric> and so on.
    """

    def __init__(
        self,
        network: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Callable[[Iterable[Tensor]], Any],
        scheduler: Callable[[Any], Any] | None = None,
        metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        interval: str = "step",
        keys: tuple[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self._metrics, self._interval, self._keys = dict(metrics or {}), interval, keys

    def forward(self, *args: Any) -> Any:
        """What the network gives."""
        return self.network(*args)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        given, target = self._pair(batch)
        loss = self.loss(self.network(given), target)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(batch, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        if self._keys is not None and isinstance(batch, dict):
            batch = batch[self._keys[0]]
        return super().predict_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(self.network.parameters())
        if self._make_scheduler is None:
            return optimizer
        plan = {"scheduler": self._make_scheduler(optimizer), "interval": self._interval, "monitor": "val_loss"}
        return {"optimizer": optimizer, "lr_scheduler": plan}

    def _pair(self, batch: Any) -> tuple[Any, Any]:
        if self._keys is not None:
            return batch[self._keys[0]], batch[self._keys[1]]
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise TypeError(
                f"Supervised takes batches (input, target), but got a {type(batch).__name__}: give keys=(...) for "
                "dicts, or write a TrainingModule"
            )
        return batch[0], batch[1]

    def _measure(self, batch: Any, stage: str) -> None:
        given, target = self._pair(batch)
        output = self.network(given)
        self.log(f"{stage}_loss", self.loss(output, target), prog_bar=True)
        for name, metric in self._metrics.items():
            self.log(f"{stage}_{name}", metric(output, target), prog_bar=True)
