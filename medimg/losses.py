"""Losses for segmentation: Dice, Dice with cross-entropy, and their sum over the levels of a network.

Logits are (N, C, *spatial). A target is class numbers (N, *spatial) or (N, 1, *spatial), or a membership per class
(N, C, *spatial).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import framework
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class DiceLoss(nn.Module):
    """1 - Dice, by class: 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s'), s = `smooth[0]`, s' = `smooth[1]`.

    `activation` makes probabilities of the logits: "softmax", "sigmoid" or None. `batch` sums over the batch as over
    one volume (small structures absent from most patches). `include_background=False` leaves out class 0.
    Voxels whose target is `ignore_index` count nowhere. `squared` takes p^2 and t^2 in the denominator (Milletari et
    al. 2016), `jaccard` the union instead. `weight` is one factor, or one per class that counts; a single channel has
    none. `reduction` over classes (and batch): "mean", "sum" or "none".
    """

    def __init__(
        self,
        activation: str | None = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        squared: bool = False,
        jaccard: bool = False,
        smooth: tuple[float, float] = (1e-5, 1e-5),
        weight: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if activation not in ("softmax", "sigmoid", None):
            raise ValueError(f"activation must be 'softmax', 'sigmoid' or None, got {activation!r}")
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
        self.activation, self.include_background, self.batch = activation, include_background, batch
        self.ignore_index, self.squared, self.jaccard = ignore_index, squared, jaccard
        self.smooth, self.reduction = smooth, reduction
        self.register_buffer("weight", _as_weight(weight))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if not self.include_background and logits.shape[1] == 1:
            raise ValueError("include_background=False leaves nothing of a single channel")
        members, valid = membership(target, tuple(logits.shape), self.ignore_index)
        # Sums by einsum: one pass over memory each, and no product is kept. Members are zero where a voxel is ignored.
        p, t = _activate(logits, self.activation).flatten(2), members.flatten(2)
        overlap = framework.einsum("ncv,ncv->nc", p, t)
        q = p * p if self.squared else p
        counts = framework.ones(t.shape[0], t.shape[2]) if valid is None else valid.flatten(1)
        both = framework.einsum("ncv,nv->nc", q, counts) + framework.einsum(
            "ncv,nv->nc", t * t if self.squared else t, counts
        )
        if self.batch:
            overlap, both = overlap.sum(0), both.sum(0)
        if not self.include_background:
            overlap, both = overlap[..., 1:], both[..., 1:]
        if self.jaccard:
            both = 2.0 * (both - overlap)
        loss = 1.0 - (2.0 * overlap + self.smooth[0]) / (both + self.smooth[1])
        if self.weight is not None and logits.shape[1] > 1:
            if self.weight.numel() not in (1, loss.shape[-1]):
                raise ValueError(f"weight has {self.weight.numel()} entries, but {loss.shape[-1]} classes count")
            loss = loss * self.weight.to(loss.dtype)
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()


class DiceCELoss(nn.Module):
    """`dice_weight` * Dice + `ce_weight` * cross-entropy (nnU-Net's loss).

    With activation "sigmoid" the second part is binary cross-entropy per channel. `weight` (one factor per class)
    acts on both parts; a target of memberships is a soft label to cross-entropy. Other settings are DiceLoss's. A batch
    in which every voxel is ignored has the loss 0.
    """

    def __init__(
        self,
        activation: str = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        squared: bool = False,
        smooth: tuple[float, float] = (1e-5, 1e-5),
        weight: Any = None,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if activation not in ("softmax", "sigmoid"):
            raise ValueError(f"activation must be 'softmax' or 'sigmoid', got {activation!r}")
        if dice_weight < 0 or ce_weight < 0:
            raise ValueError(f"dice_weight and ce_weight must not be negative, got {dice_weight} and {ce_weight}")
        weights = _as_weight(weight)
        # Cross-entropy keeps the background's weight also where Dice leaves the class out.
        for_dice = weights if weights is None or include_background or weights.ndim == 0 else weights[1:]
        self.dice = DiceLoss(
            activation, include_background, batch, ignore_index, squared, smooth=smooth, weight=for_dice
        )
        self.ignore_index, self.activation = ignore_index, activation
        self.dice_weight, self.ce_weight = dice_weight, ce_weight
        self.register_buffer("weight", weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.dice_weight * self.dice(logits, target) + self.ce_weight * self._cross_entropy(logits, target)

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(logits.dtype)
        if self.activation == "sigmoid":
            members, valid = membership(target, tuple(logits.shape), self.ignore_index)
            per_channel = None if weight is None else weight.reshape(-1, *(1,) * (logits.ndim - 2))
            loss = F.binary_cross_entropy_with_logits(logits, members, pos_weight=per_channel, reduction="none")
            if valid is None:
                return loss.mean()
            return (loss * valid).sum() / max(float(valid.sum().item()) * logits.shape[1], 1.0)
        if tuple(target.shape) == tuple(logits.shape) and logits.shape[1] > 1:
            return F.cross_entropy(logits, target.to(logits.dtype), weight)
        labels = class_numbers(target, tuple(logits.shape))
        if self.ignore_index is None:
            return F.cross_entropy(logits, labels, weight)
        if bool(labels.eq(self.ignore_index).all()):
            return (logits * 0.0).sum()
        return F.cross_entropy(logits, labels, weight, ignore_index=self.ignore_index)


class DeepSupervisionLoss(nn.Module):
    """The weighted sum of a loss over levels of logits, full resolution first.

    `weights` are 1, 1/2, 1/4, ... unless given, and are divided by their sum. The target is brought to each
    level's size by nearest neighbour. A single tensor of logits gives the plain loss, as at validation.
    """

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if weights is not None and (min(weights) < 0 or sum(weights) <= 0):
            raise ValueError(f"weights must not be negative and must have a positive sum, got {list(weights)}")
        self.loss = loss
        self.weights = None if weights is None else tuple(float(weight) for weight in weights)

    def forward(self, logits: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        if isinstance(logits, Tensor):
            return self.loss(logits, target)
        weights = [0.5**level for level in range(len(logits))] if self.weights is None else self.weights
        if len(weights) != len(logits):
            raise ValueError(f"{len(weights)} weights were given for {len(logits)} levels of logits")
        total = sum(weights)
        result: Any = None
        for weight, level in zip(weights, logits):
            if weight:
                part = (weight / total) * self.loss(level, resized_target(target, tuple(level.shape[2:])))
                result = part if result is None else result + part
        return result


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


def _refuse_unknown(labels: Tensor, classes: int) -> None:
    lowest, highest = int(labels.min().item()), int(labels.max().item())
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"the target holds class {wrong}, but the logits have classes 0 to {classes - 1}")


def _activate(logits: Tensor, activation: str | None) -> Tensor:
    if activation == "softmax":
        if logits.shape[1] == 1:
            raise ValueError("softmax over a single channel is 1 everywhere: use activation='sigmoid'")
        return F.softmax(logits, 1)
    return F.sigmoid(logits) if activation == "sigmoid" else logits


def _as_weight(weight: Any) -> Tensor | None:
    if weight is None:
        return None
    values = weight if isinstance(weight, Tensor) else framework.tensor(weight, dtype=framework.float32)
    if bool((values < 0).any()):
        raise ValueError("weights of classes must not be negative")
    return values
