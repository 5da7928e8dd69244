"""Averages of weights during training: stochastic weight averaging (SWA) and exponential moving averages (EMA)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn.modules.module import Module
from framework.nn.modules.norm import _BatchNorm
from framework.optim.lr_scheduler.scheduler import LRScheduler, one_per_group
from framework.optim.optimizer import Optimizer

Average = Callable[[Tensor, Tensor, Any], Tensor]
AverageMany = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * present, one tensor at a time."""
    _check_decay(decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with framework.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """The mean of all that was given, one tensor at a time."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with framework.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageMany:
    """average = decay * average + (1 - decay) * present in place, for a list of tensors."""
    _check_decay(decay)

    def ema_update(
        ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any = None
    ) -> None:
        with framework.no_grad():
            for average, present in zip(ema_param_list, current_param_list, strict=True):
                if average.is_floating_point() or average.is_complex():
                    average.lerp_(present, 1 - decay)
                else:
                    average.copy_(average * decay + present * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> AverageMany:
    """The mean of all that was given, in place, for a list of tensors."""

    def swa_update(
        averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any
    ) -> None:
        weight = 1 / (float(num_averaged) + 1)
        with framework.no_grad():
            for average, present in zip(averaged_param_list, current_param_list, strict=True):
                if average.is_floating_point() or average.is_complex():
                    average.lerp_(present, weight)
                else:
                    average.copy_(average + (present - average) * weight)

    return swa_update


class AveragedModel(Module):
    """A copy of `model` whose parameters are averages of all that `update_parameters` has seen; the mean by default.

    `avg_fn(average, present, n)` gives the new average of one parameter, `multi_avg_fn` changes lists of them in
    place. With `use_buffers` buffers are averaged too, else they are copied. The count is the buffer `n_averaged`.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", framework.tensor(0, dtype=framework.int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average; the first time they are copied."""
        own, others = _averaged(self.module, self.use_buffers), _averaged(model, self.use_buffers)
        averages = [average.detach() for average in own]
        presents = [present.detach().to(average.device) for average, present in zip(averages, others, strict=True)]
        with framework.no_grad():
            if not int(self.n_averaged):
                for average, present in zip(averages, presents):
                    average.copy_(present)
            elif self.avg_fn is not None:
                for average, present in zip(averages, presents):
                    average.copy_(self.avg_fn(average, present, self.n_averaged))
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, presents, self.n_averaged)
            if not self.use_buffers:
                for average, present in zip(self.module.buffers(), model.buffers(), strict=True):
                    average.copy_(present)
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Set the running statistics of the batch norms of `model` to those of the data, by one pass over `loader`.

    Averaged weights need it: their activations were never seen in training. Of a batch that is a list or tuple the
    first item is the input.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta, was_training = [norm.momentum for norm in norms], model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    with framework.no_grad():
        for batch in loader:
            data = batch[0] if isinstance(batch, list | tuple) else batch
            model(data if device is None else data.to(device))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the present rate to the constant `swa_lr` in `anneal_epochs` steps, by a cosine or a line."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(one_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """What remains of the former rate follows from the present one, so that other schedules may act too."""
        self._warn_outside_step()
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            former = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
            rates.append(goal * now + former * (1 - now))
        return rates

    def _share(self, step: int) -> float:
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done


def _averaged(model: Module, use_buffers: bool) -> list[Tensor]:
    return [*model.parameters(), *(model.buffers() if use_buffers else ())]


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
