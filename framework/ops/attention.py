"""Softmax and scaled dot-product attention."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.core.tensor import Tensor, check_dim
from framework.ops import elementwise as e
from framework.ops.linalg import matmul
from framework.ops.reduce import sum
from framework.ops.shape import repeat_interleave, transpose


@op(method=False, kind="float")
def _softmax(xp: Any, input: Array, dim: int) -> Array:
    """exp(input) over its sum along a dimension."""
    if not input.ndim:
        return xp.ones((), input.dtype)
    shifted = xp.exp(input - input.max(dim, keepdims=True)) if input.shape[dim] else input.copy()
    return shifted / shifted.sum(dim, keepdims=True, dtype=input.dtype)


@_softmax.vjp("input")
def _(g: Any, out: Any, dim: Any) -> Any:
    return softmax_grad(g, out, dim, False)


@op(method=False, kind="float")
def _log_softmax(xp: Any, input: Array, dim: int) -> Array:
    """The logarithm of softmax, without overflow."""
    if not input.ndim:
        return xp.zeros((), input.dtype)
    shifted = input - input.max(dim, keepdims=True) if input.shape[dim] else input.copy()
    return shifted - xp.log(xp.exp(shifted).sum(dim, keepdims=True, dtype=input.dtype))


@_log_softmax.vjp("input")
def _(g: Any, out: Any, dim: Any) -> Any:
    return softmax_grad(g, out, dim, True)


@op(method=False)
def softmax_grad(xp: Any, g: Array, result: Array, dim: int, log: bool) -> Array:
    """The gradient by the input, from that by the result `result` of softmax (or, with `log`, of log_softmax)."""
    if not result.ndim:
        return 0 * g
    if log:
        return g - xp.exp(result) * g.sum(dim, keepdims=True, dtype=g.dtype)
    weighted = g * result
    return weighted - result * weighted.sum(dim, keepdims=True, dtype=g.dtype)


@softmax_grad.vjp("g")
def _(v: Any, result: Any, dim: Any, log: Any) -> Any:
    if not result.ndim:
        return 0 * v
    if log:
        return e.sub(v, sum(e.mul(v, e.exp(result)), dim, True))
    return softmax_grad(v, result, dim, False)  # the Jacobian is symmetric


@softmax_grad.vjp("result")
def _(v: Any, g: Any, result: Any, dim: Any, log: Any) -> Any:
    if not result.ndim:
        return 0 * v
    if log:
        return e.neg(e.mul(e.mul(v, e.exp(result)), sum(g, dim, True)))
    across = sum(e.mul(v, result), dim, True)
    return e.sub(e.mul(v, e.sub(g, sum(e.mul(g, result), dim, True))), e.mul(across, g))


@operation(autocast="cuda:float32")
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Probabilities along a dimension, proportional to exp(input)."""
    return _softmax(input if dtype is None else e.to_dtype(input, dtype), check_dim(dim, input.ndim))


@operation(autocast="cuda:float32")
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm of softmax."""
    return _log_softmax(input if dtype is None else e.to_dtype(input, dtype), check_dim(dim, input.ndim))


def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """Softmax of the negative."""
    return softmax(e.neg(input), dim, dtype)


@operation(autocast="lower")
@in_float32
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q k^T / sqrt(E) + mask) v (Vaswani et al. 2017): (*, L, E), (*, S, E), (*, S, V) to (*, L, V).

    With `enable_gqa` the heads, dimension -3, of key and value may be fewer: each serves a group of the query's heads.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key, value = (_for_each_head(x, query.shape[-3]) for x in (key, value))
    scores = e.mul(matmul(query, transpose(key, -2, -1)), 1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = Tensor._wrap(np.tri(query.shape[-2], key.shape[-2], dtype=bool)).to(query.device)
    if attn_mask is not None:
        if attn_mask._data.dtype == np.bool_:
            scores = e.where(attn_mask, scores, -math.inf)
        else:
            scores = e.add(scores, attn_mask)
    weights = softmax(scores, -1)
    if dropout_p:
        from framework.ops.dropout import dropout

        weights = dropout(weights, dropout_p)
    return matmul(weights, value)


def _for_each_head(x: Tensor, heads: int) -> Tensor:
    if heads % x.shape[-3]:
        raise RuntimeError(
            f"scaled_dot_product_attention: enable_gqa needs the query's heads ({heads}) to be a multiple of the "
            f"heads of key and value ({x.shape[-3]})"
        )
    return repeat_interleave(x, heads // x.shape[-3], -3)
