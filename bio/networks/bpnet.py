"""Base-resolution profiles and total counts, in BPNet's style."""

from __future__ import annotations

from bio.networks.masking import check_input, keep, masked_mean
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class BPNet(nn.Module):
    """(N, in_channels, L) -> profile logits (N, tracks, L) and log counts (N, tracks).

    Avsec et al., Base-resolution models of transcription-factor binding (Nature Genetics 2021): a wide convolution,
    residual convolutions of dilation 2, 4, 8, ..., a wide convolution for the profile, a mean for the counts. Training
    compares softmax(profile) by the multinomial likelihood, and the counts as log(1 + counts) by squared error.
    """

    def __init__(
        self,
        in_channels: int = 4,
        tracks: int = 1,
        features: int = 64,
        layers: int = 9,
        stem_kernel: int = 25,
        profile_kernel: int = 75,
    ) -> None:
        super().__init__()
        if stem_kernel % 2 == 0 or profile_kernel % 2 == 0:
            raise ValueError(f"kernel sizes must be odd, got {stem_kernel} and {profile_kernel}")
        self.in_channels = in_channels
        self.context = stem_kernel // 2 + profile_kernel // 2 + sum(2 ** (i + 1) for i in range(layers))
        self.stem = nn.Conv1d(in_channels, features, stem_kernel, padding="same")
        self.layers = nn.ModuleList(
            nn.Conv1d(features, features, 3, padding="same", dilation=2 ** (i + 1)) for i in range(layers)
        )
        self.profile = nn.Conv1d(features, tracks, profile_kernel, padding="same")
        self.counts = nn.Linear(features, tracks)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_input(x, self.in_channels, mask)
        features, mask = self.embed(x, mask)
        return self.profile(features), self.counts(masked_mean(features, mask))

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of positions (N, C, L), and their mask."""
        x = keep(F.relu(self.stem(keep(x, mask))), mask)
        for layer in self.layers:
            x = keep(x + F.relu(layer(x)), mask)
        return x, mask


def profile_loss(profile: Tensor, observed: Tensor) -> Tensor:
    """The mean negative multinomial log likelihood, without its constant, of reads (N, tracks, L) under the logits."""
    return -(observed * F.log_softmax(profile, -1)).sum(-1).mean()
