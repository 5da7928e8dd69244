"""Selective state-space models, on any processor."""

from __future__ import annotations

import math

import framework
from bio.networks.heads import PositionHead
from bio.networks.masking import check_input, keep
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class StateSpaceEncoder(nn.Module):
    """(N, in_channels, L) -> (N, out_channels, L), or what another `head` makes of the features.

    Blocks of Mamba (Gu & Dao 2023), each reading the sequence in both directions with weights of its own, as in
    Caduceus (Schiff et al. 2024). Time and memory grow linearly with L.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        features: int = 64,
        layers: int = 4,
        state: int = 8,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = nn.Conv1d(in_channels, features, 1)
        self.norms = nn.ModuleList(nn.RMSNorm(features) for _ in range(layers))
        self.ahead = nn.ModuleList(SelectiveStateSpace(features, state) for _ in range(layers))
        self.back = nn.ModuleList(SelectiveStateSpace(features, state) for _ in range(layers))
        self.norm = nn.RMSNorm(features)
        self.head = PositionHead(features, out_channels) if head is None else head

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_input(x, self.in_channels, mask)
        features, mask = self.embed(x, mask)
        return self.head(features, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of positions (N, features, L), and their mask."""
        x = self.stem(x).transpose(1, 2)
        for norm, ahead, back in zip(self.norms, self.ahead, self.back):
            y = keep(norm(x).transpose(1, 2), mask).transpose(1, 2)
            x = x + ahead(y) + back(y.flip(1)).flip(1)
        return self.norm(x).transpose(1, 2), mask


class SelectiveStateSpace(nn.Module):
    """One causal Mamba block, (N, L, features) -> (N, L, features).

    h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] x[t] and y[t] = C[t] h[t] + D x[t], where dt, B and C come from x: what is
    kept depends on what is read. Zeros before the first token leave the state zero.
    """

    def __init__(self, features: int, state: int = 8, expand: int = 2, kernel_size: int = 4) -> None:
        super().__init__()
        inner = expand * features
        self.inner, self.state, self.rank = inner, state, -(-features // 16)
        self.enter = nn.Linear(features, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, kernel_size, groups=inner, padding=kernel_size - 1, bias=False)
        self.select = nn.Linear(inner, self.rank + 2 * state, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_rates = nn.Parameter(framework.arange(1.0, state + 1).log().repeat(inner, 1))
        self.through = nn.Parameter(framework.ones(inner))
        self.leave = nn.Linear(inner, features, bias=False)
        with framework.no_grad():  # steps of 0.001 to 0.1, spread evenly in their logarithm
            steps = framework.exp(framework.rand(inner) * math.log(100.0) + math.log(1e-3))
            self.step.bias.copy_(steps + (-framework.expm1(-steps)).log())

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        x, gate = self.enter(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., :length].transpose(1, 2))
        step, into, out = self.select(x).split([self.rank, self.state, self.state], -1)
        step = F.softplus(self.step(step)).unsqueeze(-1)  # (N, L, inner, 1)
        decay = step * -self.log_rates.exp()  # (N, L, inner, state)
        drive = step * into.unsqueeze(2) * x.unsqueeze(-1)
        y = (scan(decay, drive) * out.unsqueeze(2)).sum(-1) + self.through * x
        return self.leave(y * F.silu(gate))


def scan(log_decay: Tensor, drive: Tensor) -> Tensor:
    """h with h[:, t] = exp(log_decay[:, t]) h[:, t-1] + drive[:, t] and h[:, -1] = 0, in log2(L) passes.

    Hillis & Steele (1986): after each pass an element holds the sum over twice as many before it. Decays multiply as
    sums of logarithms, so that nothing is divided and nothing overflows.
    """
    length, reach = drive.shape[1], 1
    while reach < length:
        earlier = drive[:, :-reach] * log_decay[:, reach:].exp()
        drive = framework.cat([drive[:, :reach], drive[:, reach:] + earlier], 1)
        log_decay = framework.cat([log_decay[:, :reach], log_decay[:, reach:] + log_decay[:, :-reach]], 1)
        reach *= 2
    return drive
