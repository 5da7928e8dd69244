"""Losses that are negative log likelihoods: Gauss, Poisson, CTC; and cross entropy of a linear layer."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.index import gather
from framework.ops.linalg import linear
from framework.ops.loss import cross_entropy, reduced
from framework.ops.reduce import logsumexp, mean, sum
from framework.ops.shape import reshape, stack

_NEVER = -1e30  # the logarithm of a probability of zero; finite, so that derivatives stay numbers


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log var + (input - target)^2 / var) / 2, with the variance at least `eps`; `full` adds log(2 pi) / 2."""
    if isinstance(var, int | float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = Tensor._wrap(np.full(tuple(input.shape), var, input._data.dtype))
    if tuple(var.shape) != tuple(input.shape):
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = reshape(var, *var.shape, 1)
        elif input.ndim != var.ndim or [v for n, v in zip(input.shape, var.shape) if n != v] != [1]:
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if (var._data < 0).any():
        raise ValueError("var has negative entry/entries")
    # the bound moves the value, but not the derivative, as in torch
    bounded = e.add(var, e.sub(e.clamp(var.detach(), min=eps), var.detach()))
    error = e.sub(input, target)
    loss = e.mul(e.add(e.log(bounded), e.true_divide(e.mul(error, error), bounded)), 0.5)
    if full:
        loss = e.add(loss, 0.5 * math.log(2 * math.pi))
    return reduced(loss, reduction)


@operation(autocast="float32")
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """rate - target log(rate), where `input` is the rate or (log_input) its logarithm; `full` adds Stirling's terms."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if log_input:
        loss = e.sub(e.exp(input), e.mul(target, input))
    else:
        loss = e.sub(input, e.mul(target, e.log(e.add(input, eps))))
    if full:
        safe = e.where(e.gt(target, 1), target, 1)
        stirling = e.add(e.sub(e.mul(safe, e.log(safe)), safe), e.mul(e.log(e.mul(safe, 2 * math.pi)), 0.5))
        loss = e.add(loss, e.where(e.gt(target, 1), stirling, 0 * stirling))
    return reduced(loss, reduction)


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """Cross entropy of `linear(input, linear_weight, linear_bias)`: (N, in) or (in,) with weights (C, *, in).

    `options` (torch's chunking) changes no result and is not read.
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}")
    width = input.shape[-1]
    if width != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{width} and {linear_weight.shape[-1]}, respectively"
        )
    outer = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outer:
        raise RuntimeError(f"expected linear_bias shape {outer}, got {tuple(linear_bias.shape)}")
    if len(outer) > 1 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {width}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = (*input.shape[:-1], *outer)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    bias = None if linear_bias is None else reshape(linear_bias, -1)
    logits = reshape(linear(input, reshape(linear_weight, -1, width), bias), *shape)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, ignored, reduction, label_smoothing)


@operation(autocast="cpu:float32")
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Connectionist temporal classification (Graves et al. 2006) of (T, N, C) or (T, C) log-probabilities.

    `targets` (N, S), or all of them joined. As in torch, the gradient is that with respect to the input of the
    log_softmax that made `log_probs`.
    """
    single = log_probs.ndim == 2
    scores = reshape(log_probs, log_probs.shape[0], 1, -1) if single else log_probs
    steps, count, classes = scores.shape
    times, lengths = _lengths(input_lengths), _lengths(target_lengths)
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if len(times) != count or len(lengths) != count:
        raise RuntimeError(f"input_lengths and target_lengths must be of size {count}")
    if count and (times.max() > steps or times.min() < 0):
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {times.max()}")
    labels = _padded_labels(targets._data, lengths)
    width = 2 * labels.shape[1] + 1
    states = np.full((count, width), blank, np.int64)
    states[:, 1::2] = labels
    # a state may be entered from two before it unless it is a blank or repeats the label there
    jumps = np.zeros((count, width), bool)
    jumps[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    never = Tensor._wrap(np.full((count, 1), _NEVER, scores._data.dtype))
    state_scores = gather(scores, 2, Tensor._wrap(np.broadcast_to(states, (steps, count, width)).copy()))
    start = np.zeros((count, width), bool)
    start[:, :2] = True
    start[:, 1] = lengths > 0 if width > 1 else start[:, 0]
    alpha = e.where(Tensor._wrap(start), state_scores[0], _NEVER)
    rows = [alpha]
    for step in range(1, steps):
        before = rows[-1]
        ways = [before, _shifted(before, never, 1)]
        ways.append(e.where(Tensor._wrap(jumps), _shifted(before, never, 2), _NEVER))
        rows.append(e.add(logsumexp(stack(ways), 0), state_scores[step]))
    every = stack(rows)
    last = every[np.maximum(times - 1, 0), np.arange(count)]
    final = gather(last, 1, Tensor._wrap(np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)))
    ends = e.where(Tensor._wrap(np.stack([np.ones(count, bool), lengths > 0], 1)), final, _NEVER)
    losses = e.neg(logsumexp(ends, 1))
    total = sum(e.where(Tensor._wrap(np.arange(steps)[:, None] < times), sum(e.exp(scores), 2), 0.0), 0)
    losses = e.add(losses, e.sub(total, total.detach()))  # torch's gradient: of the logits, not of log_probs
    impossible = losses._data > -_NEVER / 2
    losses = e.where(Tensor._wrap(impossible), 0.0 if zero_infinity else math.inf, losses)
    if reduction == "mean":
        return mean(e.true_divide(losses, Tensor._wrap(np.maximum(lengths, 1).astype(losses._data.dtype))))
    if reduction == "sum":
        return sum(losses)
    return losses[0] if single else losses


def _lengths(value: Any) -> Any:
    return np.atleast_1d(np.asarray(getattr(value, "_data", value))).astype(np.int64)


def _padded_labels(targets: Any, lengths: Any) -> Any:
    """Targets as (N, longest), from (N, S) or from all of them joined."""
    longest = int(lengths.max()) if len(lengths) else 0
    if targets.ndim == 2:
        if targets.shape[1] < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, got {targets.shape[1]}"
            )
        return targets[:, :longest]
    if targets.size < int(lengths.sum()):
        raise RuntimeError(f"expected {int(lengths.sum())} joined targets, got {targets.size}")
    result = np.zeros((len(lengths), longest), np.int64)
    starts = np.cumsum(lengths) - lengths
    for row, (first, length) in enumerate(zip(starts, lengths)):
        result[row, :length] = targets[first : first + length]
    return result


def _shifted(alpha: Any, never: Any, places: int) -> Any:
    """The row of states moved up by so many places."""
    from framework.ops.shape import cat

    width = alpha.shape[1]
    return cat([never] * min(places, width) + [alpha[:, : max(width - places, 0)]], 1)
