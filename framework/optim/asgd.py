"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.optim.elementwise import ElementwiseOptimizer, check
from framework.optim.optimizer import implementation


class ASGD(ElementwiseOptimizer):
    """p = (1 - lambd eta) p - eta g; "ax" is the mean of p from step `t0` on (Polyak & Juditsky 1992).

    State: "step", "eta" = lr / (1 + lambd lr t)^alpha, "mu" (the weight of p in the mean), "ax".
    """

    _rule = "asgd"
    _kept = ("ax",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check(lr, (weight_decay >= 0, f"Invalid weight_decay value: {weight_decay}"))
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        super()._start(param, group)
        self.state[param]["eta"] = framework.tensor(float(group["lr"]))
        self.state[param]["mu"] = framework.tensor(1.0)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        lr, eta, mu = float(group["lr"]), float(state["eta"]), float(state["mu"])
        state["eta"] = framework.tensor(lr / (1 + group["lambd"] * lr * step) ** group["alpha"])
        state["mu"] = framework.tensor(1 / max(1, step - group["t0"]))
        return ("COPIED",) if mu == 1 else (), 1 - group["lambd"] * eta, eta, mu
