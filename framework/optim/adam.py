"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.ops.foreach import foreach_adam
from framework.optim.optimizer import Optimizer, check_settings, gradients, implementation, written


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); `weight_decay` is added to the gradient unless `decoupled_weight_decay` (see AdamW).

    `amsgrad` divides by the largest second moment so far (Reddi et al. 2018).

    State: "step" (float32), "exp_avg", "exp_avg_sq" and, with amsgrad, "max_exp_avg_sq".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_settings(
            learning_rate=(lr >= 0, lr),
            epsilon=(eps >= 0, eps),
            beta_0=(0 <= betas[0] < 1, betas[0]),
            beta_1=(0 <= betas[1] < 1, betas[1]),
            weight_decay=(weight_decay >= 0, weight_decay),
        )
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused),
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        by_step: dict[float, list[Tensor]] = {}
        for p in params:
            state = self.state[p]
            if not state:
                state["step"] = framework.tensor(0.0)
                state["exp_avg"] = framework.zeros_like(p.detach())
                state["exp_avg_sq"] = framework.zeros_like(p.detach())
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = framework.zeros_like(p.detach())
            step = float(state["step"]) + 1  # a plain number in state dicts of old torch versions
            state["step"] = framework.tensor(step)
            by_step.setdefault(step, []).append(p)
        for step, alike in by_step.items():
            self._update_alike(alike, step, group)
        written(params)

    def _update_alike(self, params: list[Tensor], step: float, group: dict[str, Any]) -> None:
        keys = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")
        means, squares, *tops = ([self.state[p][key]._data for p in params] for key in keys)
        foreach_adam(
            [p._data for p in params],
            gradients(params, group["maximize"]),
            means,
            squares,
            tops[0] if tops else [],
            int(step),
            float(group["lr"]),
            *(float(beta) for beta in group["betas"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(group.get("decoupled_weight_decay")),
        )


class AdamW(Adam):
    """Adam with weight decay on the parameter itself, p *= 1 - lr weight_decay (Loshchilov & Hutter 2019)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip
