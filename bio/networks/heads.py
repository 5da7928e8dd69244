"""Heads: what is asked of the features of a sequence, of its positions, of bins along it, of pairs of positions."""

from __future__ import annotations

import framework
from bio.networks.masking import masked_max, masked_mean, pool_mask
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class SequenceHead(nn.Module):
    """One answer a sequence: (N, C, L) -> (N, out), from the means and maxima over real positions."""

    def __init__(self, channels: int, out: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = hidden or channels
        self.dense = nn.Linear(2 * channels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, out)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        pooled = framework.cat([masked_mean(x, mask), masked_max(x, mask)], 1)
        return self.out(self.dropout(F.relu(self.dense(pooled))))


class PositionHead(nn.Module):
    """One answer a position: (N, C, L) -> (N, out, L). What stands at padding means nothing."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.out = nn.Conv1d(channels, out, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.out(x)


class TrackHead(nn.Module):
    """Non-negative tracks in bins of `bin_size` positions: (N, C, L) -> (N, tracks, ceil(L / bin_size)).

    Means of features over the real positions of a bin, then a linear map and softplus (Avsec et al. 2021, Enformer).
    """

    def __init__(self, channels: int, tracks: int, bin_size: int = 1) -> None:
        super().__init__()
        self.bin_size = bin_size
        self.out = nn.Conv1d(channels, tracks, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.bin_size > 1:
            if mask is None:
                mask = framework.ones(x.shape[0], x.shape[2], dtype=framework.bool)
            short = -x.shape[2] % self.bin_size
            real = F.pad(mask.unsqueeze(1).to(x.dtype), (0, short))
            total = F.avg_pool1d(F.pad(x, (0, short)) * real, self.bin_size)
            x = total / F.avg_pool1d(real, self.bin_size).clamp(min=1 / self.bin_size)
            mask = pool_mask(mask, self.bin_size)
        return F.softplus(self.out(x))


class PairHead(nn.Module):
    """One answer a pair of positions, the same for (i, j) and (j, i): (N, C, L) -> (N, out, L, L).

    Sums and products of both positions' projections, as for contact maps; memory grows with L squared.
    """

    def __init__(self, channels: int, out: int, hidden: int = 32) -> None:
        super().__init__()
        self.project = nn.Conv1d(channels, hidden, 1)
        self.out = nn.Conv2d(2 * hidden, out, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.project(x)
        first, second = y.unsqueeze(3), y.unsqueeze(2)
        return self.out(F.relu(framework.cat([first + second, first * second], 1)))
