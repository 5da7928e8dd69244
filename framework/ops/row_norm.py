"""Layer and root-mean-square normalisation over the last dimensions, one pass forward and one back."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.reduce import mean
from framework.ops.shape import reshape


@operation(autocast="cuda:float32")
@in_float32
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise over the last dimensions, whose shape is `normalized_shape` (Ba et al. 2016)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if tuple(input.shape[input.ndim - len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but "
            f"got input of size{list(input.shape)}"
        )
    return _rows(input, shape, weight, bias, eps, True)


@operation(autocast="cuda:float32")
@in_float32
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root mean square over the last dimensions (Zhang and Sennrich 2019)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or tuple(input.shape[input.ndim - len(shape) :]) != shape:
        raise RuntimeError(f"Given normalized_shape={list(shape)}, got input of size {list(input.shape)}")
    if weight is not None and tuple(weight.shape) != shape:
        raise RuntimeError(
            f"Expected weight to be of same shape as normalized_shape, but got weight of shape {list(weight.shape)} "
            f"and normalized_shape = {list(shape)}"
        )
    kind = getattr(input, "_data", input).dtype
    smallest = float(np.finfo(kind).eps if kind.kind in "fc" else 2.0**-7) if eps is None else eps
    return _rows(input, shape, weight, None, smallest, False)


@op(method=False)
def row_norm(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, eps: float, centred: bool
) -> tuple[Array, Array, Array]:
    """(input - mean) * rstd * weight + bias along the last dimension: (y, mean, rstd).

    `input` (*, width); `weight`, `bias` (width,); mean and rstd (*, 1). Not `centred`: mean is 0, and of no shape.
    """
    width = input.shape[-1] or 1
    mu = input.sum(-1, keepdims=True) / width if centred else xp.zeros((), input.dtype)
    away = input - mu
    rstd = 1 / xp.sqrt((away * away).sum(-1, keepdims=True) / width + eps)
    y = away * rstd
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(input.dtype, copy=False), mu, rstd.astype(input.dtype, copy=False)


@row_norm.vjp()
def _(g: Any, input: Any, weight: Any, bias: Any, out1: Any, out2: Any, needs: Any, eps: Any, centred: Any) -> Any:
    if hasattr(input, "_data"):
        return _recorded_gradient(g[0], input, weight, bias, eps, centred, needs)
    gx, gw, gb = row_norm_grad(g[0], input, weight, out1, out2, centred)
    return gx if needs[0] else None, gw if needs[1] else None, gb if needs[2] else None


@op(method=False)
def row_norm_grad(
    xp: Any, g: Array, input: Array, weight: Array | None, mean: Array, rstd: Array, centred: bool
) -> tuple[Array, Array, Array]:
    """The gradients of row_norm by input, weight and bias, from its input and saved statistics."""
    normal = (input - mean) * rstd
    over = tuple(range(input.ndim - 1))
    width = input.shape[-1] or 1
    inner = g if weight is None else g * weight
    gx = inner - normal * ((inner * normal).sum(-1, keepdims=True) / width)
    if centred:
        gx -= inner.sum(-1, keepdims=True) / width
    return (gx * rstd).astype(input.dtype, copy=False), (g * normal).sum(over), g.sum(over)


def _rows(input: Any, shape: tuple[int, ...], weight: Any, bias: Any, eps: float, centred: bool) -> Any:
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element"
        )
    if len(shape) == 1:
        return _normalised(input, weight, bias, eps, centred)
    width = math.prod(shape)
    weight, bias = (None if each is None else reshape(each, width) for each in (weight, bias))
    rows = reshape(input, *input.shape[: input.ndim - len(shape)], width)
    return reshape(_normalised(rows, weight, bias, eps, centred), *input.shape)


def _normalised(input: Any, weight: Any, bias: Any, eps: float, centred: bool) -> Any:
    if getattr(input, "_data", input).dtype.kind == "c":
        return _composite(input, weight, bias, eps, centred)
    return row_norm(input, weight, bias, eps, centred)[0]


def _composite(input: Any, weight: Any, bias: Any, eps: float, centred: bool) -> Any:
    """row_norm in simple ops: what the fused op means, and its road to higher derivatives."""
    away = e.sub(input, mean(input, -1, True)) if centred else input
    y = e.mul(away, e.rsqrt(e.add(mean(e.mul(away, away), -1, True), eps)))
    y = y if weight is None else e.mul(y, weight)
    return y if bias is None else e.add(y, bias)


def _recorded_gradient(g: Any, input: Any, weight: Any, bias: Any, eps: float, centred: bool, needs: Any) -> Any:
    from framework.autograd import grad

    wanted = [tensor for tensor, need in zip((input, weight, bias), needs) if need]
    shadows = {id(tensor): tensor for tensor in wanted}
    found = iter(grad(_composite(input, weight, bias, eps, centred), list(shadows.values()), g, create_graph=True))
    return tuple(next(found) if need else None for need in needs)
