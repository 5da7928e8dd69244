"""Epochs and batches of a fit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from framework.nn.utils import clip_grad_norm_, clip_grad_value_
from framework.training.batches import length, limited, moved

if TYPE_CHECKING:
    from framework.training.trainer import Trainer


class FitLoop:
    """Where a fit stands: `batch_idx` batches of the epoch are done, `pending` of them wait for an optimizer step.

    All that a batch brings about (its optimizer step, a validation that is due) is done before the next batch is
    fetched, and the end of an epoch is an event of its own: so after each of the two the whole state can be written
    down, and a run goes on from there to the same bits.
    """

    def __init__(self, trainer: Trainer, loader: Any, validation: Any) -> None:
        self.trainer, self.loader, self.validation = trainer, loader, validation
        self.batch_idx = 0
        self.pending = 0
        self.total = limited(length(loader), trainer.limit_train_batches)
        self.val_every = None if validation is None else _interval(trainer.val_check_interval, self.total)
        self._loader_state: Any = None
        self._resumed = False
        self._seconds, self._begun = 0.0, time.monotonic()

    def run(self) -> None:
        """Train until the epochs, the steps or the time are used up, or something asks to stop."""
        trainer = self.trainer
        self._begun = time.monotonic()
        if not trainer.module.training:  # a module left in eval mode; parts that alone are in it, frozen ones, stay so
            trainer.module.train()
        trainer.call("on_train_start")
        while not self._done() and not trainer.should_stop:
            self._epoch()
        trainer.call("on_safe_point", "end")
        trainer.call("on_train_end")

    def seconds(self) -> float:
        """Time spent training, over all resumed parts."""
        return self._seconds + time.monotonic() - self._begun

    def loader_state(self) -> Any:
        """The loader's own state, where it keeps one; a resumed run that has not yet fetched a batch hands it on."""
        if self._resumed:
            return self._loader_state
        return self.loader.state_dict() if hasattr(self.loader, "state_dict") else None

    def resume(self, state: dict[str, Any]) -> None:
        """Go on in the middle of an epoch."""
        self.batch_idx, self.pending = state["batch_idx"], state["pending"]
        self._seconds, self._loader_state, self._resumed = state["seconds"], state["loader"], True

    def _done(self) -> bool:
        trainer = self.trainer
        if trainer.max_time is not None and self.seconds() >= trainer.max_time:
            trainer.should_stop = True
        return trainer.global_step >= trainer.max_steps >= 0 or (
            trainer.current_epoch >= trainer.max_epochs >= 0 and not self.batch_idx
        )

    def _epoch(self) -> None:
        """The rest of an epoch. A run that stops in its middle leaves the epoch open."""
        trainer = self.trainer
        batches = self._batches()
        if not self.batch_idx:
            trainer.results.clear()
            trainer.call("on_train_epoch_start")
        try:
            for batch in batches:
                self._batch(batch)
                trainer.epoch_of_step = trainer.current_epoch
                trainer.call("on_safe_point", "batch")
                # Between accumulated batches a request waits for the optimizer's step.
                if not self.pending:
                    trainer.stop_if_asked()
                    if self._done() or trainer.should_stop:
                        if self.batch_idx == self.total:
                            break
                        return
        finally:
            if hasattr(batches, "close"):
                batches.close()
        self._end_of_epoch()

    def _batches(self) -> Iterator[Any]:
        """What is left of this epoch's batches."""
        loader, limit, done = self.loader, self.trainer.limit_train_batches, self.batch_idx
        if self._resumed and self._loader_state is not None:
            loader.load_state_dict(self._loader_state)
            skip = 0
        else:
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(self.trainer.current_epoch)
            skip = done  # a plain iterable: what was seen is read again
        self._resumed, self._loader_state = False, None
        last = self.total if self.total is not None else limited(None, limit)
        if last is not None and done >= last:
            return iter(())
        fresh = iter(loader)
        for _ in islice(fresh, skip):
            pass
        return _Limited(fresh, None if last is None else last - done)

    def _batch(self, batch: Any) -> None:
        trainer, index = self.trainer, self.batch_idx
        batch = moved(batch, trainer.device)
        trainer.present_batch = batch
        trainer.results.step.clear()
        trainer.call("on_train_batch_start", batch, index)
        with trainer.precision.forward():
            outputs = trainer.module.training_step(batch, index)
        stepped = False
        if trainer.module.automatic_optimization:
            stepped = self._optimize(outputs)
        else:
            trainer.global_step += 1
            stepped = True
        self.batch_idx += 1
        trainer.call("on_train_batch_end", outputs, batch, index)
        trainer.present_batch = None
        if stepped:
            trainer.log_step()
        if self.val_every is not None and self.batch_idx % self.val_every == 0 and not self._is_last():
            trainer.validate_during_fit(self.validation)

    def _optimize(self, outputs: Any) -> bool:
        """Backward, and the optimizer's step where enough batches are accumulated."""
        trainer = self.trainer
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None:
            return False
        self._check_loss(loss)
        loss = loss / trainer.accumulate_grad_batches if trainer.accumulate_grad_batches > 1 else loss
        trainer.call("on_before_backward", loss)
        trainer.backward(loss)
        trainer.call("on_after_backward")
        self.pending += 1
        if self.pending < trainer.accumulate_grad_batches and self.batch_idx + 1 != self.total:
            return False
        self._step()
        return True

    def _step(self) -> None:
        trainer = self.trainer
        (optimizer,) = trainer.optimizers
        trainer.precision.unscale(optimizer)
        trainer.call("on_before_optimizer_step", optimizer)
        self._clip(optimizer)
        taken = trainer.precision.step(optimizer)
        trainer.call("on_before_zero_grad", optimizer)
        optimizer.zero_grad()
        trainer.global_step += 1
        self.pending = 0
        if taken:
            for plan in trainer.schedules:
                plan.step("step", trainer.global_step, trainer.callback_metrics)

    def _clip(self, optimizer: Any) -> None:
        limit = self.trainer.gradient_clip_val
        if limit is None:
            return
        params = [param for group in optimizer.param_groups for param in group["params"]]
        if self.trainer.gradient_clip_algorithm == "value":
            clip_grad_value_(params, limit)
        else:
            clip_grad_norm_(params, limit)

    def _check_loss(self, loss: Any) -> None:
        if not self.trainer.check_finite_loss:
            return
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value}; the weights are those of the step before. A smaller learning rate, a warm-up or "
                "gradient_clip_val helps"
            )

    def _is_last(self) -> bool:
        return self.batch_idx == self.total

    def _end_of_epoch(self) -> None:
        trainer = self.trainer
        if not self.batch_idx:
            raise ValueError("the training data gave no batch: is the dataset empty, or drop_last larger than it?")
        if self.pending:  # an epoch of unknown length ended between two steps
            self._step()
            trainer.log_step()
        due = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0
        if self.validation is not None and due:
            trainer.validate_during_fit(self.validation)
        trainer.log_epoch()
        trainer.epoch_of_step = trainer.current_epoch
        trainer.current_epoch += 1
        self.batch_idx = 0
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(trainer.current_epoch)
        for plan in trainer.schedules if trainer.module.automatic_optimization else ():
            plan.step("epoch", trainer.current_epoch, trainer.callback_metrics)
        trainer.call("on_safe_point", "epoch")
        trainer.stop_if_asked()


class _Limited:
    """The first batches of an iterator; none is fetched beyond them."""

    def __init__(self, batches: Iterator[Any], count: int | None) -> None:
        self._batches, self._left = batches, count

    def __iter__(self) -> _Limited:
        return self

    def __next__(self) -> Any:
        if self._left is not None:
            if not self._left:
                raise StopIteration
            self._left -= 1
        return next(self._batches)

    def close(self) -> None:
        """Let the loader's workers go."""
        if hasattr(self._batches, "close"):
            self._batches.close()


def _interval(value: int | float | None, total: int | None) -> int | None:
    """Batches between validations; None: only at the end of epochs."""
    if value is None or (value == 1.0 and isinstance(value, float)):
        return None
    if isinstance(value, int):
        return value
    if total is None:
        raise ValueError(f"val_check_interval={value} is a share of an epoch, and the training data have no length")
    return max(1, int(total * value))
