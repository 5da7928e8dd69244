"""The focal loss: cross-entropy that turns away from what is already right."""

from __future__ import annotations

from typing import Any

from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F
from medimg.losses.targets import as_weight, check_reduction, mask_of, membership, reduce


class FocalLoss(nn.Module):
    """(1 - p_t)^`gamma` times the cross-entropy of each voxel and class (Lin et al., ICCV 2017).

    With activation "sigmoid" each channel is a question of its own, and `alpha` weighs the ones against the zeros
    (1 - alpha). With "softmax" only the true class of a voxel has an entry; `alpha` weighs the classes above 0 against
    class 0 (1 - alpha). `weight` is one factor, or one per class that counts. `reduction`: "mean" over voxels *and*
    classes that count (MONAI's; softmax with gamma 0 is therefore cross-entropy / C), "sum", or "none", which gives
    (N, C, *spatial).
    """

    def __init__(
        self,
        activation: str = "sigmoid",
        include_background: bool = True,
        gamma: float = 2.0,
        alpha: float | None = None,
        weight: Any = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if activation not in ("softmax", "sigmoid"):
            raise ValueError(f"activation must be 'softmax' or 'sigmoid', got {activation!r}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
        check_reduction(reduction)
        self.activation, self.include_background, self.gamma, self.alpha = activation, include_background, gamma, alpha
        self.ignore_index, self.reduction = ignore_index, reduction
        self.register_buffer("weight", as_weight(weight))

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        shape = tuple(logits.shape)
        if not self.include_background and shape[1] == 1:
            raise ValueError("include_background=False leaves nothing of a single channel")
        members, valid = membership(target, shape, self.ignore_index)
        members = members.to(logits.dtype)
        wanted = mask_of(mask, shape, members)
        if valid is not None:
            wanted = valid.to(members.dtype) if wanted is None else valid.to(members.dtype) * wanted
        loss = self._softmax(logits, members) if self.activation == "softmax" else self._sigmoid(logits, members)
        if not self.include_background:
            loss = loss[:, 1:]
        if self.weight is not None and shape[1] > 1:
            if self.weight.numel() not in (1, loss.shape[1]):
                raise ValueError(f"weight has {self.weight.numel()} entries, but {loss.shape[1]} classes count")
            loss = loss * self.weight.to(loss.dtype).reshape(-1, *(1,) * (len(shape) - 2))
        if wanted is None:
            return reduce(loss, self.reduction)
        loss = loss * wanted
        if self.reduction == "mean":
            return loss.sum() / max(float(wanted.sum().item()) * loss.shape[1], 1.0)
        return reduce(loss, self.reduction)

    def _sigmoid(self, logits: Tensor, members: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(logits, members, reduction="none")
        # log(1 - p_t), from the logits: exact where p_t rounds to 1.
        loss = (F.logsigmoid(logits * (1.0 - 2.0 * members)) * self.gamma).exp() * loss
        if self.alpha is None:
            return loss
        return loss * (members * self.alpha + (1.0 - members) * (1.0 - self.alpha))

    def _softmax(self, logits: Tensor, members: Tensor) -> Tensor:
        if logits.shape[1] == 1:
            raise ValueError("softmax over a single channel is 1 everywhere: use activation='sigmoid'")
        log_p = F.log_softmax(logits, 1)
        loss = -((1.0 - log_p.exp()) ** self.gamma) * log_p * members
        if self.alpha is None:
            return loss
        factors = [1.0 - self.alpha] + [self.alpha] * (logits.shape[1] - 1)
        return loss * logits.new_tensor(factors).reshape(-1, *(1,) * (logits.ndim - 2))
