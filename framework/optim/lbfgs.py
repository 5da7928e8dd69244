"""L-BFGS: a quasi-Newton method for smooth losses over the whole data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.ops.vectors import ordered_dot, scaled_sum
from framework.optim.elementwise import check
from framework.optim.line_search import strong_wolfe
from framework.optim.optimizer import Optimizer


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal 1980), one group of real parameters; `step` needs the closure.

    A step runs up to `max_iter` iterations and `max_eval` evaluations (default 5/4 max_iter). `line_search_fn` is
    None (steps of length lr) or "strong_wolfe". State, with the first parameter: counts "func_evals" and "n_iter",
    direction "d", length "t", "old_dirs" (gradient changes), "old_stps", "ro", "H_diag", "al", the last gradient, loss.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check(lr)
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        if any(param.is_complex() for param in self._params):
            raise ValueError("LBFGS takes real parameters; optimize the real and imaginary parts of complex ones")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations; gives the loss before them."""
        if closure is None:
            raise TypeError("LBFGS evaluates the loss several times a step: give step() a closure that computes it")
        with framework.no_grad():
            return self._iterate(closure)

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group, state = self.param_groups[0], self.state[self._params[0]]
        lr, change, line_search = float(group["lr"]), group["tolerance_change"], group["line_search_fn"]
        if line_search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = _evaluated(closure)
        loss, gradient, evaluations = float(first_loss), self._gradient(), 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(gradient, state, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"], state["d"] = gradient.clone(), loss, direction
            first = state["n_iter"] == 1
            state["t"] = lr * min(1.0, 1.0 / float(gradient.abs().sum())) if first else lr
            slope = ordered_dot(gradient, direction)
            if slope > -change:
                break
            spent = 0
            if line_search:
                start = [param.detach().clone() for param in self._params]

                def at(length: Any, start: list[Tensor] = start, direction: Tensor = direction) -> tuple[float, Tensor]:
                    self._add(length, direction)
                    value = float(_evaluated(closure)), self._gradient()
                    for param, old in zip(self._params, start):
                        param.copy_(old)
                    return value

                loss, gradient, state["t"], spent = strong_wolfe(
                    at, state["t"], loss, gradient, direction, slope, max_evaluations=group["max_eval"] - evaluations
                )
                self._add(state["t"], direction)
            else:
                self._add(state["t"], direction)
                if iteration < group["max_iter"]:  # the next step begins with an evaluation of its own
                    loss, spent = float(_evaluated(closure)), 1
                    gradient = self._gradient()
            evaluations += spent
            state["func_evals"] += spent
            if (
                evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction * state["t"]) <= change
                or abs(loss - state["prev_loss"]) < change
            ):
                break
        return first_loss

    def _direction(self, gradient: Tensor, state: dict[str, Any], history_size: int) -> Tensor:
        """Minus the gradient times the approximate inverse Hessian (two-loop recursion)."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -gradient
        changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = ordered_dot(y, s)
        if curvature > 1e-10:
            for history, new in ((changes, y), (steps, s), (inverse, 1.0 / curvature)):
                if len(history) == history_size:
                    history.pop(0)
                history.append(new)
            state["H_diag"] = curvature / ordered_dot(y, y)
        along = state.setdefault("al", [None] * history_size)
        q = -gradient
        for i in reversed(range(len(changes))):
            along[i] = ordered_dot(steps[i], q) * inverse[i]
            q = scaled_sum(q, changes[i], float(-along[i]))
        q = q * state["H_diag"]
        for i in range(len(changes)):
            q = scaled_sum(q, steps[i], float(along[i] - ordered_dot(changes[i], q) * inverse[i]))
        return q

    def _gradient(self) -> Tensor:
        """All gradients in one vector; zero where a parameter has none."""
        grads = [framework.zeros_like(p.detach()) if p.grad is None else p.grad.detach() for p in self._params]
        return framework.cat([grad.reshape(-1) for grad in grads], 0)

    def _add(self, length: Any, direction: Tensor) -> None:
        offset = 0
        for param in self._params:
            part = direction[offset : offset + param.numel()]
            param.copy_(scaled_sum(param.reshape(-1), part, float(length)).reshape(param.shape))
            offset += param.numel()


def _evaluated(closure: Callable[[], Any]) -> Any:
    with framework.enable_grad():
        return closure()


def _largest(vector: Tensor) -> float:
    return float(vector.abs().max())
