"""Losses."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.attention import log_softmax
from framework.ops.reduce import mean, sum
from framework.ops.shape import reshape
from framework.ops.special import xlogy


def reduced(value: Any, reduction: str) -> Any:
    """Losses as they are, summed, or averaged."""
    if reduction == "mean":
        return mean(value)
    if reduction == "sum":
        return sum(value)
    if reduction == "none":
        return value
    raise ValueError(f"{reduction} is not a valid value for reduction: use 'none', 'mean' or 'sum'")


@op(method=False)
def softmax_cross_entropy(
    xp: Any, logits: Array, target: Array, weight: Array | None, ignore_index: int
) -> tuple[Array, Array]:
    """Cross entropy of (N, C, *) logits with (N, *) integer classes, position by position, and logsumexp of the logits.

    A position of class `ignore_index` costs nothing; `weight` (C,) scales each position by its class's weight.
    """
    top = logits.max(1, keepdims=True)
    total = xp.log(xp.exp(logits - top).sum(1)) + top[:, 0]
    valid = target != ignore_index
    classes = _checked_classes(xp, target, valid, logits.shape[1])
    picked = xp.take_along_axis(logits, classes[:, None], 1)[:, 0]
    loss = total - picked
    if weight is not None:
        loss = loss * weight[classes]
    return xp.where(valid, loss, 0).astype(logits.dtype), total.astype(logits.dtype)


@softmax_cross_entropy.vjp("logits")
def _(g: Any, logits: Any, target: Any, weight: Any, ignore_index: Any, out1: Any) -> Any:
    if hasattr(logits, "_data"):  # higher orders: through the composite
        probability = e.exp(log_softmax(logits, 1))
    else:
        return softmax_cross_entropy_grad(g[0], logits, target, weight, ignore_index, out1)
    hot, scale = _target_parts(target, weight, ignore_index, logits.shape[1])
    return e.mul(e.sub(probability, hot), reshape(e.mul(g[0], scale), g[0].shape[0], 1, *g[0].shape[1:]))


@op(method=False)
def softmax_cross_entropy_grad(
    xp: Any, g: Array, logits: Array, target: Array, weight: Array | None, ignore_index: int, logsumexp: Array
) -> Array:
    """The gradient of softmax_cross_entropy with respect to its logits."""
    valid = target != ignore_index
    classes = xp.where(valid, target, 0)
    scale = xp.where(valid, g, 0)
    if weight is not None:
        scale = scale * weight[classes]
    grad = xp.exp(logits - logsumexp[:, None]) * scale[:, None]
    hit = xp.take_along_axis(grad, classes[:, None], 1) - scale[:, None]
    xp.put_along_axis(grad, classes[:, None], hit, 1)
    return grad.astype(logits.dtype, copy=False)


def _target_parts(target: Any, weight: Any, ignore_index: int, classes: int) -> tuple[Any, Any]:
    array = getattr(target, "_data", target)
    valid = array != ignore_index
    safe = np.where(valid, array, 0)
    kind = getattr(weight, "_data", weight)
    scale = valid.astype(np.float64 if kind is None else kind.dtype)
    if kind is not None:
        scale = scale * kind[safe]
    hot = np.moveaxis(np.eye(classes)[safe], -1, 1)
    from framework.core.tensor import Tensor

    return Tensor._wrap(hot), Tensor._wrap(scale)


@operation(autocast="float32")
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of logits (N, C, *) or (C,) with classes (N, *) or probabilities (N, C, *)."""
    if not target.is_floating_point() and label_smoothing == 0.0:
        single = input.ndim == 1
        logits = reshape(input, 1, -1) if single else input
        classes = reshape(target, 1) if single else target
        _check_target(logits, classes)
        loss = softmax_cross_entropy(logits, classes, weight, ignore_index)[0]
        return _weighted(loss[0] if single else loss, target, weight, ignore_index, reduction)
    axis = 0 if input.ndim == 1 else 1
    log_probability = log_softmax(input, axis)
    classes_count = input.shape[axis]
    if target.is_floating_point():
        if tuple(target.shape) != tuple(input.shape):
            raise RuntimeError(
                f"expected probabilities of the input's shape {list(input.shape)}, but got {list(target.shape)}"
            )
        soft = target if not label_smoothing else target * (1 - label_smoothing) + label_smoothing / classes_count
        terms = e.mul(log_probability, soft)
        if weight is not None:
            terms = e.mul(terms, reshape(weight, *(-1 if n == axis else 1 for n in range(input.ndim))))
        loss = e.neg(sum(terms, axis))
        if reduction == "mean":
            return e.true_divide(sum(loss), max(loss.numel(), 1))
        return reduced(loss, reduction)
    picked = nll_loss(log_probability, target, weight, ignore_index, "none")
    valid = e.ne(target, ignore_index)
    scaled = log_probability
    if weight is not None:
        scaled = e.mul(scaled, reshape(weight, *(-1 if n == axis else 1 for n in range(input.ndim))))
    smooth = e.mul(e.neg(sum(scaled, axis)), valid)
    loss = e.add(e.mul(picked, 1 - label_smoothing), e.mul(smooth, label_smoothing / classes_count))
    if reduction != "mean":
        return reduced(loss, reduction)
    norm = sum(valid) if weight is None else sum(e.mul(weight[e.where(valid, target, 0)], valid))
    return e.true_divide(sum(loss), norm)


