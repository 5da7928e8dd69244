"""Functions of neural networks, under PyTorch's names. Most are operations of the op table; shapes stand there."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import framework
from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.tensor import Tensor
from framework.ops import norm as norms
from framework.ops.activation import celu as celu
from framework.ops.activation import elu as elu
from framework.ops.activation import gelu as gelu
from framework.ops.activation import glu as glu
from framework.ops.activation import hardshrink as hardshrink
from framework.ops.activation import hardsigmoid as hardsigmoid
from framework.ops.activation import hardswish as hardswish
from framework.ops.activation import hardtanh as hardtanh
from framework.ops.activation import leaky_relu as leaky_relu
from framework.ops.activation import logsigmoid as logsigmoid
from framework.ops.activation import mish as mish
from framework.ops.activation import prelu as prelu
from framework.ops.activation import relu as relu
from framework.ops.activation import relu6 as relu6
from framework.ops.activation import rrelu as rrelu
from framework.ops.activation import selu as selu
from framework.ops.activation import sigmoid as sigmoid
from framework.ops.activation import silu as silu
from framework.ops.activation import softplus as softplus
from framework.ops.activation import softshrink as softshrink
from framework.ops.activation import softsign as softsign
from framework.ops.activation import tanh as tanh
from framework.ops.activation import tanhshrink as tanhshrink
from framework.ops.activation import threshold as threshold
from framework.ops.attention import log_softmax as _log_softmax
from framework.ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from framework.ops.attention import softmax as _softmax
from framework.ops.conv import conv1d as conv1d
from framework.ops.conv import conv2d as conv2d
from framework.ops.conv import conv3d as conv3d
from framework.ops.conv import conv_transpose1d as conv_transpose1d
from framework.ops.conv import conv_transpose2d as conv_transpose2d
from framework.ops.conv import conv_transpose3d as conv_transpose3d
from framework.ops.dropout import alpha_dropout as alpha_dropout
from framework.ops.dropout import dropout as dropout
from framework.ops.dropout import dropout1d as dropout1d
from framework.ops.dropout import dropout2d as dropout2d
from framework.ops.dropout import dropout3d as dropout3d
from framework.ops.dropout import feature_alpha_dropout as feature_alpha_dropout
from framework.ops.embedding_bag import embedding_bag as embedding_bag
from framework.ops.embedding_bag import renorm_rows
from framework.ops.grid import affine_grid as affine_grid
from framework.ops.grid import grid_sample as grid_sample
from framework.ops.index import embedding as _embedding
from framework.ops.index import one_hot as one_hot
from framework.ops.likelihood_loss import ctc_loss as ctc_loss
from framework.ops.likelihood_loss import gaussian_nll_loss as gaussian_nll_loss
from framework.ops.likelihood_loss import linear_cross_entropy as linear_cross_entropy
from framework.ops.likelihood_loss import poisson_nll_loss as poisson_nll_loss
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
from framework.ops.margin_loss import cosine_embedding_loss as cosine_embedding_loss
from framework.ops.margin_loss import hinge_embedding_loss as hinge_embedding_loss
from framework.ops.margin_loss import margin_ranking_loss as margin_ranking_loss
from framework.ops.margin_loss import multi_margin_loss as multi_margin_loss
from framework.ops.margin_loss import multilabel_margin_loss as multilabel_margin_loss
from framework.ops.margin_loss import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from framework.ops.margin_loss import soft_margin_loss as soft_margin_loss
from framework.ops.margin_loss import triplet_margin_loss as triplet_margin_loss
from framework.ops.margin_loss import triplet_margin_with_distance_loss as triplet_margin_with_distance_loss
from framework.ops.multihead import multi_head_attention_forward as multi_head_attention_forward
from framework.ops.norm import batch_norm as batch_norm
from framework.ops.norm import group_norm as group_norm
from framework.ops.norm import local_response_norm as local_response_norm
from framework.ops.pool import adaptive_avg_pool1d as adaptive_avg_pool1d
from framework.ops.pool import adaptive_avg_pool2d as adaptive_avg_pool2d
from framework.ops.pool import adaptive_avg_pool3d as adaptive_avg_pool3d
from framework.ops.pool import avg_pool1d as avg_pool1d
from framework.ops.pool import avg_pool2d as avg_pool2d
from framework.ops.pool import avg_pool3d as avg_pool3d
from framework.ops.pool import max_pool1d as max_pool1d
from framework.ops.pool import max_pool2d as max_pool2d
from framework.ops.pool import max_pool3d as max_pool3d
from framework.ops.pool_variants import adaptive_max_pool1d as adaptive_max_pool1d
from framework.ops.pool_variants import adaptive_max_pool2d as adaptive_max_pool2d
from framework.ops.pool_variants import adaptive_max_pool3d as adaptive_max_pool3d
from framework.ops.pool_variants import fractional_max_pool2d as fractional_max_pool2d
from framework.ops.pool_variants import fractional_max_pool3d as fractional_max_pool3d
from framework.ops.pool_variants import lp_pool1d as lp_pool1d
from framework.ops.pool_variants import lp_pool2d as lp_pool2d
from framework.ops.pool_variants import lp_pool3d as lp_pool3d
from framework.ops.pool_variants import max_unpool1d as max_unpool1d
from framework.ops.pool_variants import max_unpool2d as max_unpool2d
from framework.ops.pool_variants import max_unpool3d as max_unpool3d
from framework.ops.rearrange import channel_shuffle as channel_shuffle
from framework.ops.rearrange import fold as fold
from framework.ops.rearrange import pixel_shuffle as pixel_shuffle
from framework.ops.rearrange import pixel_unshuffle as pixel_unshuffle
from framework.ops.rearrange import unfold as unfold
from framework.ops.resample import interpolate as interpolate
from framework.ops.resample import upsample as upsample
from framework.ops.resample import upsample_bilinear as upsample_bilinear
from framework.ops.resample import upsample_nearest as upsample_nearest
from framework.ops.row_norm import layer_norm as layer_norm
from framework.ops.row_norm import rms_norm as rms_norm
from framework.ops.shape import pad as pad
from framework.ops.statistics import cosine_similarity as cosine_similarity
from framework.ops.statistics import pairwise_distance as pairwise_distance
from framework.ops.statistics import pdist as pdist


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


@operation(autocast="cuda:widest")
@in_float32
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (V, E) that integer `input` (*) names: (*, E).

    The row `padding_idx` gets no gradient. `max_norm`: rows that are used and longer are shortened, in place. With
    `scale_grad_by_freq` a row's gradient is divided by how often it is named. Gradients are dense, also with `sparse`.
    """
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= weight.shape[0]
    if max_norm is not None:
        renorm_rows(weight, input._data, max_norm, norm_type)
    return _embedding(input, weight, padding_idx, scale_grad_by_freq)


