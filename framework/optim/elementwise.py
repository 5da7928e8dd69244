"""The base of optimizers that change each element of a parameter by its own gradient and history."""

from __future__ import annotations

from typing import Any

import framework
from framework.core.device import array_module
from framework.core.tensor import Tensor
from framework.ops.updates import foreach_update
from framework.optim.optimizer import Optimizer, gradients, written


class ElementwiseOptimizer(Optimizer):
    """All parameters in one pass by the rule `_rule` of `ops.updates`; complex ones as real and imaginary parts.

    State: "step" (float32), what `_kept` names (like the parameter), and what `_start` adds.
    """

    _rule: str
    _kept: tuple[str, ...] = ()

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        alike: dict[Any, list[tuple[Tensor, Any]]] = {}
        for param, grad in zip(params, gradients(params, group["maximize"])):
            state = self.state[param]
            if not state:
                self._start(param, group)
            step = float(state["step"]) + 1  # a plain number in state dicts of old torch versions
            state["step"] = framework.tensor(step)
            alike.setdefault(self._factors(state, step, group), []).append((param, grad))
        decay = 0.0 if group.get("decoupled_weight_decay") else float(group.get("weight_decay", 0))
        for (choices, shrink, *numbers), members in alike.items():
            arrays = [
                [param._data for param, _ in members],
                [grad for _, grad in members],
                [self.state[param][key]._data for key in self._used(group) for param, _ in members],
            ]
            choices = (*choices, *(["DECAYED"] if decay else ()), *(["SHRUNK"] if shrink != 1 else ()))
            for part in ("real", "imag") if params[0].is_complex() else (None,):
                parts = [[getattr(x, part) for x in xs] for xs in arrays] if part else arrays
                foreach_update(*parts, self._rule, choices, decay, shrink, numbers)
        written(params)

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Those of `_kept` that the rule takes with these settings."""
        return self._kept

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        """The state before the first step."""
        self.state[param]["step"] = framework.tensor(0.0)
        for key in self._used(group):
            self.state[param][key] = framework.zeros_like(param.detach())

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        """(choices, shrink, *numbers) of this step, as the rule has them; `step` counts from 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define its update")


def check(lr: Any, *conditions: tuple[bool, str], rate: str = "Invalid learning rate: ") -> None:
    """ValueError for a learning rate below zero or with several elements, and for the first condition that fails."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    for valid, message in ((lr >= 0, f"{rate}{lr}"), *conditions):
        if not valid:
            raise ValueError(message)


def check_betas(betas: tuple[float, float]) -> tuple[tuple[bool, str], ...]:
    """The conditions on Adam's two decay rates, for `check`."""
    return tuple((0 <= beta < 1, f"Invalid beta parameter at index {i}: {beta}") for i, beta in enumerate(betas))


def mix(average: Any, value: Any, weight: float) -> None:
    """average += weight (value - average), in place."""
    average += (value - average) * average.dtype.type(weight)


def root(array: Any) -> Any:
    """Square root on the array's own device."""
    return array_module(array).sqrt(array)
