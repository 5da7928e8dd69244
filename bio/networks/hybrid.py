"""Convolutions that shorten a sequence, then attention between the bins, in Enformer's style."""

from __future__ import annotations

from bio.networks.heads import TrackHead
from bio.networks.masking import MaskedBatchNorm1d, check_input, keep, max_pool
from bio.networks.transformer import _Layer, _rotations
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class ConvTransformer(nn.Module):
    """(N, in_channels, L) -> tracks (N, out_channels, ceil(L / 2 ** stages)), or what another `head` makes of the bins.

    Avsec et al., Enformer (Nature Methods 2021): stages of convolution and pooling by two, then pre-norm transformer
    layers between bins. Positions are rotary (Su et al. 2021) where Enformer has relative encodings, and pooling takes
    maxima where Enformer weighs by attention. More than `longest` bins are refused.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        features: int = 128,
        stages: int = 5,
        layers: int = 4,
        heads: int = 4,
        kernel_size: int = 5,
        dropout: float = 0.1,
        longest: int = 2048,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.longest, self.bin_size = in_channels, longest, 2**stages
        self.size = features // heads
        self.stem = nn.Conv1d(in_channels, features, 15, padding="same")
        self.stages = nn.ModuleList(_Stage(features, kernel_size) for _ in range(stages))
        self.layers = nn.ModuleList(
            _Layer(features, heads, 2 * features, "gelu", True, dropout, 1e-5, True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(features)
        self.head = TrackHead(features, out_channels) if head is None else head

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask, self.longest * self.bin_size)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of bins (N, C, bins), and their mask."""
        x = keep(self.stem(keep(x, mask)), mask)
        for stage in self.stages:
            x, mask = stage(x, mask)
        x = x.transpose(1, 2)
        table = _rotations(x.shape[1], self.size, x)
        visible = None if mask is None else mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, visible, table)
        return self.norm(x).transpose(1, 2), mask


class _Stage(nn.Module):
    """A residual convolution, then maxima over pairs of positions."""

    def __init__(self, features: int, kernel_size: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm1d(features)
        self.conv = nn.Conv1d(features, features, kernel_size, padding="same")

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = x + self.conv(keep(F.gelu(self.norm(x, mask)), mask))
        return max_pool(keep(x, mask), mask, 2)
