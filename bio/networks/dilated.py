"""Dilated residual convolution networks, in SpliceAI's layout."""

from __future__ import annotations

from collections.abc import Sequence

import framework
from bio.networks.heads import PositionHead
from bio.networks.masking import MaskedBatchNorm1d, check_input, keep
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F

_KERAS_EPSILON = 1e-3


class ResidualUnit(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), of one kernel size and dilation (He et al. 2016, pre-activation)."""

    def __init__(self, channels: int, kernel_size: int, dilation: int, eps: float = 1e-5, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = MaskedBatchNorm1d(channels, eps=eps)
        self.conv1 = nn.Conv1d(channels, channels, kernel_size, padding="same", dilation=dilation)
        self.norm2 = MaskedBatchNorm1d(channels, eps=eps)
        self.conv2 = nn.Conv1d(channels, channels, kernel_size, padding="same", dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.conv1(keep(F.relu(self.norm1(x, mask)), mask))
        y = self.conv2(keep(F.relu(self.norm2(y, mask)), mask))
        return x + self.dropout(y)


class DilatedCNN(nn.Module):
    """(N, in_channels, L) -> (N, out_channels, L), or what another `head` makes of the features.

    Jaganathan et al., SpliceAI (Cell 2019): residual units in groups of four; after each group a 1x1 convolution adds
    to the sum that the head reads. `context` is how far, in positions to either side, an answer can see.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        features: int = 32,
        kernel_sizes: Sequence[int] = (11, 11, 11, 11),
        dilations: Sequence[int] = (1, 1, 1, 1),
        head: nn.Module | None = None,
        eps: float = 1e-5,
        dropout: float = 0.0,
        group: int = 4,
    ) -> None:
        super().__init__()
        if len(kernel_sizes) != len(dilations) or not kernel_sizes:
            raise ValueError(
                f"kernel_sizes and dilations must have one entry per unit, "
                f"got {list(kernel_sizes)} and {list(dilations)}"
            )
        if any(size % 2 == 0 for size in kernel_sizes):
            raise ValueError(f"kernel sizes must be odd, so that positions stay in place: {list(kernel_sizes)}")
        self.in_channels, self.group = in_channels, group
        self.context = sum((size - 1) * dilation for size, dilation in zip(kernel_sizes, dilations))
        self.stem = nn.Conv1d(in_channels, features, 1)
        self.skip = nn.Conv1d(features, features, 1)
        self.units = nn.ModuleList(
            ResidualUnit(features, size, dilation, eps, dropout) for size, dilation in zip(kernel_sizes, dilations)
        )
        self.skips = nn.ModuleList(nn.Conv1d(features, features, 1) for _ in range(-(-len(kernel_sizes) // group)))
        self.head = PositionHead(features, out_channels) if head is None else head

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of positions (N, C, L), and their mask."""
        x = self.stem(keep(x, mask))
        total = self.skip(x)
        for number, unit in enumerate(self.units, 1):
            x = unit(x, mask)
            if number % self.group == 0 or number == len(self.units):
                total = total + self.skips[(number - 1) // self.group](x)
        return total, mask


class SpliceAI(DilatedCNN):
    """SpliceAI-10k: (N, 4, L + 10000) -> probabilities (N, 3, L) of neither, acceptor and donor.

    Jaganathan et al., Predicting splicing from primary sequence with deep learning (Cell 2019). Each sequence brings
    5000 positions of context on either side, which the answer leaves out; where there is none, zeros stand for it.
    """

    def __init__(self) -> None:
        kernels = (11,) * 8 + (21,) * 4 + (41,) * 4
        dilations = (1,) * 4 + (4,) * 4 + (10,) * 4 + (25,) * 4
        super().__init__(4, 3, 32, kernels, dilations, eps=_KERAS_EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, 4, mask)
        if x.shape[2] <= 2 * self.context:
            raise ValueError(
                f"{x.shape[2]} positions leave nothing between contexts of {self.context} on either side: add zeros"
            )
        features, _ = self.embed(x, mask)
        return framework.softmax(self.head(features[..., self.context : -self.context]), 1)

    def scan(self, x: Tensor, tile: int = 5000) -> Tensor:
        """Probabilities (N, 3, L) of sequences (N, 4, L) of any length, in tiles; zeros stand for their context."""
        check_input(x, 4, None)
        framed = F.pad(x, (self.context, self.context))
        starts = range(0, x.shape[2], tile)
        ends = [min(start + tile, x.shape[2]) + 2 * self.context for start in starts]
        return framework.cat([self(framed[..., start:end]) for start, end in zip(starts, ends)], -1)
