"""Which positions of a padded batch are real, and operations that see only those.

Networks take channels (N, C, L) and `mask` (N, L), true where a position is real; None says that all are. Padding
stands at the end. A layer that mixes neighbours first puts zeros where nothing is, as convolution finds beyond the end
of a sequence that is alone: so padding never changes an answer.
"""

from __future__ import annotations

import math
from typing import Any

import framework
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


def mask_of_lengths(lengths: Any, size: int | None = None) -> Tensor:
    """(N,) lengths -> (N, size) booleans, true at the first `length` positions; size is the longest unless given."""
    counts = framework.as_tensor(lengths)
    longest = int(counts.max()) if size is None else size
    if int(counts.max()) > longest or int(counts.min()) < 1:
        raise ValueError(f"lengths must lie between 1 and {longest}, got {counts.tolist()}")
    return framework.arange(longest).unsqueeze(0) < counts.unsqueeze(1)


def keep(x: Tensor, mask: Tensor | None) -> Tensor:
    """(N, C, L) with zeros where the mask says that nothing is."""
    return x if mask is None else framework.where(mask.unsqueeze(1), x, 0.0)


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over real positions, (N, C, L) -> (N, C)."""
    if mask is None:
        return x.mean(-1)
    count = mask.sum(-1, keepdim=True).clamp(min=1).to(x.dtype)
    return keep(x, mask).sum(-1) / count


def masked_max(x: Tensor, mask: Tensor | None) -> Tensor:
    """The maximum over real positions, (N, C, L) -> (N, C)."""
    return (x if mask is None else framework.where(mask.unsqueeze(1), x, -math.inf)).amax(-1)


def max_pool(x: Tensor, mask: Tensor | None, size: int) -> tuple[Tensor, Tensor | None]:
    """Maxima over windows of `size`, the last perhaps shorter: (N, C, L) -> (N, C, ceil(L / size)), and its mask."""
    if size == 1:
        return x, mask
    if mask is None:
        return F.max_pool1d(x, size, ceil_mode=True), None
    pooled = pool_mask(mask, size)
    lowest = framework.where(mask.unsqueeze(1), x, -math.inf)
    return keep(F.max_pool1d(lowest, size, ceil_mode=True), pooled), pooled


def pool_mask(mask: Tensor | None, size: int) -> Tensor | None:
    """The mask of windows of `size`: real where any of their positions is."""
    if mask is None or size == 1:
        return mask
    return F.max_pool1d(mask.unsqueeze(1).to(framework.float32), size, ceil_mode=True).squeeze(1) > 0


class MaskedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm (Ioffe & Szegedy 2015) whose statistics come from real positions only; state dict as BatchNorm1d's."""

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None or not self.training:
            return super().forward(input)
        rows = input.transpose(1, 2)
        normed = framework.zeros_like(rows).index_put(tuple(mask.nonzero(as_tuple=True)), super().forward(rows[mask]))
        return normed.transpose(1, 2)


def check_input(x: Tensor, channels: int, mask: Tensor | None, longest: int | None = None) -> None:
    """ValueError, saying what is expected, where x is not (N, channels, L) or its mask not (N, L)."""
    if x.ndim != 3 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (N, {channels}, L), got {tuple(x.shape)}")
    check_mask(x.shape[0], x.shape[2], mask, longest)


def check_mask(batch: int, length: int, mask: Tensor | None, longest: int | None) -> None:
    """ValueError where a mask is not (batch, length), or the length is over what the network takes."""
    if mask is not None and tuple(mask.shape) != (batch, length):
        raise ValueError(f"expected a mask of shape ({batch}, {length}), got {tuple(mask.shape)}")
    if longest is not None and length > longest:
        raise ValueError(
            f"a sequence of {length} positions is over the {longest} this network takes: cut it, or use "
            "bio.networks.tiled"
        )
