"""The base of optimizers that change each element of a parameter by its own gradient and history."""

from __future__ import annotations

from typing import Any

import framework
from framework.core.device import array_module
from framework.core.tensor import Tensor
from framework.optim.optimizer import Optimizer, gradients, written


class ElementwiseOptimizer(Optimizer):
    """One parameter at a time; a complex one as its real and its imaginary part, like torch's `view_as_real`.

    State: "step" (float32), what `_kept` names (like the parameter), and what `_start` adds.
    """

    _kept: tuple[str, ...] = ()

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for param, grad in zip(params, gradients(params, group["maximize"])):
            state = self.state[param]
            if not state:
                self._start(param, group)
            step = float(state["step"]) + 1  # a plain number in state dicts of old torch versions
            state["step"] = framework.tensor(step)
            factors = self._factors(state, step, group)
            kept = {key: state[key]._data for key in self._kept if key in state}
            for part in ("real", "imag") if param.is_complex() else ("real",):
                own = {key: getattr(array, part) for key, array in kept.items()}
                self._move(getattr(param._data, part), getattr(grad, part), own, factors, group)
        written(params)

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        """The state before the first step."""
        self.state[param]["step"] = framework.tensor(0.0)
        for key in self._kept:
            self.state[param][key] = framework.zeros_like(param.detach())

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> Any:
        """The numbers of this step that hold for all elements; `step` counts from 1."""
        return step

    def _move(self, p: Any, g: Any, kept: dict[str, Any], factors: Any, group: dict[str, Any]) -> None:
        """Change the arrays `p` and `kept` in place by the gradient `g`, which stays as it is."""
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


def decayed(g: Any, p: Any, weight_decay: float) -> Any:
    """The gradient of the loss and of weight_decay |p|^2 / 2."""
    return g + p * p.dtype.type(weight_decay) if weight_decay else g


def mix(average: Any, value: Any, weight: float) -> None:
    """average += weight (value - average), in place."""
    average += (value - average) * average.dtype.type(weight)


def mix_square(average: Any, value: Any, beta: float) -> None:
    """average = beta average + (1 - beta) value^2, in place."""
    average *= average.dtype.type(beta)
    average += value * value * average.dtype.type(1 - beta)


def root(array: Any) -> Any:
    """Square root on the array's own device."""
    return array_module(array).sqrt(array)
