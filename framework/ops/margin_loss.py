"""Losses by margins: rankings, hinges, cosine and triplet distances."""

from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.activation import logsigmoid
from framework.ops.index import gather
from framework.ops.loss import reduced
from framework.ops.reduce import mean, sum
from framework.ops.shape import broadcast_shapes, reshape, unsqueeze
from framework.ops.statistics import pairwise_distance


@operation(autocast="float32")
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0, reduction: str = "mean") -> Any:
    """max(0, -target (input1 - input2) + margin); target 1 where the first should rank higher, else -1."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{list(input1.shape)}, input2: {list(input2.shape)}, target: {list(target.shape)} "
        )
    return reduced(_hinge(e.add(e.mul(e.neg(target), e.sub(input1, input2)), margin)), reduction)


@operation(autocast="float32")
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The distance itself where target is 1, max(0, margin - distance) where it is -1."""
    apart = e.where(e.ne(target, 1), _hinge(e.sub(margin, input)), 0 * input)
    near = e.where(e.ne(target, -1), input, 0 * input)
    return reduced(e.add(apart, near), reduction)


@operation(autocast="float32")
@in_float32
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target input))."""
    return reduced(e.log1p(e.exp(e.mul(e.neg(target), input))), reduction)


@operation(autocast="float32")
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean over wrong classes of max(0, margin - x[y] + x[i])^p, for (N, C) or (C,) scores."""
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    scores, classes = _rows("multi_margin_loss", input, target)
    count = scores.shape[1]
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    if weight is not None and weight.numel() != count:
        raise RuntimeError(f"inconsistent weight size, expected {count} but got {list(weight.shape)}")
    index = classes._data.reshape(-1)
    if index.size and ((index < 0).any() or (index >= count).any()):
        raise RuntimeError("target out of range")
    right = gather(scores, 1, unsqueeze(classes, 1))
    terms = _hinge(e.add(e.sub(margin, right), scores))
    if p == 2:
        terms = e.mul(terms, terms)
    if weight is not None:
        terms = e.mul(terms, weight[unsqueeze(classes, 1)])
    wrong = Tensor._wrap(np.arange(count) != index[:, None]).to(scores.device)
    losses = e.true_divide(sum(e.where(wrong, terms, 0 * terms), 1), count)
    return _reduced_rows(losses, input, reduction)


@operation(autocast="float32")
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean over pairs of a label and a class that is none of max(0, 1 - (x[label] - x[class])).

    `target` has the input's shape; labels stand first, -1 ends them.
    """
    if tuple(input.shape) != tuple(target.shape) and not (input.ndim == 0 or target.ndim == 0):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    if input.ndim > 2:
        raise RuntimeError(f"Expected non-empty vector or matrix with optional 0-dim batch size, got {input.ndim}D")
    scores = reshape(input, 1, -1) if input.ndim < 2 else input
    labels = np.atleast_1d(target._data).reshape(tuple(scores.shape))
    count = scores.shape[1]
    if labels.size and ((labels < -1).any() or (labels >= count).any()):
        raise RuntimeError("argument target is out of range")
    listed = np.cumsum(labels < 0, 1) == 0
    safe = np.where(listed, labels, 0)
    is_label = np.zeros(labels.shape, bool)
    rows, columns = np.nonzero(listed)
    is_label[rows, labels[rows, columns]] = True
    right = gather(scores, 1, Tensor._wrap(safe.astype(np.int64)).to(input.device))
    margins = _hinge(e.add(e.sub(1, unsqueeze(right, 2)), unsqueeze(scores, 1)))
    counts = Tensor._wrap(listed[:, :, None] & ~is_label[:, None, :]).to(input.device)
    losses = e.true_divide(sum(e.where(counts, margins, 0 * margins), (1, 2)), count)
    return _reduced_rows(losses, input, reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over classes of the logistic loss of (N, C) scores with 0 or 1 for every class."""
    loss = e.neg(e.add(e.mul(target, logsigmoid(input)), e.mul(e.sub(1, target), logsigmoid(e.neg(input)))))
    if weight is not None:
        loss = e.mul(loss, weight)
    return reduced(e.true_divide(sum(loss, -1), input.shape[-1]), reduction)


@operation(autocast="float32")
def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, for (N, D) or (D,)."""
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    product = sum(e.mul(input1, input2), -1)
    # torch's own guard: the squares are moved by 1e-12, not the norms bounded
    squares = [e.add(sum(e.mul(each, each), -1), 1e-12) for each in (input1, input2)]
    cosine = e.true_divide(product, e.sqrt(e.mul(*squares)))
    alike = e.where(e.eq(target, 1), e.sub(1, cosine), 0 * cosine)
    apart = e.where(e.eq(target, -1), _hinge(e.sub(cosine, margin)), 0 * cosine)
    return reduced(e.add(alike, apart), reduction)


@operation(autocast="float32")
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm (Balntas et al. 2016)."""
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    broadcast_shapes(anchor.shape, positive.shape, negative.shape)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """The triplet loss with any distance; `swap` takes the nearer of the negative's distances to the two others."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = e.minimum(far, distance(positive, negative))
    return reduced(_hinge(e.add(e.sub(near, far), margin)), reduction)


def _hinge(value: Any) -> Any:
    """max(0, value); at 0 the gradient passes, as torch's clamp lets it."""
    return e.clamp(value, min=0)


def _rows(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    scores = reshape(input, 1, -1) if input.ndim < 2 else input
    classes = reshape(target, -1)
    if scores.ndim != 2 or classes.shape[0] != scores.shape[0] or target.ndim > 1:
        raise RuntimeError(f"{name}: inconsistent target size, expected {scores.shape[0]} but got {list(target.shape)}")
    return scores, classes


def _reduced_rows(losses: Any, input: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses if input.ndim == 2 else losses[0]
    return (mean if reduction == "mean" else sum)(losses)
