"""Losses of overlap by class: Dice, generalised Dice, Tversky.

All take logits (N, C, *spatial), a target (see `medimg.losses`) and a mask (N, 1, *spatial) of the voxels that count.
With `soft_label` the overlap of memberships between 0 and 1 is (sum p + sum t - sum |p - t|) / 2, which is largest
where p = t; the product p t is not (Wang et al., MICCAI 2023). On hard targets both are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import framework
from framework import nn
from framework.core.tensor import Tensor
from medimg.losses.targets import (
    Activation,
    activate,
    as_weight,
    check_activation,
    check_reduction,
    mask_of,
    membership,
    reduce,
)


class DiceLoss(nn.Module):
    """1 - Dice, by class: 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s'), s = `smooth[0]`, s' = `smooth[1]`.

    `activation` makes probabilities of the logits: "softmax", "sigmoid", a function or None. `batch` sums over the
    batch as over one volume (small structures absent from most patches). `include_background=False` leaves out class 0.
    Voxels whose target is `ignore_index` count nowhere. `squared` takes p^2 and t^2 in the denominator (Milletari et
    al. 2016), `jaccard` the union instead. `weight` is one factor, or one per class that counts; a single channel has
    none. `reduction` over classes (and batch): "mean", "sum" or "none", which gives (N, C), or (C,) with `batch`.
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        squared: bool = False,
        jaccard: bool = False,
        smooth: tuple[float, float] = (1e-5, 1e-5),
        weight: Any = None,
        reduction: str = "mean",
        soft_label: bool = False,
    ) -> None:
        super().__init__()
        check_activation(activation)
        check_reduction(reduction)
        self.activation, self.include_background, self.batch = activation, include_background, batch
        self.ignore_index, self.squared, self.jaccard = ignore_index, squared, jaccard
        self.smooth, self.reduction, self.soft_label = smooth, reduction, soft_label
        self.register_buffer("weight", as_weight(weight))

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        sums = _sums(self, logits, target, mask, self.squared)
        both = sums.predicted + sums.true
        if self.jaccard:
            both = 2.0 * (both - sums.overlap)
        loss = 1.0 - (2.0 * sums.overlap + self.smooth[0]) / (both + self.smooth[1])
        if self.weight is not None and logits.shape[1] > 1:
            if self.weight.numel() not in (1, loss.shape[-1]):
                raise ValueError(f"weight has {self.weight.numel()} entries, but {loss.shape[-1]} classes count")
            loss = loss * self.weight.to(loss.dtype)
        return reduce(loss, self.reduction)


