"""Dice together with a loss per voxel: cross-entropy or focal."""

from __future__ import annotations

from typing import Any

import framework
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F
from medimg.losses.focal import FocalLoss
from medimg.losses.overlap import DiceLoss
from medimg.losses.targets import as_weight, class_numbers, mask_of, membership


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
        weights = as_weight(weight)
        # Cross-entropy keeps the background's weight also where Dice leaves the class out.
        for_dice = weights if weights is None or include_background or weights.ndim == 0 else weights[1:]
        self.dice = DiceLoss(
            activation, include_background, batch, ignore_index, squared, smooth=smooth, weight=for_dice
        )
        self.ignore_index, self.activation = ignore_index, activation
        self.dice_weight, self.ce_weight = dice_weight, ce_weight
        self.register_buffer("weight", weights)

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        region = self.dice(logits, target, mask)
        return self.dice_weight * region + self.ce_weight * self._cross_entropy(logits, target, mask)

    def _cross_entropy(self, logits: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        weight = None if self.weight is None else self.weight.to(logits.dtype)
        wanted = mask_of(mask, tuple(logits.shape), logits)
        if self.activation == "sigmoid":
            members, valid = membership(target, tuple(logits.shape), self.ignore_index)
            members = members.to(logits.dtype)
            if wanted is not None:
                valid = wanted if valid is None else valid.to(wanted.dtype) * wanted
            per_channel = None if weight is None else weight.reshape(-1, *(1,) * (logits.ndim - 2))
            loss = F.binary_cross_entropy_with_logits(logits, members, pos_weight=per_channel, reduction="none")
            if valid is None:
                return loss.mean()
            return (loss * valid).sum() / max(float(valid.sum().item()) * logits.shape[1], 1.0)
        if tuple(target.shape) == tuple(logits.shape) and logits.shape[1] > 1:
            if wanted is None:
                return F.cross_entropy(logits, target.to(logits.dtype), weight)
            loss = F.cross_entropy(logits, target.to(logits.dtype), weight, reduction="none")
            return (loss * wanted.squeeze(1)).sum() / max(float(wanted.sum().item()), 1.0)
        labels = class_numbers(target, tuple(logits.shape))
        if self.ignore_index is None and wanted is None:
            return F.cross_entropy(logits, labels, weight)
        nothing = -100 if self.ignore_index is None else self.ignore_index
        if wanted is not None:
            labels = framework.where(wanted.squeeze(1).gt(0), labels, nothing)
        if bool(labels.eq(nothing).all()):
            return (logits * 0.0).sum()
        return F.cross_entropy(logits, labels, weight, ignore_index=nothing)


class DiceFocalLoss(nn.Module):
    """`dice_weight` * Dice + `focal_weight` * focal loss (Zhu et al., Medical Physics 46, 2019).

    `weight` (one factor per class that counts) acts on both parts; `gamma` and `alpha` are FocalLoss's, other settings
    DiceLoss's. The mean over voxels and classes of the one and over classes of the other are added.
    """

    def __init__(
        self,
        activation: str = "softmax",
        include_background: bool = True,
        batch: bool = False,
        ignore_index: int | None = None,
        squared: bool = False,
        smooth: tuple[float, float] = (1e-5, 1e-5),
        gamma: float = 2.0,
        alpha: float | None = None,
        weight: Any = None,
        dice_weight: float = 1.0,
        focal_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if dice_weight < 0 or focal_weight < 0:
            raise ValueError(f"dice_weight and focal_weight must not be negative, got {dice_weight} and {focal_weight}")
        self.dice = DiceLoss(activation, include_background, batch, ignore_index, squared, smooth=smooth, weight=weight)
        self.focal = FocalLoss(activation, include_background, gamma, alpha, weight, ignore_index)
        self.dice_weight, self.focal_weight = dice_weight, focal_weight

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        region = self.dice(logits, target, mask)
        return self.dice_weight * region + self.focal_weight * self.focal(logits, target, mask)
