"""Losses by distance from the surface. Distances are computed outside the graph, by the exact Euclidean transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import framework
from framework import nn
from framework.core.tensor import Tensor
from medimg.losses.targets import Activation, activate, check_activation, check_reduction, membership, reduce


class HausdorffDTLoss(nn.Module):
    """Mean of (p - t)^2 (d_p^`alpha` + d_t^`alpha`), by class (Karimi and Salcudean, IEEE TMI 39, 2020).

    d is the distance of a voxel to the surface of p > 1/2 or of t, 0 everywhere for a class without voxels.
    `spacing` is the voxel edges in mm, 1 where None. `log` gives log(1 + loss), which tames early training. `batch`
    takes the mean over the batch too. `reduction`: "mean", "sum", "none" for (N, C), or (C,) with `batch`.
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = False,
        batch: bool = False,
        alpha: float = 2.0,
        spacing: Sequence[float] | None = None,
        log: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_activation(activation)
        check_reduction(reduction)
        self.activation, self.include_background, self.batch = activation, include_background, batch
        self.alpha, self.spacing, self.log, self.reduction = alpha, spacing, log, reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        p, t = _classes(self, logits, target)
        far_p, far_t = (_fields(x.detach(), self.spacing, signed=False) for x in (p, t))
        weight = (far_p**self.alpha + far_t**self.alpha).to(p.dtype)
        loss = ((p - t) ** 2 * weight).flatten(2).mean(2)
        if self.batch:
            loss = loss.mean(0)
        loss = reduce(loss, self.reduction)
        return (loss + 1.0).log() if self.log else loss


class BoundaryLoss(nn.Module):
    """Mean of p times the signed distance to the target's surface (Kervadec et al., MedIA 67, 2021).

    The distance is positive outside the target, negative inside, so the loss is negative where the prediction is right;
    0 for a class absent from the target. Meant beside a region loss, with a growing weight. `spacing` is the voxel
    edges in mm, 1 where None. `reduction`: "mean", "sum", or "none" for (N, C).
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = False,
        spacing: Sequence[float] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_activation(activation)
        check_reduction(reduction)
        self.activation, self.include_background = activation, include_background
        self.spacing, self.reduction = spacing, reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        p, t = _classes(self, logits, target)
        distance = _fields(t, self.spacing, signed=True).to(p.dtype)
        return reduce((p * distance).flatten(2).mean(2), self.reduction)


def _classes(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and memberships (N, C, *spatial) of the classes that count."""
    if not 3 <= logits.ndim <= 5:
        raise ValueError(f"distances are for 1 to 3 spatial axes, got logits of shape {tuple(logits.shape)}")
    if not loss.include_background and logits.shape[1] == 1:
        raise ValueError("include_background=False leaves nothing of a single channel")
    members, _ = membership(target, tuple(logits.shape), None)
    p = activate(logits, loss.activation)
    t = members.to(p.dtype)
    return (p, t) if loss.include_background else (p[:, 1:], t[:, 1:])


def _fields(x: Tensor, spacing: Sequence[float] | None, signed: bool) -> Tensor:
    """Distance to the surface of x > 1/2 (N, C, *spatial), in both directions; 0 where there is no surface."""
    from medimg.metrics import kernels

    inside = x.cpu().numpy() > 0.5
    n = inside.ndim - 2
    if spacing is not None and (len(spacing) != n or min(spacing) <= 0):
        raise ValueError(f"spacing must be {n} positive lengths in mm, got {tuple(spacing)}")
    edges = np.array([1.0] * (3 - n) + list(spacing or [1.0] * n))
    size = (1,) * (3 - n) + inside.shape[2:]
    result = np.zeros(inside.shape, np.float32)
    squared = np.empty(size, np.float32)
    for sample in range(inside.shape[0]):
        for channel in range(inside.shape[1]):
            mask = np.ascontiguousarray(inside[sample, channel]).reshape(size)
            if not mask.any() or mask.all():
                continue
            field = result[sample, channel].reshape(size)
            kernels.squared_distance(mask, edges, squared)
            field += np.sqrt(squared)
            kernels.squared_distance(~mask, edges, squared)
            field += (-1.0 if signed else 1.0) * np.sqrt(squared)
    return framework.from_numpy(result).to(x.device)
