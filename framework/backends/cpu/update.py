"""Leaky ReLU, and optimizer steps and unscaling over lists of arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import threads
from framework.backends.cpu.layout import empty_like, is_dense, like, served

Array = np.ndarray[Any, Any]


def leaky_relu(x: Array, slope: float) -> Any:
    """x where x > 0, else slope * x, in x's memory layout."""
    if not served(x) or not (x.flags.c_contiguous or is_dense(x)):
        return NotImplemented
    from framework.backends.cpu.update_kernels import leaky

    y = empty_like(x)
    jobs = -(-x.size // _CHUNK)
    threads.run(leaky(Float=x.dtype.name), jobs, x.ctypes.data, y.ctypes.data, x.size, _CHUNK, float(slope))
    return y


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Any:
    """g where x > 0, else slope * g."""
    if not served(g, x) or not is_dense(x):
        return NotImplemented
    from framework.backends.cpu.update_kernels import leaky_gradient

    g = like(g, x)
    y = empty_like(x)
    threads.run(
        leaky_gradient(Float=x.dtype.name), -(-x.size // _CHUNK), g.ctypes.data, x.ctypes.data, y.ctypes.data, x.size,
        _CHUNK, float(slope),
    )  # fmt: skip
    return y


def foreach_sgd(
    params: Sequence[Array], grads: Sequence[Array], bufs: Sequence[Array | None], lr: float, momentum: float,
    dampening: float, weight_decay: float, nesterov: bool, first: bool,
) -> Any:  # fmt: skip
    """One step of stochastic gradient descent, in place. bufs are not read in the `first` step or without momentum."""
    from framework.backends.cpu.update_kernels import sgd

    used = [array for array in bufs if array is not None] if momentum else list(params)
    if len(used) != len(params):
        return NotImplemented
    tables = _tables(params, grads, used)
    if tables is None:
        return NotImplemented
    for dtype, (table, kept_alive) in tables.items():
        kernel = sgd(Float=dtype, MOMENTUM=int(momentum != 0), NESTEROV=int(nesterov), FIRST=int(first))
        threads.run(kernel, len(table), table.ctypes.data, lr, momentum, 1 - dampening, weight_decay)
        kept_alive.clear()
    return None


def foreach_adam(
    params: Sequence[Array], grads: Sequence[Array], m: Sequence[Array], v: Sequence[Array], tops: Sequence[Array],
    step: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
) -> Any:  # fmt: skip
    """One step of Adam or AdamW, in place; step counts from 1. With `tops`, AMSGrad."""
    from framework.backends.cpu.update_kernels import adam

    tables = _tables(params, grads, m, v, *([tops] if tops else []))
    if tables is None:
        return NotImplemented
    choices = {"AMSGRAD": int(bool(tops)), "DECAYED": int(not decoupled and weight_decay != 0)}
    for dtype, (table, kept_alive) in tables.items():
        threads.run(
            adam(Float=dtype, **choices), len(table), table.ctypes.data, lr / (1 - beta1**step), 1 - beta1, 1 - beta2,
            1 / math.sqrt(1 - beta2**step), eps, 1 - lr * weight_decay if decoupled else 1.0, weight_decay,
        )  # fmt: skip
        kept_alive.clear()
    return None


def foreach_unscale(grads: Sequence[Array], factor: float) -> Any:
    """Multiply gradients in place; 1.0 where one was infinite or NaN, else 0.0."""
    from framework.backends.cpu.update_kernels import unscale

    tables = _tables(grads)
    if tables is None:
        return NotImplemented
    lost = 0
    for dtype, (table, _) in tables.items():
        found = np.empty(len(table), np.int64)
        threads.run(unscale(Float=dtype), len(table), table.ctypes.data, factor, found.ctypes.data)
        lost += int(found.sum())
    return np.asarray(lost > 0, np.float32)


def foreach_update(
    params: Sequence[Array], grads: Sequence[Array], kept: Sequence[Array], rule: str, choices: Sequence[str],
    decay: float, shrink: float, numbers: Sequence[float],
) -> Any:  # fmt: skip
    """One step by a rule of `ops.updates`, in place."""
    from framework.backends.cpu import rule_kernels

    count = len(params)
    tables = _tables(params, grads, *(kept[start : start + count] for start in range(0, len(kept), count)))
    if tables is None:
        return NotImplemented
    kernel = getattr(rule_kernels, rule)
    for dtype, (table, kept_alive) in tables.items():
        compiled = kernel(Float=dtype, **{name: int(name in choices) for name in rule_kernels.CHOICES})
        threads.run(compiled, len(table), table.ctypes.data, decay, shrink, *numbers)
        kept_alive.clear()
    return None


_CHUNK = 1 << 15


def _tables(params: Sequence[Array], *others: Sequence[Array]) -> dict[str, tuple[Array, list[Array]]] | None:
    """By element type: rows of addresses and count, a chunk each, and the copies they point into. None: not served."""
    rows: dict[str, tuple[list[tuple[int, ...]], list[Array]]] = {}
    for arrays in zip(params, *others, strict=True):
        parameter = arrays[0]
        if parameter.size == 0:
            continue
        if not served(*arrays) or not is_dense(parameter):
            return None
        table, kept_alive = rows.setdefault(parameter.dtype.name, ([], []))
        moved = []
        for number, array in enumerate(arrays):
            if array.strides != parameter.strides and not (array.flags.c_contiguous and parameter.flags.c_contiguous):
                if number != 1:  # only the gradient is read and not written
                    return None
                array = like(array, parameter)
                kept_alive.append(array)
            moved.append(array.ctypes.data)
        size, itemsize = parameter.size, parameter.itemsize
        for start in range(0, size, _CHUNK):
            table.append((*(place + start * itemsize for place in moved), min(_CHUNK, size - start)))
    return {dtype: (np.array(table, np.int64), kept) for dtype, (table, kept) in rows.items()}
