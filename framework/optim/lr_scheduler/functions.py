"""Schedules given by functions."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

from framework.optim.lr_scheduler.scheduler import LRScheduler, values
from framework.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """initial rate * lr_lambda(step); one function for all groups or a list of one per group.

    Functions are not saved; of callable objects their attributes are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        n = len(optimizer.param_groups)
        self.lr_lambdas: list[Any] = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * n
        if len(self.lr_lambdas) != n:
            raise ValueError(f"Expected {n} lr_lambdas, but got {len(self.lr_lambdas)}")
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        return [base * function(self.last_epoch) for base, function in zip(self.base_lrs, self.lr_lambdas)]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "lr_lambdas": [attributes(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"]):
            if saved is not None:
                vars(function).update(saved)


class MultiplicativeLR(LambdaLR):
    """The group's present rate * lr_lambda(step), from the second step on."""

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        rates = values(self.optimizer, "lr")
        if self._is_initial:
            return rates
        return [lr * function(self.last_epoch) for lr, function in zip(rates, self.lr_lambdas)]


def attributes(function: Any) -> dict[str, Any] | None:
    """What of a function goes into a state dict: None of a plain one, the attributes of a callable object."""
    return None if function is None or isinstance(function, types.FunctionType) else vars(function).copy()
