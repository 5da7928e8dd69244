"""Steps divided by the size of past gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.optim.elementwise import ElementwiseOptimizer, check
from framework.optim.optimizer import implementation


class Adagrad(ElementwiseOptimizer):
    """p -= lr_t g / (sqrt(sum of g^2) + eps), lr_t = lr / (1 + (t - 1) lr_decay) (Duchi et al. 2011).

    State, from the beginning: "step", "sum".
    """

    _rule = "adagrad"
    _kept = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(
            lr,
            (lr_decay >= 0, f"Invalid lr_decay value: {lr_decay}"),
            (weight_decay >= 0, f"Invalid weight_decay value: {weight_decay}"),
            (
                initial_accumulator_value >= 0,
                f"Invalid initial_accumulator_value value: {initial_accumulator_value}",
            ),
            (eps >= 0, f"Invalid epsilon value: {eps}"),
        )
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
            **implementation(foreach=foreach, differentiable=differentiable, fused=fused),
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self._start(param, group)

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        value = self.defaults["initial_accumulator_value"]
        self.state[param]["step"] = framework.tensor(0.0)
        self.state[param]["sum"] = framework.full_like(
            param.detach(), complex(value, value) if param.is_complex() else value
        )

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        rate = float(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        return (), 1.0, rate, float(group["eps"])


class Adadelta(ElementwiseOptimizer):
    """p -= lr d, d = g sqrt(mean d^2 + eps) / sqrt(mean g^2 + eps), means decaying with rho (Zeiler 2012).

    State: "step", "square_avg", "acc_delta".
    """

    _rule = "adadelta"
    _kept = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(
            lr,
            (0 <= rho <= 1, f"Invalid rho value: {rho}"),
            (eps >= 0, f"Invalid epsilon value: {eps}"),
            (weight_decay >= 0, f"Invalid weight_decay value: {weight_decay}"),
        )
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        rho = float(group["rho"])
        return (), 1.0, float(group["lr"]), rho, 1 - rho, float(group["eps"])


class RMSprop(ElementwiseOptimizer):
    """p -= lr g / (sqrt(mean g^2) + eps) (Tieleman & Hinton 2012); `centered` takes the variance (Graves 2013).

    State: "step", "square_avg", with momentum "momentum_buffer", with centered "grad_avg".
    """

    _rule = "rmsprop"
    _kept = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(
            lr,
            (eps >= 0, f"Invalid epsilon value: {eps}"),
            (momentum >= 0, f"Invalid momentum value: {momentum}"),
            (weight_decay >= 0, f"Invalid weight_decay value: {weight_decay}"),
            (alpha >= 0, f"Invalid alpha value: {alpha}"),
        )
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        asked = True, bool(group["momentum"]), group["centered"]
        return tuple(key for key, wanted in zip(self._kept, asked) if wanted)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        alpha, momentum = float(group["alpha"]), float(group["momentum"])
        choices = (*(["MOMENTUM"] if momentum else ()), *(["CENTERED"] if group["centered"] else ()))
        return choices, 1.0, float(group["lr"]), alpha, 1 - alpha, float(group["eps"]), momentum