class GeneralizedDiceLoss(nn.Module):
    """1 - 2 sum_c w_c sum(p t) / sum_c w_c (sum(p) + sum(t)), classes weighted by their size (Sudre et al. 2017).

    `class_weight`: "square" (w = 1 / volume^2), "simple" (1 / volume) or "uniform". A class absent from the target has
    the largest weight of the others, 0 if all are absent. Other settings are DiceLoss's; `reduction` is over the batch,
    and "none" gives (N,), or a scalar with `batch`.
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        class_weight: str = "square",
        smooth: tuple[float, float] = (1e-5, 1e-5),
        reduction: str = "mean",
        soft_label: bool = False,
    ) -> None:
        super().__init__()
        check_activation(activation)
        check_reduction(reduction)
        if class_weight not in ("square", "simple", "uniform"):
            raise ValueError(f"class_weight must be 'square', 'simple' or 'uniform', got {class_weight!r}")
        self.activation, self.include_background, self.batch = activation, include_background, batch
        self.ignore_index, self.class_weight = ignore_index, class_weight
        self.smooth, self.reduction, self.soft_label = smooth, reduction, soft_label

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        sums = _sums(self, logits, target, mask)
        weight = self._weights(sums.true)
        overlap = (weight * sums.overlap).sum(-1)
        both = (weight * (sums.predicted + sums.true)).sum(-1)
        return reduce(1.0 - (2.0 * overlap + self.smooth[0]) / (both + self.smooth[1]), self.reduction)

    def _weights(self, volume: Tensor) -> Tensor:
        if self.class_weight == "uniform":
            return framework.ones_like(volume)
        present = volume.gt(0)
        known = framework.where(present, volume, 1.0)
        weight = 1.0 / (known * known if self.class_weight == "square" else known)
        weight = framework.where(present, weight, 0.0)
        return framework.where(present, weight, weight.amax(-1, keepdim=True))


class TverskyLoss(nn.Module):
    """1 - TP / (TP + `alpha` FP + `beta` FN) by class, smoothed as in DiceLoss (Salehi et al. 2017).

    alpha = beta = 1/2 is Dice, 1 and 1 Jaccard; beta > alpha asks for sensitivity. `gamma` != 1 raises each class's
    loss to that power (focal Tversky: Abraham and Khan 2019, who use 3/4). Other settings are DiceLoss's.
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float = 1.0,
        smooth: tuple[float, float] = (1e-5, 1e-5),
        reduction: str = "mean",
        soft_label: bool = False,
    ) -> None:
        super().__init__()
        check_activation(activation)
        check_reduction(reduction)
        if min(alpha, beta) < 0 or gamma <= 0:
            raise ValueError(f"alpha and beta must not be negative, gamma positive, got {alpha}, {beta} and {gamma}")
        self.activation, self.include_background, self.batch = activation, include_background, batch
        self.ignore_index, self.alpha, self.beta, self.gamma = ignore_index, alpha, beta, gamma
        self.smooth, self.reduction, self.soft_label = smooth, reduction, soft_label

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        sums = _sums(self, logits, target, mask)
        wrong = self.alpha * (sums.predicted - sums.overlap) + self.beta * (sums.true - sums.overlap)
        loss = 1.0 - (sums.overlap + self.smooth[0]) / (sums.overlap + wrong + self.smooth[1])
        return reduce(loss if self.gamma == 1 else loss**self.gamma, self.reduction)


class _Sums(NamedTuple):
    """sum(p t), sum(p), sum(t) over the voxels that count: (N, C), or (C,) with `batch`."""

    overlap: Tensor
    predicted: Tensor
    true: Tensor


def _sums(loss: Any, logits: Tensor, target: Tensor, mask: Tensor | None, squared: bool = False) -> _Sums:
    if not loss.include_background and logits.shape[1] == 1:
        raise ValueError("include_background=False leaves nothing of a single channel")
    shape = tuple(logits.shape)
    members, valid = membership(target, shape, loss.ignore_index)
    p = activate(logits, loss.activation)
    members = members.to(p.dtype) if p.dtype == framework.float64 else members
    wanted = mask_of(mask, shape, members)
    if wanted is not None:
        members = members * wanted
        valid = wanted if valid is None else valid.to(wanted.dtype) * wanted
    # Sums by einsum: one pass over memory each, and no product is kept. Members are zero where a voxel does not count.
    p, t = p.flatten(2), members.flatten(2)
    counts = framework.ones(t.shape[0], t.shape[2], dtype=t.dtype) if valid is None else valid.to(t.dtype).flatten(1)
    predicted = framework.einsum("ncv,nv->nc", p * p if squared else p, counts)
    true = framework.einsum("ncv,nv->nc", t * t if squared else t, counts)
    if loss.soft_label:
        overlap = (predicted + true - framework.einsum("ncv,nv->nc", (p - t).abs(), counts)) / 2.0
    else:
        overlap = framework.einsum("ncv,ncv->nc", p, t)
    sums = [overlap, predicted, true]
    if loss.batch:
        sums = [part.sum(0) for part in sums]
    if not loss.include_background:
        sums = [part[..., 1:] for part in sums]
    return _Sums(*sums)
