"""Optimizer steps over lists of arrays, in place: the reference, which backends replace by fused kernels."""

from typing import Any

import numpy as np

from framework.core.op import Array, Arrays, op


@op(method=False)
def foreach_sgd(
    xp: Any,
    params: Arrays,
    grads: Arrays,
    bufs: Arrays,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
) -> Any:
    """One step of stochastic gradient descent with momentum, as torch.optim.SGD; `first` fills the buffers."""
    for number, (param, grad) in enumerate(zip(params, grads)):
        if weight_decay:
            grad = grad + param * param.dtype.type(weight_decay)
        if momentum:
            buf = bufs[number]
            if first:
                buf[...] = grad
            else:
                buf *= buf.dtype.type(momentum)
                buf += grad * grad.dtype.type(1 - dampening)
            grad = grad + buf * buf.dtype.type(momentum) if nesterov else buf
        param -= grad * param.dtype.type(lr)
    return ()


@op(method=False)
def foreach_adam(
    xp: Any,
    params: Arrays,
    grads: Arrays,
    m: Arrays,
    v: Arrays,
    tops: Arrays,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> Any:
    """One step of Adam (Kingma & Ba 2015) or, with decoupled decay, AdamW (Loshchilov & Hutter 2019); from step 1.

    `tops`, where not empty, are the largest second moments so far, by which AMSGrad divides (Reddi et al. 2018).
    """
    size = lr / (1 - beta1**step)
    root = (1 - beta2**step) ** 0.5
    for number, (param, grad, first, second) in enumerate(zip(params, grads, m, v)):
        kind = param.dtype.type
        if decoupled:
            param *= kind(1 - lr * weight_decay)
        elif weight_decay:
            grad = grad + param * kind(weight_decay)
        first += (grad - first) * kind(1 - beta1)
        second *= kind(beta2)
        second += grad * grad * kind(1 - beta2)
        below = second
        if tops:
            below = tops[number]
            below[...] = xp.maximum(below, second)
        param -= kind(size) * first / (xp.sqrt(below) / kind(root) + kind(eps))
    return ()


@op(method=False)
def foreach_unscale(xp: Any, grads: Arrays, factor: float) -> Array:
    """Multiply gradients in place by a factor; whether (1.0, else 0.0) one was infinite or NaN before.

    Sixteen-bit gradients are multiplied in float32 and rounded once. PyTorch:
    `_amp_foreach_non_finite_check_and_unscale_`.
    """
    found = xp.zeros((), np.float32)
    for grad in grads:
        wide = grad if grad.dtype.itemsize >= 4 else grad.astype(np.float32)
        found = xp.maximum(found, xp.logical_not(xp.isfinite(wide).all()).astype(np.float32))
        grad[...] = wide * wide.dtype.type(factor)
    return found
