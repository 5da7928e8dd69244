"""The base of learning-rate schedules."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from framework.core.tensor import Tensor
from framework.optim.optimizer import Optimizer

EPOCH_IS_OLD = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
    "Please use `scheduler.step()` to step the scheduler."
)


class LRScheduler:
    """Base: a subclass defines `get_lr()`, the groups' rates at the step `last_epoch` (from 0).

    As in torch, most schedules change the rate that a group has now, so that several can act on one optimizer. The
    rate is part of the optimizer's state: a resumed run loads both states and goes on with exactly the same rates.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0: load the optimizer's state before making the schedule, or start with "
                    "last_epoch=-1"
                )
        self.base_lrs = values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def get_lr(self) -> list[Any]:
        """The rates that hold at the present step, one per group."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def get_last_lr(self) -> list[Any]:
        """The rates last given to the optimizer, one per group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Count one step and give the optimizer its rates. `epoch`, to go to another step, is torch's older form."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
                "otherwise the first value of the learning rate schedule is skipped.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_IS_OLD, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; load the optimizer's own state too, it holds the rates."""
        vars(self).update(state_dict)

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = self._get_closed_form_lr() if hasattr(self, "_get_closed_form_lr") else self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        self._give(rates)

    def _give(self, rates: Sequence[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates):
            put(group, "lr", lr)
        self._last_lr = values(self.optimizer, "lr")

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )


def check_optimizer(optimizer: Any) -> None:
    """TypeError for anything but an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def values(optimizer: Optimizer, key: str) -> list[Any]:
    """A setting of every group; tensors are copied, so that they do not change with the group."""
    return [_copied(group[key]) for group in optimizer.param_groups]


def put(group: dict[str, Any], key: str, value: Any) -> None:
    """Change a setting of a group; a tensor is written in place and stays the same object."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def one_per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A list of values as it is, another value repeated; ValueError where the list has another length."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [_copied(value) for _ in range(groups)]
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {groups}."
        )
    return [_copied(item) for item in value]


def use_momentum(optimizer: Optimizer, low: Any, high: Any, last_epoch: int) -> bool:
    """Prepare the groups for a momentum that goes from `high` to `low` and back; whether it is Adam's first beta."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    beta = "betas" in optimizer.defaults
    if last_epoch == -1:
        lows, highs = one_per_group("base_momentum", optimizer, low), one_per_group("max_momentum", optimizer, high)
        for group, least, most in zip(optimizer.param_groups, lows, highs):
            put_momentum(group, most, beta)
            group["max_momentum"], group["base_momentum"] = most, least
    return beta


def put_momentum(group: dict[str, Any], value: float, beta: bool) -> None:
    """Give a group its momentum, or its first beta."""
    if beta:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
