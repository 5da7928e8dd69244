"""Transformer encoders of tokens, as BERT and ESM-2 are."""

from __future__ import annotations

import math

import framework
from bio.networks.masking import check_mask
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F


class TransformerEncoder(nn.Module):
    """Tokens (N, L) -> features (N, L, features), or logits over the vocabulary with `mlm_logits`.

    With the defaults ESM-2 (Lin et al., Science 2023): pre-norm, GELU, rotary positions. `norm_first=False` with
    `positions="absolute"` is BERT (Devlin et al. 2019). `activation="swiglu"` gates the feed-forward layer (Shazeer
    2020). Rotary positions (Su et al. 2021) know no longest sequence, though answers beyond the lengths of training are
    untried; absolute ones refuse more than `longest`.

    `mask` is true at real tokens; without it `pad` tokens are left out. `mask_token` with `token_dropout` scales
    embeddings as ESM-2 does, by what share of tokens is masked.
    """

    def __init__(
        self,
        vocabulary: int = 33,
        features: int = 320,
        layers: int = 6,
        heads: int = 20,
        feedforward: int | None = None,
        *,
        positions: str = "rotary",
        activation: str = "gelu",
        norm_first: bool = True,
        pad: int = 1,
        mask_token: int | None = None,
        token_dropout: bool = False,
        longest: int | None = None,
        token_types: int = 0,
        dropout: float = 0.0,
        eps: float = 1e-5,
        feedforward_bias: bool = True,
    ) -> None:
        super().__init__()
        if positions not in ("rotary", "absolute") or activation not in ("gelu", "swiglu"):
            raise ValueError(
                "positions are 'rotary' or 'absolute', activation 'gelu' or 'swiglu': "
                f"got {positions!r}, {activation!r}"
            )
        if positions == "absolute" and longest is None:
            raise ValueError("absolute positions need longest, the number of positions to learn")
        if token_dropout and mask_token is None:
            raise ValueError("token_dropout needs mask_token")
        self.vocabulary, self.features, self.heads, self.pad = vocabulary, features, heads, pad
        self.longest, self.norm_first = longest, norm_first
        self.mask_token, self.token_dropout = mask_token, token_dropout
        self.embedding = nn.Embedding(vocabulary, features, padding_idx=pad)
        self.position = nn.Embedding(longest or 1, features) if positions == "absolute" else None
        self.token_type = nn.Embedding(token_types, features) if token_types else None
        self.rotary = positions == "rotary"
        self.norm = nn.LayerNorm(features, eps)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            _Layer(features, heads, feedforward or 4 * features, activation, norm_first, dropout, eps, feedforward_bias)
            for _ in range(layers)
        )
        self.mlm = _MaskedLanguageHead(features, self.embedding, eps)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        if tokens.ndim != 2:
            raise ValueError(f"expected tokens of shape (N, L), got {tuple(tokens.shape)}")
        check_mask(tokens.shape[0], tokens.shape[1], mask, self.longest)
        real = tokens.ne(self.pad) if mask is None else mask
        x = self._embed(tokens, real)
        table = _rotations(tokens.shape[1], self.features // self.heads, x) if self.rotary else None
        visible = None if bool(real.all()) else real[:, None, None, :]
        for layer in self.layers:
            x = layer(x, visible, table)
        return self.norm(x) if self.norm_first else x

    def embed(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features of positions as channels (N, features, L), for the heads."""
        return self(tokens, mask).transpose(1, 2)

    def mlm_logits(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, L) -> (N, L, vocabulary): what each position might hold."""
        return self.mlm(self(tokens, mask))

    def _embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.token_dropout:  # ESM: 12 % of tokens were masked in training, whose embeddings are zero
            hidden = tokens.eq(self.mask_token)
            x = framework.where(hidden.unsqueeze(-1), 0.0, x)
            share = (hidden & mask).sum(-1).to(x.dtype) / mask.sum(-1).to(x.dtype)
            x = x * ((1 - 0.15 * 0.8) / (1 - share)).reshape(-1, 1, 1)
        if self.position is not None:
            x = x + self.position(framework.arange(tokens.shape[1], device=tokens.device))
        if self.token_type is not None:
            x = x + self.token_type.weight[0]
        if not self.norm_first:
            x = self.norm(x)
        return self.dropout(framework.where(mask.unsqueeze(-1), x, 0.0))


class _Layer(nn.Module):
    """Attention and a feed-forward layer, each added to what it reads; the norm before it, or after the sum."""

    def __init__(
        self,
        features: int,
        heads: int,
        feedforward: int,
        activation: str,
        norm_first: bool,
        dropout: float,
        eps: float,
        feedforward_bias: bool,
    ) -> None:
        super().__init__()
        self.norm_first, self.activation = norm_first, activation
        self.attention = _Attention(features, heads)
        self.norm1, self.norm2 = nn.LayerNorm(features, eps), nn.LayerNorm(features, eps)
        wide = 2 * feedforward if activation == "swiglu" else feedforward
        self.up = nn.Linear(features, wide, bias=feedforward_bias)
        self.down = nn.Linear(feedforward, features, bias=feedforward_bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor | None, rotations: tuple[Tensor, Tensor] | None) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm1(x), visible, rotations))
            return x + self.dropout(self._feedforward(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x, visible, rotations)))
        return self.norm2(x + self.dropout(self._feedforward(x)))

    def _feedforward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        if self.activation == "swiglu":
            gate, value = x.chunk(2, -1)
            return self.down(F.silu(gate) * value)
        return self.down(F.gelu(x))


class _Attention(nn.Module):
    """Attention of several heads (Vaswani et al. 2017), positions turned into queries and keys by rotation."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        if features % heads or (features // heads) % 2:
            raise ValueError(f"{features} features do not make {heads} heads of an even size")
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(features, features) for _ in range(3))
        self.out = nn.Linear(features, features)

    def forward(self, x: Tensor, visible: Tensor | None, rotations: tuple[Tensor, Tensor] | None) -> Tensor:
        batch, length, features = x.shape
        query, key, value = (
            each(x).reshape(batch, length, self.heads, -1).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        if rotations is not None:
            query, key = _rotated(query, rotations), _rotated(key, rotations)
        mixed = F.scaled_dot_product_attention(query, key, value, visible)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, features))


class _MaskedLanguageHead(nn.Module):
    """Logits over the vocabulary, by the embeddings themselves (Press & Wolf 2017)."""

    def __init__(self, features: int, embedding: nn.Embedding, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(features, features)
        self.norm = nn.LayerNorm(features, eps)
        self.decoder = nn.Linear(features, embedding.num_embeddings)
        self.decoder.weight = embedding.weight
        nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.norm(F.gelu(self.dense(x))))


def _rotations(length: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, size) of position times frequency."""
    half = framework.arange(0, size, 2, dtype=framework.float32, device=like.device)
    frequencies = framework.exp(half * (-math.log(10000.0) / size))
    angles = framework.arange(length, dtype=framework.float32, device=like.device).unsqueeze(1) * frequencies
    angles = framework.cat([angles, angles], 1).to(like.dtype)
    return angles.cos(), angles.sin()


def _rotated(x: Tensor, rotations: tuple[Tensor, Tensor]) -> Tensor:
    cosines, sines = rotations
    first, second = x.chunk(2, -1)
    return x * cosines + framework.cat([-second, first], -1) * sines
