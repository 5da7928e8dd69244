"""Functions of neural networks, under PyTorch's names. Most are operations of the op table; shapes stand there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import framework
from framework.core.tensor import Tensor
from framework.core.views import check_writable, commit
from framework.ops import elementwise as e
from framework.ops import norm as norms
from framework.ops.attention import log_softmax as _log_softmax
from framework.ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from framework.ops.attention import softmax as _softmax
from framework.ops.conv import conv1d as conv1d
from framework.ops.conv import conv2d as conv2d
from framework.ops.conv import conv3d as conv3d
from framework.ops.conv import conv_transpose1d as conv_transpose1d
from framework.ops.conv import conv_transpose2d as conv_transpose2d
from framework.ops.conv import conv_transpose3d as conv_transpose3d
from framework.ops.index import embedding as embedding
from framework.ops.index import one_hot as one_hot
from framework.ops.linalg import linear as linear
from framework.ops.loss import binary_cross_entropy as binary_cross_entropy
from framework.ops.loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from framework.ops.loss import cross_entropy as cross_entropy
from framework.ops.loss import huber_loss as huber_loss
from framework.ops.loss import kl_div as kl_div
from framework.ops.loss import l1_loss as l1_loss
from framework.ops.loss import mse_loss as mse_loss
from framework.ops.loss import nll_loss as nll_loss
from framework.ops.loss import smooth_l1_loss as smooth_l1_loss
from framework.ops.norm import batch_norm as batch_norm
from framework.ops.norm import group_norm as group_norm
from framework.ops.norm import layer_norm as layer_norm
from framework.ops.pool import adaptive_avg_pool1d as adaptive_avg_pool1d
from framework.ops.pool import adaptive_avg_pool2d as adaptive_avg_pool2d
from framework.ops.pool import adaptive_avg_pool3d as adaptive_avg_pool3d
from framework.ops.pool import avg_pool1d as avg_pool1d
from framework.ops.pool import avg_pool2d as avg_pool2d
from framework.ops.pool import avg_pool3d as avg_pool3d
from framework.ops.pool import max_pool1d as max_pool1d
from framework.ops.pool import max_pool2d as max_pool2d
from framework.ops.pool import max_pool3d as max_pool3d
from framework.ops.random import dropout as dropout
from framework.ops.random import feature_dropout
from framework.ops.resample import interpolate as interpolate
from framework.ops.shape import pad as pad

_SELU_ALPHA = 1.6732632423543772  # Klambauer et al. 2017
_SELU_SCALE = 1.0507009873554805


def norm_act(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int | None = None,
    eps: float = 1e-5,
    negative_slope: float = 0.01,
) -> Tensor:
    """Normalisation, scale and shift, and leaky ReLU of (N, C, *spatial) as one operation.

    Statistics are taken per sample over each of `groups` groups of channels: one channel each (instance norm) if None.
    `negative_slope` 0 is ReLU, 1 no activation.
    """
    if input.ndim < 3:
        raise ValueError(f"norm_act needs an input (N, C, *spatial), got shape {tuple(input.shape)}")
    channels = input.shape[1]
    if groups is None:
        groups = channels
    if channels % groups:
        raise ValueError(f"{channels} channels cannot be divided into {groups} groups")
    if math.prod(input.shape[1:]) == groups:
        raise ValueError(f"normalisation needs more than 1 value per group, got input size {list(input.shape)}")
    return norms.norm_act(input, weight, bias, groups, eps, negative_slope)[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Norm of every channel of every sample of (N, C, *spatial), by its own or the running statistics."""
    return norms.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) over `dim`."""
    return _softmax(input, _dim_of_classes(input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log(softmax(x)) over `dim`."""
    return _log_softmax(input, _dim_of_classes(input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax(-x) over `dim`."""
    return softmax(-input, dim, dtype)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return _maybe_in_place(input, inplace, e.relu)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, `negative_slope` x elsewhere."""
    return _maybe_in_place(input, inplace, e.leaky_relu, negative_slope)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x clipped to [min_val, max_val]; the gradient at and beyond the bounds is 0."""
    return _maybe_in_place(input, inplace, _hardtanh, min_val, max_val)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha (exp(x) - 1) elsewhere."""
    return _maybe_in_place(input, inplace, e.elu, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Self-normalising exponential linear unit."""
    return _maybe_in_place(input, inplace, lambda x: e.elu(x, _SELU_ALPHA) * _SELU_SCALE)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x)."""
    return _maybe_in_place(input, inplace, e.silu)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))."""
    return _maybe_in_place(input, inplace, lambda x: x * e.tanh(e.softplus(x)))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1)."""
    return _maybe_in_place(input, inplace, lambda x: _hardtanh(x + 3.0, 0.0, 6.0) / 6.0)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x hardsigmoid(x)."""
    return _maybe_in_place(input, inplace, lambda x: x * _hardtanh(x + 3.0, 0.0, 6.0) / 6.0)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Phi(x); `approximate="tanh"` for the tanh formula."""
    return e.gelu(input, approximate=approximate)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, linear where beta x exceeds `threshold`."""
    return e.softplus(input, beta, threshold)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return e.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), without underflow."""
    return -e.softplus(-input, 1.0, float("inf"))


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return e.tanh(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (1.0 + input.abs())


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU with the slopes `weight`: one, or one per channel (dimension 1)."""
    if weight.numel() == 1:
        weight = weight.reshape(())
    else:
        if input.ndim < 2 or input.shape[1] != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size: {weight.numel()} slopes for {list(input.shape)}"
            )
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    return framework.where(input > 0, input, weight * input)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1^T W_k x2 + b_k for every k: (..., I) and (..., J) with weight (K, I, J) give (..., K)."""
    result = framework.einsum("...i,kij,...j->...k", input1, weight, input2)
    return result if bias is None else result + bias


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return _drop_channels(input, 1, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, H, W)."""
    return feature_dropout(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _drop_channels(input, 3, p, training, inplace)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along `dim`."""
    return input / input.norm(p, dim, True).clamp(min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (||x1|| ||x2||) along `dim`, each norm at least `eps`; the two are broadcast first."""
    shape = np.broadcast_shapes(tuple(x1.shape), tuple(x2.shape))
    x1, x2 = x1.expand(shape), x2.expand(shape)
    lengths = x1.norm(2, dim).clamp(min=eps) * x2.norm(2, dim).clamp(min=eps)
    return (x1 * x2).sum(dim) / lengths


def _hardtanh(input: Tensor, low: float, high: float) -> Tensor:
    inside = (input > low) & (input < high)
    return framework.where(inside, input, input.detach().clamp(low, high))


def _drop_channels(input: Tensor, spatial: int, p: float, training: bool, inplace: bool) -> Tensor:
    if input.ndim == spatial + 2:
        return feature_dropout(input, p, training, inplace)
    if input.ndim != spatial + 1:
        raise RuntimeError(f"expected {spatial + 1}D or {spatial + 2}D input, but got a {input.ndim}D input")
    return feature_dropout(input.unsqueeze(0), p, training, inplace).squeeze(0)


def _maybe_in_place(input: Tensor, inplace: bool, function: Callable[..., Tensor], *args: Any) -> Tensor:
    """The function's result, written into `input` where the caller asks for that."""
    if not inplace:
        return function(input, *args)
    check_writable(input)
    # The derivative may need the input, which is about to be overwritten.
    kept = input.clone() if input.requires_grad and framework.is_grad_enabled() else input
    return commit(input, function(kept, *args))


def _dim_of_classes(input: Tensor, dim: int | None) -> int:
    """torch's choice for a missing `dim`: 0 for 0, 1 or 3 dimensions, 1 otherwise."""
    if dim is not None:
        return dim
    return 0 if input.ndim in (0, 1, 3) else 1
