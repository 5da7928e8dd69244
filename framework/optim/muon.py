"""Muon: momentum made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.optim.elementwise import check, mix
from framework.optim.optimizer import Optimizer, gradients, written


class Muon(Optimizer):
    """Steps along the nearest orthogonal matrix to the momentum, for the weight matrices of hidden layers.

    Jordan et al. 2024; `adjust_lr_fn` "original" (also None) scales the rate by sqrt(max(1, rows / columns)),
    "match_rms_adamw" by 0.2 sqrt(max(rows, columns)) (Moonshot AI 2025). Biases and embeddings take another optimizer.
    State: "momentum_buffer".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check(
            lr,
            (momentum >= 0, f"momentum should be >= 0 but is: {momentum}"),
            (weight_decay >= 0, f"weight decay should be >= 0 but is: {weight_decay}"),
            (
                adjust_lr_fn in (None, "original", "match_rms_adamw"),
                f"Adjust learning rate function {adjust_lr_fn} is not supported",
            ),
            rate="Learning rate should be >= 0 but is: ",
        )
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": tuple(ns_coefficients), "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {param.size()}"
                    )

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        lr, momentum = group["lr"], group["momentum"]  # a rate given as a tensor counts in its own precision
        for param, g in zip(params, gradients(params, False)):
            if param.is_complex():
                raise RuntimeError("Muon does not support complex parameters")
            state = self.state[param]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = framework.zeros_like(param.detach())
            p, buffer = param._data, state["momentum_buffer"]._data
            kind = p.dtype.type
            mix(buffer, g, 1 - momentum)
            direction = g + (buffer - g) * kind(momentum) if group["nesterov"] else buffer
            direction = _orthogonal(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
            p *= kind(float(1 - lr * group["weight_decay"]))
            p -= direction.astype(p.dtype) * kind(float(lr * _ratio(group["adjust_lr_fn"], *p.shape)))
        written(params)


def _orthogonal(matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """Newton-Schulz iteration to a matrix with all singular values near 1.

    Every result is rounded to bfloat16, as torch does, so that the steps are the same ones.
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    rows, columns = matrix.shape
    x = _rounded(matrix.T if rows > columns else matrix)
    norm = _rounded((x * x).sum() ** 0.5)
    x = _rounded(x / max(norm, _rounded(norm.dtype.type(eps))))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        change = _rounded(b * gram + c * (gram @ gram))
        x = _rounded(a * x + change @ x)
    return x.T if rows > columns else x


def _rounded(array: Any) -> Any:
    """float32 with bfloat16's precision."""
    return array.astype(framework.bfloat16.numpy_dtype).astype("float32")


def _ratio(adjustment: str | None, rows: int, columns: int) -> float:
    if adjustment == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
