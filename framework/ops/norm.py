"""Normalisation, fused with the activation that follows it in convolution networks."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.half import half_type, in_float32, rounded, widened
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.reduce import mean
from framework.ops.shape import reshape


@op(method=False)
def norm_act(
    xp: Any, input: Array, weight: Array | None, bias: Array | None, groups: int, eps: float, slope: float
) -> tuple[Array, Array, Array]:
    """Group normalisation, affine map and leaky ReLU in one pass: (y, mean, rstd).

    `input` (N, C, *); statistics over each of `groups` groups of channels (C: instance norm, Ulyanov et al. 2016;
    fewer: group norm, Wu and He 2018); `weight`, `bias` (C,); `slope` of the negative side: 1 no activation, 0 ReLU.
    `mean` and `rstd` are (N, groups).
    """
    count, channels = input.shape[:2]
    wide = input if input.dtype.itemsize >= 4 else input.astype(np.float32)
    axes = tuple(range(2, input.ndim))
    per_channel = math.prod(input.shape[2:])
    total = wide.sum(axes).reshape(count, groups, channels // groups).sum(2)
    mu = total / (per_channel * channels // groups)
    spread = xp.repeat(mu, channels // groups, axis=1).reshape(count, channels, *(1,) * len(axes))
    centred = wide - spread
    square = (centred * centred).sum(axes).reshape(count, groups, channels // groups).sum(2)
    rstd = 1 / xp.sqrt(square / (per_channel * channels // groups) + eps)
    scale = xp.repeat(rstd, channels // groups, axis=1)
    if weight is not None:
        scale = scale * weight
    y = centred * scale.reshape(spread.shape)
    if bias is not None:
        y += bias.reshape(1, channels, *(1,) * len(axes))
    if slope != 1:
        y = xp.where(y > 0, y, y * slope)
    return y.astype(input.dtype, copy=False), mu.astype(wide.dtype, copy=False), rstd.astype(wide.dtype, copy=False)


@norm_act.vjp()
def _(
    g: Any, input: Any, weight: Any, bias: Any, out1: Any, out2: Any, needs: Any, groups: Any, eps: Any, slope: Any
) -> Any:
    if hasattr(input, "_data"):
        return _composite_gradient(g[0], input, weight, bias, groups, eps, slope, needs)
    gx, gw, gb = norm_act_grad(g[0], input, out1, out2, weight, bias, groups, slope)
    return gx if needs[0] else None, gw if needs[1] else None, gb if needs[2] else None


@op(method=False)
def norm_act_grad(
    xp: Any,
    g: Array,
    input: Array,
    mean: Array,
    rstd: Array,
    weight: Array | None,
    bias: Array | None,
    groups: int,
    slope: float,
) -> tuple[Array, Array | None, Array | None]:
    """The gradients of norm_act with respect to input, weight and bias, from its input and saved statistics."""
    count, channels = input.shape[:2]
    axes = tuple(range(2, input.ndim))
    column = (count, channels, *(1,) * len(axes))
    row = (1, channels, *(1,) * len(axes))
    each = channels // groups
    wide = input if input.dtype.itemsize >= 4 else input.astype(np.float32)
    scale = xp.repeat(rstd, each, axis=1).reshape(column)
    normal = (wide - xp.repeat(mean, each, axis=1).reshape(column)) * scale
    grad = g.astype(wide.dtype, copy=False)
    if slope != 1:
        y = normal if weight is None else normal * weight.reshape(row)
        if bias is not None:
            y = y + bias.reshape(row)
        grad = xp.where(y > 0, grad, grad * slope)
    sums = grad.sum(axes)
    products = (grad * normal).sum(axes)
    gw = None if weight is None else products.sum(0).astype(weight.dtype)
    gb = None if bias is None else sums.sum(0).astype(bias.dtype)
    factor = 1 if weight is None else weight.reshape(1, channels)
    size = math.prod(input.shape[2:]) * each
    pooled = [
        xp.repeat((part * factor).reshape(count, groups, each).sum(2) / size, each, axis=1).reshape(column)
        for part in (sums, products)
    ]
    inner = grad if weight is None else grad * weight.reshape(row)
    gx = scale * (inner - pooled[0] - normal * pooled[1])
    return gx.astype(input.dtype, copy=False), gw, gb


def _composite(input: Any, weight: Any, bias: Any, groups: int, eps: float, slope: float) -> Any:
    """norm_act in simple ops: what the fused op means, and its road to higher derivatives."""
    count, channels = input.shape[:2]
    rows = reshape(input, count, groups, math.prod(input.shape[1:]) // groups)
    centred = e.sub(rows, mean(rows, 2, True))
    normal = e.mul(centred, e.rsqrt(e.add(mean(e.mul(centred, centred), 2, True), eps)))
    y = reshape(normal, *input.shape)
    row = (1, channels, *(1,) * (input.ndim - 2))
    if weight is not None:
        y = e.mul(y, reshape(weight, *row))
    if bias is not None:
        y = e.add(y, reshape(bias, *row))
    return y if slope == 1 else e.leaky_relu(y, slope)


def _composite_gradient(
    g: Any, input: Any, weight: Any, bias: Any, groups: int, eps: float, slope: float, needs: Any
) -> Any:
    from framework.autograd import grad

    wanted = [tensor for tensor, need in zip((input, weight, bias), needs) if need]
    shadows = {id(tensor): tensor for tensor in wanted}
    results = iter(
        grad(_composite(input, weight, bias, groups, eps, slope), list(shadows.values()), g, create_graph=True)
    )
    return tuple(next(results) if need else None for need in needs)


@operation()
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    slope: float = 1.0,
) -> Any:
    """Normalise each channel of each sample of (N, C, *) over its positions; `slope` as in norm_act."""
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {list(input.shape)}")
    if not use_input_stats:
        y = batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
        return y if slope == 1 else e.leaky_relu(y, slope)
    y, mu, rstd = norm_act(input, weight, bias, input.shape[1], eps, slope)
    if running_mean is not None:
        size = math.prod(input.shape[2:])
        spread = (rstd.detach() ** -2 - eps) * (size / max(size - 1, 1))
        _track(running_mean, mu.detach().mean(0), momentum)
        _track(running_var, spread.mean(0), momentum)
    return y


@operation(autocast="cuda:float32")
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise groups of channels of (N, C, *) over channels and positions."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} "
            f"and num_groups={num_groups}"
        )
    return norm_act(input, weight, bias, num_groups, eps, 1.0)[0]


@in_float32
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide (N, C, *) by (k + alpha mean(x^2))^beta over `size` neighbouring channels (Krizhevsky et al. 2012)."""
    from framework.ops.pool import avg_pool1d
    from framework.ops.shape import movedim, pad

    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if not input.numel():
        return input
    squares = movedim(e.mul(input, input), 1, -1)
    rows = pad(reshape(squares, -1, 1, squares.shape[-1]), (size // 2, (size - 1) // 2))
    means = movedim(reshape(avg_pool1d(rows, size, 1), *squares.shape), -1, 1)
    return e.true_divide(input, e.pow(e.add(e.mul(means, alpha), k), beta))


@operation()
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of (N, C, *) over the batch (training) or running statistics (Ioffe and Szegedy 2015)."""
    if input.ndim < 2:
        if not input.numel():
            return e.mul(input, 1)
        raise ValueError(f"batch_norm needs an input (N, C, *), got input size {list(input.shape)}")
    axes = (0, *range(2, input.ndim))
    row = (1, -1, *(1,) * (input.ndim - 2))
    kind, input = half_type(input), widened(input)
    if training:
        size = math.prod(input.shape) // input.shape[1]
        if size == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {list(input.shape)}"
            )
        mu = mean(input, axes, True)
        centred = e.sub(input, mu)
        spread = mean(e.mul(centred, centred), axes, True)
        if running_mean is not None:
            _track(running_mean, reshape(mu.detach(), -1), momentum)
            _track(running_var, reshape(spread.detach(), -1) * (size / (size - 1)), momentum)
    else:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        centred = e.sub(input, reshape(running_mean, *row))
        spread = reshape(running_var, *row)
    y = e.mul(centred, e.rsqrt(e.add(spread, eps)))
    y = y if weight is None else e.mul(y, reshape(weight, *row))
    return rounded(y if bias is None else e.add(y, reshape(bias, *row)), kind)


def _track(running: Any, value: Any, momentum: float) -> None:
    """The exponential moving average of a statistic, in place."""
    running._data[...] = running._data + momentum * (value._data - running._data)
    running._shared().version += 1
