"""Relatives of Adam: Adamax, NAdam, RAdam, SparseAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.optim.elementwise import ElementwiseOptimizer, check, check_betas, root
from framework.optim.optimizer import Optimizer, gradients, implementation, written


class Adamax(ElementwiseOptimizer):
    """Adam with the largest decayed gradient for the root of its square (Kingma & Ba 2015, section 7.1).

    State: "step", "exp_avg", "exp_inf".
    """

    _rule = "adamax"
    _kept = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _check_adam(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        beta1, beta2 = _betas(group)
        return (), 1.0, float(group["lr"]) / (1 - beta1**step), 1 - beta1, beta2, float(group["eps"])


class NAdam(ElementwiseOptimizer):
    """Adam with Nesterov's momentum (Dozat 2016); `decoupled_weight_decay` decays the parameter as AdamW does.

    State: "step", "mu_product", "exp_avg", "exp_avg_sq".
    """

    _rule = "nadam"
    _kept = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_adam(lr, betas, eps, weight_decay)
        check(lr, (momentum_decay >= 0, f"Invalid momentum_decay value: {momentum_decay}"))
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Tensor, group: dict[str, Any]) -> None:
        super()._start(param, group)
        self.state[param]["mu_product"] = framework.tensor(1.0)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        lr, (beta1, beta2) = float(group["lr"]), _betas(group)
        now, after = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] = state["mu_product"] * now
        product = float(state["mu_product"])
        sizes = lr * (1 - now) / (1 - product), lr * after / (1 - product * after)
        return (), _shrink(group), *sizes, 1 - beta2**step, 1 - beta1, beta2, 1 - beta2, float(group["eps"])


class RAdam(ElementwiseOptimizer):
    """Adam whose first steps, while the variance is badly known, are momentum steps (Liu et al. 2020).

    State: "step", "exp_avg", "exp_avg_sq".
    """

    _rule = "radam"
    _kept = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_adam(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            **implementation(foreach=foreach, capturable=capturable, differentiable=differentiable),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _factors(self, state: dict[str, Any], step: float, group: dict[str, Any]) -> tuple[Any, ...]:
        lr, (beta1, beta2) = float(group["lr"]), _betas(group)
        correction = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        rectified = 0.0
        if length > 5:
            ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            rectified = math.sqrt(ratio * correction)
        choices = ("RECTIFIED",) if length > 5 else ()
        size = lr / (1 - beta1**step)
        return choices, _shrink(group), size, rectified, 1 - beta1, beta2, 1 - beta2, float(group["eps"])


class SparseAdam(Optimizer):
    """Adam that leaves alone the elements whose gradient is exactly zero: they neither move nor forget.

    Gradients are dense here; the result is that of torch's SparseAdam given `grad.to_sparse()`. For embeddings of
    which a step sees few rows. State: "step" (an int), "exp_avg", "exp_avg_sq".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check(
            lr,
            (lr > 0, f"Invalid learning rate: {lr}"),
            (eps > 0, f"Invalid epsilon value: {eps}"),
            *check_betas(betas),
        )
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "maximize": maximize})
        places = [
            [i, j]
            for i, group in enumerate(self.param_groups)
            for j, param in enumerate(group["params"])
            if param.is_complex()
        ]
        if places:
            raise ValueError(f"Complex params at indices {places}: SparseAdam does not support complex parameters")

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = _betas(group)
        for param, g in zip(params, gradients(params, group["maximize"])):
            state = self.state[param]
            if not state:
                state["step"] = 0
                state["exp_avg"] = framework.zeros_like(param.detach())
                state["exp_avg_sq"] = framework.zeros_like(param.detach())
            state["step"] += 1
            size = float(group["lr"]) * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
            p, mean, square = param._data, state["exp_avg"]._data, state["exp_avg_sq"]._data
            kind, seen = p.dtype.type, g != 0
            mean += (g - mean) * seen * kind(1 - beta1)
            square += (g * g - square) * seen * kind(1 - beta2)
            p -= seen * kind(size) * mean / (root(square) + kind(group["eps"]))
        written(params)


def _check_adam(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    check(
        lr,
        (eps >= 0, f"Invalid epsilon value: {eps}"),
        *check_betas(betas),
        (weight_decay >= 0, f"Invalid weight_decay value: {weight_decay}"),
    )


def _betas(group: dict[str, Any]) -> tuple[float, float]:
    beta1, beta2 = group["betas"]
    return float(beta1), float(beta2)


def _shrink(group: dict[str, Any]) -> float:
    """What decoupled decay leaves of a parameter."""
    return 1 - float(group["lr"]) * group["weight_decay"] if group["decoupled_weight_decay"] else 1.0
