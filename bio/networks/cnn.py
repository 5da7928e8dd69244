"""A plain convolution network for sequences, in Basset's style."""

from __future__ import annotations

from collections.abc import Sequence

from bio.networks.heads import SequenceHead
from bio.networks.masking import MaskedBatchNorm1d, check_input, keep, max_pool
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class CNN(nn.Module):
    """(N, in_channels, L) -> (N, out_channels): convolutions with pooling, then dense layers.

    Kelley, Snoek & Rinn, Basset (Genome Research 2016): convolution, batch norm, ReLU and max-pooling, three times
    over; the defaults are its sizes. With `length` the dense layers see every pooled position, and other lengths are
    refused; without, they see means and maxima over positions, and any length and mask is taken.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        features: Sequence[int] = (300, 200, 200),
        kernel_sizes: Sequence[int] = (19, 11, 7),
        pools: Sequence[int] = (3, 4, 4),
        hidden: int = 1000,
        dropout: float = 0.3,
        length: int | None = None,
    ) -> None:
        super().__init__()
        if not len(features) == len(kernel_sizes) == len(pools) > 0:
            raise ValueError(
                f"features, kernel_sizes and pools must have one entry per layer, got {list(features)}, "
                f"{list(kernel_sizes)} and {list(pools)}"
            )
        self.in_channels, self.out_channels, self.length = in_channels, out_channels, length
        before = (in_channels, *features)
        self.layers = nn.ModuleList(
            _Layer(*sizes) for sizes in zip(before, features, kernel_sizes, pools, strict=False)
        )
        if length is None:
            self.head: nn.Module = SequenceHead(features[-1], out_channels, hidden, dropout)
        else:
            left = length
            for pool in pools:
                left = -(-left // pool)
            self.head = _FlatHead(features[-1] * left, out_channels, hidden, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask)
        if self.length is not None and (x.shape[2] != self.length or mask is not None):
            raise ValueError(
                f"this network takes sequences of exactly {self.length} positions without padding, got {x.shape[2]}"
            )
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of pooled positions (N, C, L'), and their mask."""
        x = keep(x, mask)
        for layer in self.layers:
            x, mask = layer(x, mask)
        return x, mask


class _Layer(nn.Module):
    """Convolution, batch norm, ReLU, max-pooling."""

    def __init__(self, channels: int, features: int, kernel_size: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.conv = nn.Conv1d(channels, features, kernel_size, padding="same")
        self.norm = MaskedBatchNorm1d(features)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = F.relu(self.norm(self.conv(x), mask))
        return max_pool(keep(x, mask), mask, self.pool)


class _FlatHead(nn.Module):
    """Dense layers over all positions of a sequence of fixed length."""

    def __init__(self, size: int, out: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, out)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.out(self.dropout(F.relu(self.dense(self.dropout(x.flatten(1))))))
