"""Layers that know both strands: the answer to the reverse complement is the reverse complement of the answer.

Features come in pairs: channel c and channel C - 1 - c are the same feature on either strand, so that the reverse
complement of features, as of one-hot codes in the order A, C, G, T, is their flip along channels and positions.
Zhou, Shrikumar & Kundaje, Towards a better understanding of reverse-complement equivariance (2022); Schiff et al.,
Caduceus (2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import framework
from bio.networks.masking import MaskedBatchNorm1d, check_input, keep, masked_max, masked_mean, max_pool
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class RCConv1d(nn.Module):
    """A convolution with rc(conv(x)) = conv(rc(x)): (N, in_channels, L) -> (N, out_channels, L), out_channels even.

    The second half of the filters is the first half, reversed along channels and positions.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        if out_channels % 2 or in_channels % 2 or kernel_size % 2 == 0:
            raise ValueError(
                f"channels must be even and the kernel odd, got {in_channels}, {out_channels} and {kernel_size}"
            )
        self.dilation = dilation
        self.padding = dilation * (kernel_size // 2)
        half = nn.Conv1d(in_channels, out_channels // 2, kernel_size)  # for its initial values
        self.weight, self.bias = half.weight, half.bias

    def forward(self, x: Tensor) -> Tensor:
        weight = framework.cat([self.weight, self.weight.flip(0, 1, 2)])
        bias = framework.cat([self.bias, self.bias.flip(0)])
        return F.conv1d(x, weight, bias, padding=self.padding, dilation=self.dilation)


class RCBatchNorm1d(nn.Module):
    """Batch norm with the same statistics, scale and shift for both channels of a pair."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm1d(channels // 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        first, second = x.chunk(2, 1)
        length = first.shape[-1]
        both = self.norm(
            framework.cat([first, second.flip(1)], -1), None if mask is None else framework.cat([mask, mask], -1)
        )
        return framework.cat([both[..., :length], both[..., length:].flip(1)], 1)


class RCInvariantHead(nn.Module):
    """The same answer for both strands: (N, C, L) -> (N, out), from both channels of a pair alike."""

    def __init__(self, channels: int, out: int, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(channels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, out)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mean, peak = masked_mean(x, mask), masked_max(x, mask)
        half = x.shape[1] // 2
        mean = mean[:, :half] + mean[:, half:].flip(1)
        peak = framework.maximum(peak[:, :half], peak[:, half:].flip(1))
        return self.out(self.dropout(F.relu(self.dense(framework.cat([mean, peak], 1)))))


class RCEquivariantCNN(nn.Module):
    """(N, 4, L) -> (N, out_channels), the same for a sequence and its reverse complement.

    Equivariant convolutions, norms and ReLU, maxima over windows of `pools`, an invariant head. Pooling is exact for
    both strands where lengths are multiples of the product of `pools`; other lengths are refused.
    """

    def __init__(
        self,
        out_channels: int = 1,
        features: Sequence[int] = (64, 64, 64),
        kernel_sizes: Sequence[int] = (15, 9, 9),
        pools: Sequence[int] = (1, 1, 1),
        hidden: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not len(features) == len(kernel_sizes) == len(pools) > 0:
            raise ValueError("features, kernel_sizes and pools must have one entry per layer")
        self.pools = tuple(pools)
        before = (4, *features)
        self.convs = nn.ModuleList(RCConv1d(*sizes) for sizes in zip(before, features, kernel_sizes))
        self.norms = nn.ModuleList(RCBatchNorm1d(count) for count in features)
        self.head = RCInvariantHead(features[-1], out_channels, hidden, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, 4, mask)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of pooled positions (N, C, L'), and their mask."""
        self._check_lengths(x, mask)
        x = keep(x, mask)
        for conv, norm, pool in zip(self.convs, self.norms, self.pools):
            x = keep(F.relu(norm(conv(x), mask)), mask)
            x, mask = max_pool(x, mask, pool)
        return x, mask

    def _check_lengths(self, x: Tensor, mask: Tensor | None) -> None:
        unit = 1
        for pool in self.pools:
            unit *= pool
        lengths = [x.shape[2]] if mask is None else mask.sum(-1).tolist()
        bad = [length for length in lengths if length % unit]
        if bad:
            raise ValueError(
                f"a length of {bad[0]} is no multiple of {unit}, the product of pools, so that both strands would be "
                "pooled differently: cut the sequences, or use pools of 1"
            )
