"""Dropout: elements or whole channels, zeroed or (alpha dropout) set to what keeps a self-normalising net normal."""

import math
from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.core.random import default_generator
from framework.core.tensor import Tensor
from framework.core.views import check_writable, commit
from framework.ops import elementwise as e

_ALPHA = -1.7580993408473766  # -SELU's scale times its alpha (Klambauer et al. 2017)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Elements dropped with probability `p`, the others scaled by `1 / (1 - p)`, during training."""
    return _drop(input, p, training, inplace, tuple(input.shape))


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels (N, C) dropped with probability `p` during training."""
    _expect_probability(p)
    if not training or p == 0:
        return input
    return _drop(input, p, training, inplace, _channels(input))


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of the output of SELU (Klambauer et al. 2017)."""
    return _alpha_drop(input, p, training, inplace, tuple(input.shape))


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels (N, C)."""
    _expect_probability(p)
    if not training or p == 0:
        return input
    return _alpha_drop(input, p, training, inplace, _channels(input))


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return _drop_channels(input, 1, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, H, W)."""
    return feature_dropout(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _drop_channels(input, 3, p, training, inplace)


@op(method=False)
def apply_mask(xp: Any, input: Array, mask: Any, scale: float) -> Array:
    """`input * mask * scale` for a boolean mask that broadcasts."""
    return xp.where(mask, input * input.dtype.type(scale), input.dtype.type(0))


@apply_mask.vjp("input")
def _(g: Any, mask: Any, scale: Any) -> Any:
    return apply_mask(g, mask, scale)


def _drop(input: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...]) -> Tensor:
    _expect_probability(p)
    if not training or p == 0:
        return input
    mask = (default_generator.uniform(math.prod(shape)) >= p).reshape(shape)
    if input.is_cuda:
        mask = Tensor._wrap(mask).to(input.device)._data
    result = apply_mask(input, mask, 0.0 if p == 1 else 1 / (1 - p))
    if inplace:
        check_writable(input)
        return commit(input, result)
    return result


def _alpha_drop(input: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...]) -> Tensor:
    _expect_probability(p)
    if not training or p == 0:
        return input
    keep = (default_generator.uniform(math.prod(shape)) >= p).reshape(shape)
    scale = 0.0 if p == 1 else (1 - p + p * (1 - p) * _ALPHA**2) ** -0.5
    shift = np.where(keep, 0, _ALPHA * scale) - _ALPHA * scale * p
    moved = Tensor._wrap(shift.astype(input._data.dtype)).to(input.device)
    result = e.add(apply_mask(input, Tensor._wrap(keep).to(input.device)._data, scale), moved)
    if inplace:
        check_writable(input)
        return commit(input, result)
    return result


def _drop_channels(input: Tensor, spatial: int, p: float, training: bool, inplace: bool) -> Tensor:
    if input.ndim == spatial + 2:
        return feature_dropout(input, p, training, inplace)
    if input.ndim != spatial + 1:
        raise RuntimeError(f"expected {spatial + 1}D or {spatial + 2}D input, but got a {input.ndim}D input")
    result = feature_dropout(input.unsqueeze(0), p, training, inplace)
    return input if inplace else result.squeeze(0)  # in place, the view's memory is the input's


def _channels(input: Tensor) -> tuple[int, ...]:
    if input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*input.shape[:2], *(1,) * (input.ndim - 2))


def _expect_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
