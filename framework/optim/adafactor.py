"""Adafactor: Adam's second moments from their row and column means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ml_dtypes

import framework
from framework.core.device import array_module
from framework.core.tensor import Tensor
from framework.optim.elementwise import check, mix
from framework.optim.optimizer import Optimizer, gradients, implementation, written


class Adafactor(Optimizer):
    """Steps scaled to the parameter's size, with second moments of rows + columns numbers (Shazeer & Stern 2018).

    `eps` = (least second moment is eps[0]^2, least scale of the step); eps[0] None is the dtype's epsilon.
    State: "step" and "row_var", "col_var" (matrices, the last two dimensions) or "variance" (vectors).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check(
            lr,
            (beta2_decay <= 0, f"beta2_decay should be <= 0 but is: {beta2_decay}"),
            (eps[0] is None or eps[0] >= 0, f"epsilon1 should be >= 0 but is: {eps[0]}"),
            (eps[1] >= 0, f"epsilon2 should be >= 0 but is: {eps[1]}"),
            (d >= 1, f"Clipping threshold d should be >= 1 but is: {d}"),
            (weight_decay >= 0, f"weight_decay should be >= 0 but is: {weight_decay}"),
            rate="Learning rate should be >= 0 but is: ",
        )
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": tuple(eps), "d": d, "weight_decay": weight_decay,
            "maximize": maximize, **implementation(foreach=foreach),
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for param, grad in zip(params, gradients(params, group["maximize"])):
            if param.is_complex():
                raise RuntimeError("Adafactor does not support complex parameters")
            state = self.state[param]
            if not state:
                self._start(param)
            step = float(state["step"]) + 1
            state["step"] = framework.tensor(step)
            self._move(param, grad, step, group)
        written(params)

    def _start(self, param: Tensor) -> None:
        value, state = param.detach(), self.state[param]
        state["step"] = framework.tensor(0.0)
        if value.ndim > 1:
            state["row_var"] = framework.zeros_like(value[..., :1])
            state["col_var"] = framework.zeros_like(value[..., :1, :])
        else:
            state["variance"] = framework.zeros_like(value)

    def _move(self, param: Tensor, g: Any, step: float, group: dict[str, Any]) -> None:
        p, state, lr = param._data, self.state[param], float(group["lr"])
        xp, kind = array_module(p), p.dtype.type
        floor, least = group["eps"]
        floor = float(ml_dtypes.finfo(p.dtype).eps) if floor is None else floor
        size = max(least, _rms(p)) * min(lr, step**-0.5)
        p *= kind(1 - lr * group["weight_decay"])
        new = step ** group["beta2_decay"]
        if g.ndim > 1:
            rows, columns = state["row_var"]._data, state["col_var"]._data
            mix(rows, (g * g).mean(-1, keepdims=True), new)
            mix(columns, (g * g).mean(-2, keepdims=True), new)
            variance = rows * columns / xp.maximum(rows.mean(-2, keepdims=True), kind(floor))
        else:
            variance = state["variance"]._data
            mix(variance, g * g, new)
        update = g / xp.sqrt(xp.maximum(variance, kind(floor * floor)))
        p -= update * kind(size / max(1.0, _rms(update) / group["d"]))


def _rms(array: Any) -> float:
    """Root mean square."""
    return float((array * array).mean()) ** 0.5
