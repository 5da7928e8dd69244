"""What losses are given: targets as class numbers or memberships, masks, activations, weights of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn import functional as F

Activation = str | Callable[[Tensor], Tensor] | None
"""How logits become probabilities: "softmax" over the classes, "sigmoid" per channel, a function, or None."""


def resized_target(target: Tensor, size: tuple[int, ...]) -> Tensor:
    """A target at another spatial size by nearest neighbour: voxel i takes the value at floor((i + 1/2) old / new)."""
    n = len(size)
    if tuple(target.shape[-n:]) == tuple(size):
        return target
    array = target.detach()
    for axis, new in enumerate(size, target.ndim - n):
        old = array.shape[axis]
        if new != old:
            array = array.index_select(axis, framework.tensor([(2 * i + 1) * old // (2 * new) for i in range(new)]))
    return array


def class_numbers(target: Tensor, logits_shape: tuple[int, ...]) -> Tensor:
    """A target (N, *spatial) or (N, 1, *spatial) as int64 class numbers (N, *spatial)."""
    n, _, *size = logits_shape
    shape = tuple(target.shape)
    if shape == (n, 1, *size):
        target = target.squeeze(1)
    elif shape != (n, *size):
        raise ValueError(
            f"target has shape {shape}; logits of shape {logits_shape} need class numbers {(n, *size)} or "
            f"{(n, 1, *size)}, or memberships {logits_shape}"
        )
    return target.detach().to(framework.int64)


def membership(target: Tensor, logits_shape: tuple[int, ...], ignore_index: int | None) -> tuple[Tensor, Tensor | None]:
    """Membership per class (N, C, *spatial) in float32, and 1 where a voxel counts (None: everywhere)."""
    classes = logits_shape[1]
    if tuple(target.shape) == logits_shape and (classes > 1 or ignore_index is None):
        return target.detach().to(framework.float32), None
    labels = class_numbers(target, logits_shape)
    ignored = None if ignore_index is None else labels.eq(ignore_index)
    if ignored is None or not bool(ignored.any()):
        valid, known = None, labels
    else:
        valid, known = (~ignored).to(framework.float32).unsqueeze(1), framework.where(ignored, 0, labels)
        labels = framework.where(ignored, classes, labels)  # the number of no class
    if classes == 1:  # one channel: the structure itself
        return known.unsqueeze(1).to(framework.float32), valid
    _refuse_unknown(known, classes)
    # Channels last in memory, as the logits of convolutions are.
    return labels.unsqueeze(-1).eq(framework.arange(classes)).to(framework.float32).movedim(-1, 1), valid


def mask_of(mask: Tensor | None, logits_shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """A mask (N, 1, *spatial), (N, *spatial) or with N = 1 as (N, 1, *spatial) in the dtype of `like`."""
    if mask is None:
        return None
    n, _, *size = logits_shape
    if mask.ndim == len(logits_shape) - 1:
        mask = mask.unsqueeze(1)
    if tuple(mask.shape) not in ((n, 1, *size), (1, 1, *size)):
        raise ValueError(
            f"mask has shape {tuple(mask.shape)}; logits of shape {logits_shape} need one of {(n, 1, *size)}"
        )
    return mask.detach().to(like.dtype).expand(n, 1, *size)


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """Probabilities of logits (N, C, *spatial)."""
    if activation == "softmax":
        if logits.shape[1] == 1:
            raise ValueError("softmax over a single channel is 1 everywhere: use activation='sigmoid'")
        return F.softmax(logits, 1)
    if activation == "sigmoid":
        return F.sigmoid(logits)
    return activation(logits) if callable(activation) else logits


def check_activation(activation: Activation) -> None:
    """Refuse what `activate` does not know."""
    if activation not in ("softmax", "sigmoid", None) and not callable(activation):
        raise ValueError(f"activation must be 'softmax', 'sigmoid' or None, got {activation!r}")


def check_reduction(reduction: str) -> None:
    """Refuse a reduction other than "mean", "sum" and "none"."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the entries themselves."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def as_weight(weight: Any) -> Tensor | None:
    """One factor, or one per class, as a float32 tensor that is nowhere negative."""
    if weight is None:
        return None
    values = weight if isinstance(weight, Tensor) else framework.tensor(weight, dtype=framework.float32)
    if bool((values < 0).any()):
        raise ValueError("weights of classes must not be negative")
    return values


def _refuse_unknown(labels: Tensor, classes: int) -> None:
    lowest, highest = int(labels.min().item()), int(labels.max().item())
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"the target holds class {wrong}, but the logits have classes 0 to {classes - 1}")
