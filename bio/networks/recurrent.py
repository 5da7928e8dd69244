"""Recurrent encoders that read a sequence from both ends."""

from __future__ import annotations

from bio.networks.heads import PositionHead
from bio.networks.masking import check_input
from framework import nn
from framework.core.tensor import Tensor
from framework.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class RecurrentEncoder(nn.Module):
    """(N, in_channels, L) -> (N, out_channels, L), or what another `head` makes of the features.

    Bidirectional LSTM (Hochreiter & Schmidhuber 1997; Schuster & Paliwal 1997) or GRU (Cho et al. 2014). Padding is
    packed away, so that the backward direction starts at the last real position.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        hidden: int = 128,
        layers: int = 2,
        cell: str = "lstm",
        dropout: float = 0.0,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if cell not in ("lstm", "gru"):
            raise ValueError(f"cell must be 'lstm' or 'gru', got {cell!r}")
        self.in_channels = in_channels
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = kind(
            in_channels, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0, bidirectional=True
        )
        self.head = PositionHead(2 * hidden, out_channels) if head is None else head

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of positions (N, 2 * hidden, L), and their mask."""
        rows = x.transpose(1, 2)
        if mask is None:
            return self.rnn(rows)[0].transpose(1, 2), None
        packed = pack_padded_sequence(rows, mask.sum(-1), batch_first=True, enforce_sorted=False)
        features, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[2])
        return features.transpose(1, 2), mask
