"""Means, spreads and distances built from the reductions."""

from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops import reduce
from framework.ops.linalg import matmul
from framework.ops.norms import vector_norm
from framework.ops.scan import like
from framework.ops.shape import diagonal, expand, transpose, unsqueeze

Dims = reduce.Dims


class MinMax(NamedTuple):
    """The smallest and the largest value."""

    min: Any
    max: Any


def nansum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over `dim`, NaN taken as zero."""
    if input.is_complex():
        raise RuntimeError("nansum does not support complex inputs")
    return reduce.sum(_without_nan(input), dim, keepdim, dtype=dtype)


def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` of what is not NaN."""
    if CATEGORY[input._data.dtype] < FLOATING:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}")
    count = reduce.sum(e.logical_not(e.isnan(input)), dim, keepdim)
    return e.true_divide(reduce.sum(_without_nan(input), dim, keepdim, dtype=dtype), count)


def _without_nan(input: Any) -> Any:
    return e.where(e.isnan(input), 0, input) if CATEGORY[input._data.dtype] >= FLOATING else input


def var_mean(input: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, **how: Any) -> Any:
    """The variance and the mean over `dim`; see `var`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return reduce.var(input, dim, unbiased, keepdim, **how), reduce.mean(input, dim, keepdim)


def std_mean(input: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, **how: Any) -> Any:
    """The standard deviation and the mean over `dim`; see `var`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return reduce.std(input, dim, unbiased, keepdim, **how), reduce.mean(input, dim, keepdim)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest value along `dim`, or of all."""
    dims = () if dim is None else check_dim(dim, input.ndim)
    return MinMax(reduce.amin(input, dims, keepdim), reduce.amax(input, dims, keepdim))


@operation(autocast="cuda:float32")
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The `p`-norm of the difference."""
    return vector_norm(e.sub(input, other), p)


@operation(autocast="float32")
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """The distances of all rows of `x1` (*, P, M) from all rows of `x2` (*, R, M): (*, P, R)."""
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, X1 got: {x1.ndim}D, X2 got: {x2.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    return vector_norm(e.sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The `p`-norm of the difference (plus `eps`) along the last dimension."""
    return vector_norm(e.add(e.sub(x1, x2), eps), p, -1, keepdim)


@operation(autocast="cuda:float32")
def pdist(input: Any, p: float = 2.0) -> Any:
    """The distances of all pairs of rows of a matrix (N, M): N (N - 1) / 2 of them."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    first, second = (like(index, input) for index in np.triu_indices(input.shape[0], 1))
    return vector_norm(e.sub(input[first], input[second]), p, -1)


@operation(autocast="cuda:float32")
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along `dim`; norms are taken as at least `eps`."""
    common = np.broadcast_shapes(tuple(x1.shape), tuple(x2.shape))
    x1, x2 = expand(x1, common), expand(x2, common)
    if CATEGORY[x1._data.dtype] < FLOATING:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {x1.dtype.name}")
    first = e.div(x1, e.clamp_min(vector_norm(x1, 2, dim, True), eps))
    second = e.div(x2, e.clamp_min(vector_norm(x2, 2, dim, True), eps))
    return reduce.sum(e.mul(first, second), dim)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of variables in rows, observed in columns; weights count or weigh the observations."""
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim}")
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    _check_weights("fweights", fweights, rows.shape[1], "integral", 1)
    _check_weights("aweights", aweights, rows.shape[1], "floating point", FLOATING)
    weights = fweights
    if aweights is not None:
        weights = aweights if fweights is None else e.mul(fweights, aweights)
    total = rows.shape[1] if weights is None else reduce.sum(weights)
    if weights is None:
        centre = reduce.mean(rows, 1, True) if rows.is_floating_point() or rows.is_complex() else _mean(rows)
    else:
        centre = e.div(reduce.sum(e.mul(rows, weights), 1, True), total)
    if weights is None or aweights is None or not correction:
        norm = e.sub(total, correction) if weights is not None else total - correction
    else:
        norm = e.sub(total, e.div(e.mul(reduce.sum(e.mul(weights, aweights)), correction), total))
    norm = e.clamp_min(norm, 0) if hasattr(norm, "dtype") else max(norm, 0)
    rows = e.sub(rows, centre)
    weighted = rows if weights is None else e.mul(rows, weights)
    result = e.true_divide(matmul(weighted, e.conj(transpose(rows, 0, 1))), norm)
    return result.reshape(()) if rows.shape[0] == 1 else result


def _check_weights(name: str, weights: Any, count: int, kind: str, category: int) -> None:
    """RuntimeError for weights of observations that are not a vector of the right type, length and sign."""
    if weights is None:
        return
    if weights.ndim > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {weights.ndim}")
    if CATEGORY[weights._data.dtype] != category:
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {weights.dtype.name}")
    if weights.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{weights.numel()} != {count}"
        )
    if weights.numel() and weights._data.min() < 0:
        raise RuntimeError(f"cov(): {name} cannot be negative")


def _mean(rows: Any) -> Any:
    return e.true_divide(reduce.sum(rows, 1, True), rows.shape[1])


def corrcoef(input: Any) -> Any:
    """Pearson's correlation coefficients of variables in rows."""
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got {input.ndim}")
    joint = cov(input)
    if not joint.ndim:
        return e.div(joint, joint)
    spread = e.sqrt(diagonal(joint))
    result = e.div(e.div(joint, unsqueeze(spread, 1)), unsqueeze(spread, 0))
    return e.clamp(result, -1, 1) if not result.is_complex() else result
