"""Clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import framework
from framework.core.device import array_module
from framework.core.tensor import Tensor


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one vector; 0-d, float32 at least.

    `foreach` chooses torch's implementation; here there is one.
    """
    arrays = [tensor._data for tensor in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    total = framework.tensor(_norm(arrays, float(norm_type)))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients in place by max_norm / total_norm where that is less than 1."""
    scale = min(float(max_norm) / (total_norm.item() + 1e-6), 1.0)
    if scale != 1.0:
        for grad in _grads(parameters):
            grad._data *= grad._data.dtype.type(scale)
            grad._shared().version += 1


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients in place so that their common norm is at most `max_norm`; returns the norm before."""
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_grads(params), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(params, max_norm, total, foreach)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip every gradient in place to [-clip_value, clip_value]."""
    for grad in _grads(parameters):
        array_module(grad._data).clip(grad._data, -float(clip_value), float(clip_value), out=grad._data)
        grad._shared().version += 1


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else parameters
    return [param.grad.detach() for param in params if param.grad is not None]


def _norm(arrays: list[Any], order: float) -> float:
    """The p-norm, summed in float64."""
    if not arrays:
        return 0.0
    xp = array_module(arrays[0])
    if order == math.inf:
        return max(float(xp.abs(array).max()) for array in arrays if array.size)
    if order == 2:
        return math.sqrt(sum(_sum_of_squares(xp, array) for array in arrays))
    return sum(float((xp.abs(array).astype(xp.float64) ** order).sum()) for array in arrays) ** (1 / order)


def _sum_of_squares(xp: Any, array: Any) -> float:
    flat = array.ravel(order="K")
    if flat.dtype == xp.float32:
        # Blocks keep the float32 dot product exact enough, without a copy in float64.
        blocks = [flat[start : start + 65536] for start in range(0, flat.size, 65536)]
        return sum(float(xp.dot(block, block)) for block in blocks)
    flat = flat.astype(xp.float64)
    return float(xp.dot(flat, flat))
