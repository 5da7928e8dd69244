"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.optim.elementwise import ElementwiseOptimizer, check
from framework.optim.optimizer import implementation


class Rprop(ElementwiseOptimizer):
    """Each element steps by its own size, which grows while its gradient keeps its sign (Riedmiller & Braun 1993).

    Where the sign turned the size shrinks, and the element waits one step. For full batches.
    State: "step", "prev" (the last gradient), "step_size".
    """

    _rule = "rprop"
    _kept = ("prev", "step_size")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr, (0 < etas[0] < 1 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}"))
        defaults = {
            "lr": lr, "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        super()._start(param, group)
        lr = float(group["lr"])
        self.state[param]["step_size"] = framework.full_like(
            param.detach(), complex(lr, lr) if param.is_complex() else lr
        )

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        return (), 1.0, *map(float, group["etas"]), *map(float, group["step_sizes"])
