"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.ops.foreach import foreach_sgd
from framework.optim.optimizer import Optimizer, check_settings, gradients, implementation, written


class SGD(Optimizer):
    """p -= lr v with v = momentum v + (1 - dampening) g, where g = grad + weight_decay p.

    With `nesterov` the step is g + momentum v (Sutskever et al. 2013). State: "momentum_buffer".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_settings(
            learning_rate=(lr >= 0, lr),
            momentum=(momentum >= 0, momentum),
            weight_decay=(weight_decay >= 0, weight_decay),
        )
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
            **implementation(foreach=foreach, differentiable=differentiable, fused=fused),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        # The first step of a parameter takes the gradient itself as momentum, without dampening.
        fresh = [p for p in params if group["momentum"] and self.state[p].get("momentum_buffer") is None]
        known = set(fresh)
        for subset, first in ((fresh, True), ([p for p in params if p not in known], False)):
            if not subset:
                continue
            buffers: list[Any] = []
            if group["momentum"]:
                for p in subset if first else ():
                    self.state[p]["momentum_buffer"] = framework.zeros_like(p.detach())
                buffers = [self.state[p]["momentum_buffer"]._data for p in subset]
            foreach_sgd(
                [p._data for p in subset],
                gradients(subset, group["maximize"]),
                buffers,
                float(group["lr"]),
                float(group["momentum"]),
                float(group["dampening"]),
                float(group["weight_decay"]),
                group["nesterov"],
                first,
            )
        written(params)
