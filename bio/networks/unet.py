"""A U-Net along sequences."""

from __future__ import annotations

from collections.abc import Sequence

import framework
from bio.networks.heads import PositionHead
from bio.networks.masking import MaskedBatchNorm1d, check_input, keep, max_pool
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class UNet1d(nn.Module):
    """(N, in_channels, L) -> (N, out_channels, L), for any L.

    Ronneberger, Fischer & Brox, U-Net (MICCAI 2015), in one dimension: two convolutions a stage, max-pooling by two on
    the way down, nearest positions on the way up, skip connections by concatenation.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        features: Sequence[int] = (32, 64, 128, 256),
        kernel_size: int = 9,
    ) -> None:
        super().__init__()
        if len(features) < 2 or kernel_size % 2 == 0:
            raise ValueError(f"a U-Net needs two stages and an odd kernel, got {list(features)} and {kernel_size}")
        self.in_channels = in_channels
        before = (in_channels, *features)
        self.down = nn.ModuleList(_Stage(*sizes, kernel_size) for sizes in zip(before, features))
        pairs = list(zip(features[1:], features))[::-1]
        self.up = nn.ModuleList(_Stage(below + level, level, kernel_size) for below, level in pairs)
        self.head = PositionHead(features[0], out_channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of positions (N, C, L), and their mask."""
        x = keep(x, mask)
        skips: list[tuple[Tensor, Tensor | None]] = []
        for stage in self.down:
            if skips:
                x, mask = max_pool(x, mask, 2)
            x = stage(x, mask)
            skips.append((x, mask))
        skips.pop()
        for stage in self.up:
            beside, mask = skips.pop()
            raised = x.repeat_interleave(2, -1)[..., : beside.shape[-1]]
            x = stage(framework.cat([keep(raised, mask), beside], 1), mask)
        return x, mask


class _Stage(nn.Module):
    """Convolution, batch norm and ReLU, twice."""

    def __init__(self, channels: int, features: int, kernel_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, features, kernel_size, padding="same")
        self.norm1 = MaskedBatchNorm1d(features)
        self.conv2 = nn.Conv1d(features, features, kernel_size, padding="same")
        self.norm2 = MaskedBatchNorm1d(features)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = keep(F.relu(self.norm1(self.conv1(x), mask)), mask)
        return keep(F.relu(self.norm2(self.conv2(x), mask)), mask)