@operation()
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1^T W_k x2 + b_k for every k: (..., I) and (..., J) with weight (K, I, J) give (..., K)."""
    result = framework.einsum("...i,kij,...j->...k", input1, weight, input2)
    return result if bias is None else result + bias


@in_float32
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(||x||_p, eps) along `dim`."""
    result = input / input.norm(p, dim, True).clamp(min=eps)
    return result if out is None else out.copy_(result)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the Gumbel-softmax distribution (Jang et al. 2016); `hard` gives one-hot with the soft gradient.

    `eps` is read by nobody, as in torch.
    """
    with framework.no_grad():
        noise = -framework.empty_like(logits).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    best = soft.detach().argmax(dim, True)
    return framework.zeros_like(logits).scatter(dim, best, 1.0) - soft.detach() + soft


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(pool)
    def pooled(*args: Any, **kwargs: Any) -> Any:
        return pool(*args, **{**kwargs, "return_indices": True})

    return pooled


max_pool1d_with_indices = _with_indices(max_pool1d)
max_pool2d_with_indices = _with_indices(max_pool2d)
max_pool3d_with_indices = _with_indices(max_pool3d)
adaptive_max_pool1d_with_indices = _with_indices(adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive_max_pool3d)
fractional_max_pool2d_with_indices = _with_indices(fractional_max_pool2d)
fractional_max_pool3d_with_indices = _with_indices(fractional_max_pool3d)


def _in_place(activation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(activation)
    def written(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return activation(input, *args, **{**kwargs, "inplace": True})

    return written


relu_, celu_, elu_, selu_ = _in_place(relu), _in_place(celu), _in_place(elu), _in_place(selu)
leaky_relu_, hardtanh_, threshold_ = _in_place(leaky_relu), _in_place(hardtanh), _in_place(threshold)
rrelu_ = _in_place(rrelu)


def _dim_of_classes(input: Tensor, dim: int | None) -> int:
    """torch's choice for a missing `dim`: 0 for 0, 1 or 3 dimensions, 1 otherwise."""
    if dim is not None:
        return dim
    return 0 if input.ndim in (0, 1, 3) else 1