@operation(autocast="float32")
def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """The negative log likelihood of classes (N, *) under log-probabilities (N, C, *)."""
    from framework.ops.index import gather
    from framework.ops.shape import squeeze, unsqueeze

    single = input.ndim == 1
    scores = reshape(input, 1, -1) if single else input
    classes = reshape(target, 1) if single else target
    _check_target(scores, classes)
    valid = e.ne(classes, ignore_index)
    safe = e.where(valid, classes, 0)
    _checked_classes(np, safe._data, valid._data, scores.shape[1])
    loss = e.neg(squeeze(gather(scores, 1, unsqueeze(safe, 1)), 1))
    if weight is not None:
        loss = e.mul(loss, weight[safe])
    loss = e.where(valid, loss, 0 * loss)
    return _weighted(loss[0] if single else loss, target, weight, ignore_index, reduction)


def _weighted(loss: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """The mean divides by the weight of the positions that count."""
    if reduction != "mean":
        return reduced(loss, reduction)
    valid = target._data != ignore_index
    if weight is None:
        total = valid.sum()
    else:
        total = np.where(valid, np.take(weight._data, np.where(valid, target._data, 0)), 0).sum()
    if hasattr(total, "level"):  # one for each sample of a vmap
        return e.true_divide(sum(loss), type(loss)._wrap(total.astype(loss._data.dtype)))
    total = float(total)
    return e.true_divide(sum(loss), total) if total else e.mul(sum(loss), float("nan"))


@operation(autocast="float32")
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The squared difference."""
    return reduced(e.square(e.sub(input, target)), reduction)


@operation(autocast="float32")
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The absolute difference."""
    return reduced(e.abs(e.sub(input, target)), reduction)


@operation(autocast="float32")
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squared below `beta`, absolute above (Girshick 2015)."""
    if beta < 0:
        raise ValueError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    size = e.abs(e.sub(input, target))
    return reduced(e.where(e.lt(size, beta), e.mul(e.square(size), 0.5 / beta), e.sub(size, 0.5 * beta)), reduction)


@operation(autocast="float32")
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Huber's loss: smooth_l1_loss times `delta`."""
    if delta <= 0:
        raise ValueError("huber_loss does not support non-positive values for delta.")
    return e.mul(smooth_l1_loss(input, target, reduction, delta), delta)


@operation(autocast="float32")
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Cross entropy of logits with targets in [0, 1], element by element, without overflow."""
    if tuple(target.shape) != tuple(input.shape):
        raise ValueError(f"Target size ({list(target.shape)}) must be the same as input size ({list(input.shape)})")
    log_term = e.softplus(e.neg(input), 1.0, float("inf"))  # log(1 + exp(-input))
    if pos_weight is None:
        loss = e.add(e.mul(e.sub(1, target), input), log_term)
    else:
        factor = e.add(e.mul(e.sub(pos_weight, 1), target), 1)
        loss = e.add(e.mul(e.sub(1, target), input), e.mul(factor, log_term))
    return reduced(loss if weight is None else e.mul(loss, weight), reduction)


@operation(autocast="cpu:float32 cuda:refused")
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Cross entropy of probabilities with targets in [0, 1]; logarithms are limited to -100 as in torch."""
    if tuple(target.shape) != tuple(input.shape):
        raise ValueError(
            f"Using a target size ({list(target.shape)}) that is different to the input size ({list(input.shape)})"
        )
    if input.numel() and not bool(((input._data >= 0) & (input._data <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    yes = e.clamp(e.log(input), min=-100.0)
    no = e.clamp(e.log(e.sub(1, input)), min=-100.0)
    loss = e.neg(e.add(e.mul(target, yes), e.mul(e.sub(1, target), no)))
    return reduced(loss if weight is None else e.mul(loss, weight), reduction)


@operation(autocast="float32")
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback and Leibler's divergence of log-probabilities `input` from `target`."""
    if log_target:
        loss = e.mul(e.exp(target), e.sub(target, input))
    else:
        loss = e.sub(xlogy(target, target), e.mul(target, input))
    if reduction == "batchmean":
        return sum(loss) if input.ndim == 0 else e.true_divide(sum(loss), input.shape[0])
    return reduced(loss, reduction)


def _check_target(logits: Any, target: Any) -> None:
    if logits.ndim != target.ndim + 1 or tuple(logits.shape[:1] + logits.shape[2:]) != tuple(target.shape):
        raise ValueError(
            f"Expected a target of shape {[logits.shape[0], *logits.shape[2:]]} for input of shape "
            f"{list(logits.shape)}, but got "
            f"{list(target.shape)}"
        )
    if target._data.dtype.kind not in "iu":
        raise RuntimeError(f"expected scalar type Long but found {target.dtype}")


def _checked_classes(xp: Any, target: Any, valid: Any, classes: int) -> Any:
    safe = xp.where(valid, target, 0)
    if xp is np and safe.size and ((safe < 0).any() or (safe >= classes).any()):
        wrong = int(safe.max()) if int(safe.max()) >= classes else int(safe.min())
        raise IndexError(f"Target {wrong} is out of bounds.")
    return safe
