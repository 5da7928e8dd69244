"""Dropout of elements and of whole channels."""

from __future__ import annotations

from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zeroes each element with probability p and divides the rest by 1 - p."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class _ChannelDropout(_Dropout):
    spatial_dims: int

    def forward(self, input: Tensor) -> Tensor:
        drop = (F.dropout1d, F.dropout2d, F.dropout3d)[self.spatial_dims - 1]
        return drop(input, self.p, self.training, self.inplace)


class Dropout1d(_ChannelDropout):
    """Dropout of whole channels of (N, C, L)."""

    spatial_dims = 1


class Dropout2d(_ChannelDropout):
    """Dropout of whole channels of (N, C, H, W)."""

    spatial_dims = 2


class Dropout3d(_ChannelDropout):
    """Dropout of whole channels of (N, C, D, H, W)."""

    spatial_dims = 3


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance, for SELU networks (Klambauer et al. 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """Alpha dropout of whole channels of (N, C, *)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training)
