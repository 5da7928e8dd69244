"""Multi-head attention as torch's function form computes it (Vaswani et al. 2017)."""

import math
from typing import Any

import numpy as np

from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.attention import softmax
from framework.ops.constants import zeros
from framework.ops.dropout import dropout
from framework.ops.linalg import linear, matmul
from framework.ops.reduce import mean
from framework.ops.shape import cat, chunk, expand, pad, reshape, squeeze, transpose, unsqueeze


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of (L, N, E) queries to (S, N, E) keys and values: the output (L, N, E) and the weights (N, L, S).

    Without a batch the N is missing everywhere. A boolean mask is true where attention is forbidden; a floating one is
    added to the scores.
    """
    batched = query.ndim == 3
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise AssertionError(
            f"query, key and value must all be 2D or all 3D, got {query.ndim}D, {key.ndim}D, {value.ndim}D"
        )
    if not batched:
        query, key, value = (unsqueeze(each, 1) for each in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
    length, count, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    head = width // num_heads
    if head * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    q, k, v = _projected(
        query, key, value, in_proj_weight, in_proj_bias, q_proj_weight if use_separate_proj_weight else None,
        k_proj_weight, v_proj_weight,
    )  # fmt: skip
    mask = _additive(attn_mask, q)
    padding = _additive(key_padding_mask, q)
    if mask is not None and mask.ndim == 2:
        mask = unsqueeze(mask, 0)
    if bias_k is not None and bias_v is not None:
        k = cat([k, expand(bias_k, (1, count, width))])
        v = cat([v, expand(bias_v, (1, count, width))])
        mask, padding = (None if each is None else pad(each, (0, 1)) for each in (mask, padding))
    q = transpose(reshape(q, length, count * num_heads, head), 0, 1)
    k = static_k if static_k is not None else transpose(reshape(k, k.shape[0], count * num_heads, head), 0, 1)
    v = static_v if static_v is not None else transpose(reshape(v, v.shape[0], count * num_heads, head), 0, 1)
    if add_zero_attn:
        none = zeros(count * num_heads, 1, head, dtype=q.dtype)
        k, v = cat([k, none], 1), cat([v, none], 1)
        mask, padding = (None if each is None else pad(each, (0, 1)) for each in (mask, padding))
    source = k.shape[1]
    if padding is not None:
        rows = reshape(
            expand(reshape(padding, count, 1, 1, source), (count, num_heads, 1, source)), count * num_heads, 1, source
        )
        mask = rows if mask is None else e.add(mask, rows)
    scores = matmul(e.mul(q, math.sqrt(1 / head)), transpose(k, 1, 2))
    weights = softmax(scores if mask is None else e.add(scores, mask), -1)
    if training and dropout_p:
        weights = dropout(weights, dropout_p)
    mixed = reshape(transpose(matmul(weights, v), 0, 1), length * count, width)
    output = reshape(linear(mixed, out_proj_weight, out_proj_bias), length, count, -1)
    output = output if batched else squeeze(output, 1)
    if not need_weights:
        return output, None
    shown = reshape(weights, count, num_heads, length, source)
    shown = mean(shown, 1) if average_attn_weights else shown
    return output, shown if batched else squeeze(shown, 0)


def _projected(query: Any, key: Any, value: Any, weight: Any, bias: Any, *separate: Any) -> tuple[Any, Any, Any]:
    """The inputs through their layers, whose weights are joined in one, or separate."""
    weights = chunk(weight, 3) if separate[0] is None else separate
    biases = (None,) * 3 if bias is None else chunk(bias, 3)
    q, k, v = (linear(each, w, b) for each, w, b in zip((query, key, value), weights, biases))
    return q, k, v


def _additive(mask: Any, like: Any) -> Any:
    """A boolean mask as -inf where attention is forbidden."""
    if mask is None or mask._data.dtype != np.bool_:
        return mask
    return Tensor._wrap(np.where(mask._data, -np.inf, 0).astype(like._data.dtype))
