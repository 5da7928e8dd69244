"""Deep supervision: one loss at several resolutions of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from framework import nn
from framework.core.tensor import Tensor
from medimg.losses.targets import resized_target


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
