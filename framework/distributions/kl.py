"""Kullback-Leibler divergences: the registry, and those within one family."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import framework as vh
from framework.core.tensor import Tensor
from framework.distributions.bernoulli import Bernoulli, ContinuousBernoulli, Geometric
from framework.distributions.categorical import Categorical, OneHotCategorical
from framework.distributions.combined import Independent
from framework.distributions.continuous import Cauchy, Exponential, Laplace, Normal, Uniform
from framework.distributions.counts import Binomial, Poisson
from framework.distributions.distribution import Distribution, ExponentialFamily
from framework.distributions.gamma import Beta, Dirichlet, Gamma
from framework.distributions.multivariate import (
    LowRankMultivariateNormal,
    MultivariateNormal,
    low_rank_log_det,
    squared_mahalanobis,
)
from framework.distributions.transformed import Gumbel, HalfNormal, Pareto, TransformedDistribution
from framework.distributions.utils import EULER, sum_rightmost

_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_FOUND: dict[tuple[type, type], Callable[[Any, Any], Any] | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """A decorator: the function computes `kl_divergence(p, q)` for laws of these families and of families of them.

    Where several registered pairs fit, the most specific one is used; RuntimeWarning where that is ambiguous.
    """
    for name, family in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(family, type) and issubclass(family, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {family}")

    def decorator(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _REGISTRY[type_p, type_q] = function
        _FOUND.clear()
        return function

    return decorator


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """`KL(p || q)`, the mean under p of `log p - log q`, of shape `batch_shape`; in nats."""
    key = type(p), type(q)
    if key not in _FOUND:
        _FOUND[key] = _dispatch(*key)
    function = _FOUND[key]
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} and q type {key[1].__name__}"
        )
    return function(p, q)


def infinite_like(tensor: Any) -> Any:
    """Infinity in a tensor's shape."""
    return vh.full_like(tensor, vh.inf)


def _dispatch(type_p: type, type_q: type) -> Callable[[Any, Any], Any] | None:
    """The function of the closest registered pair: by p's ancestry first, by q's first, and both must agree."""
    fits = [(a, b) for a, b in _REGISTRY if issubclass(type_p, a) and issubclass(type_q, b)]
    if not fits:
        return None
    near_p, near_q = type_p.__mro__.index, type_q.__mro__.index
    left = _REGISTRY[min(fits, key=lambda pair: (near_p(pair[0]), near_q(pair[1])))]
    right = _REGISTRY[min(fits, key=lambda pair: (near_q(pair[1]), near_p(pair[0])))]
    if left is not right:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl for this pair",
            RuntimeWarning,
            stacklevel=3,
        )
    return left


@register_kl(Bernoulli, Bernoulli)
def _(p: Any, q: Any) -> Any:
    softplus = vh.nn.functional.softplus
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    yes = vh.where(p.probs == 0, 0.0, vh.where(q.probs == 0, vh.inf, yes))
    return yes + vh.where(p.probs == 1, 0.0, vh.where(q.probs == 1, vh.inf, no))


@register_kl(Binomial, Binomial)
def _(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return vh.where(p.total_count > q.total_count, vh.inf, p.total_count * each)


@register_kl(Categorical, Categorical)
def _(p: Any, q: Any) -> Any:
    each = p.probs * (p.logits - q.logits)
    return vh.where(p.probs == 0, 0.0, vh.where(q.probs == 0, vh.inf, each)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Geometric, Geometric)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - vh.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _(p: Any, q: Any) -> Any:
    return vh.xlogy(p.rate, p.rate) - vh.xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Beta, Beta)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    normalizers = (vh.lgamma(p.concentration) - vh.lgamma(q.concentration)).sum(-1)
    means = vh.digamma(p.concentration) - vh.digamma(total_p).unsqueeze(-1)
    weighted = ((p.concentration - q.concentration) * means).sum(-1)
    return vh.lgamma(total_p) - vh.lgamma(total_q) - normalizers + weighted


@register_kl(Exponential, Exponential)
def _(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + vh.lgamma(q.concentration)
        - vh.lgamma(p.concentration)
        + (p.concentration - q.concentration) * vh.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _(p: Any, q: Any) -> Any:
    ratio, off = p.scale / q.scale, (q.loc - p.loc) / q.scale
    return -ratio.log() - off + ratio * EULER + vh.exp(off + vh.lgamma(1 + ratio)) - (1 + EULER)


@register_kl(Normal, Normal)
def _(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _(p: Any, q: Any) -> Any:
    ratio, off = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + off / q.scale + ratio * vh.exp(-off / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def _(p: Any, q: Any) -> Any:
    """Chyzak & Nielsen 2019."""
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(Pareto, Pareto)
def _(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return vh.where(p.scale < q.scale, vh.inf, result)


@register_kl(Uniform, Uniform)
def _(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return vh.where((q.low > p.low) | (q.high < p.high), vh.inf, result)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    mine, other = p._log_norm() + vh.log1p(-p.probs), q._log_norm() + vh.log1p(-q.probs)
    return p.mean * (p.logits - q.logits) + mine - other


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _check_sizes(p, q)
    factor_p, _factor_q = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    return _of_normals(p, q, 2 * _half_log_det(factor_p), [factor_p])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _check_sizes(p, q)
    parts = [p._unbroadcasted_cov_factor, vh.diag_embed(p._unbroadcasted_cov_diag.sqrt())]
    return _of_normals(p, q, low_rank_log_det(p), parts)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _check_sizes(p, q)
    factor = p._unbroadcasted_scale_tril
    return _to_low_rank(p, q, 2 * _half_log_det(factor), [factor])


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Any:
    _check_sizes(p, q)
    parts = [p._unbroadcasted_cov_factor, vh.diag_embed(p._unbroadcasted_cov_diag.sqrt())]
    return _to_low_rank(p, q, low_rank_log_det(p), parts)


def _of_normals(p: Any, q: Any, log_det_p: Any, parts: list[Any]) -> Any:
    """To a normal law by its Cholesky factor, from one whose covariance is the sum of `part @ part.mT`."""
    factor = q._unbroadcasted_scale_tril
    trace = sum(_squares(vh.linalg.solve_triangular(*_together(factor, part), upper=False)) for part in parts)
    distance = squared_mahalanobis(*_together(factor, (q.loc - p.loc).unsqueeze(-1), last=True))
    return 0.5 * (2 * _half_log_det(factor) - log_det_p + trace + distance - p.event_shape[0])


def _to_low_rank(p: Any, q: Any, log_det_p: Any, parts: list[Any]) -> Any:
    """The same to a low-rank law; `inverse(cov_q) = inverse(D) - A.mT @ A`."""
    diag = q._unbroadcasted_cov_diag
    a = vh.linalg.solve_triangular(
        q._capacitance_tril, q._unbroadcasted_cov_factor.mT / diag.unsqueeze(-2), upper=False
    )

    def weigh(columns: Any) -> Any:
        return _squares(columns / diag.sqrt().unsqueeze(-1)) - _squares(a @ columns)

    trace = sum(map(weigh, parts))
    distance = weigh((q.loc - p.loc).unsqueeze(-1))
    return 0.5 * (low_rank_log_det(q) - log_det_p + trace + distance - p.event_shape[0])


def _squares(matrix: Any) -> Any:
    return matrix.pow(2).sum((-2, -1))


def _half_log_det(factor: Any) -> Any:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _together(factor: Any, columns: Any, last: bool = False) -> tuple[Any, Any]:
    """Both with one batch shape; with `last` the columns as a vector."""
    batch = vh.broadcast_shapes(factor.shape[:-2], columns.shape[:-2])
    factor = factor.expand((*batch, *factor.shape[-2:]))
    columns = columns.expand((*batch, *columns.shape[-2:]))
    return factor, columns.squeeze(-1) if last else columns


def _check_sizes(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )


@register_kl(ExponentialFamily, ExponentialFamily)
def _(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normalizer, within any one family."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman "
            "divergences"
        )
    mine = [parameter.detach().requires_grad_() for parameter in p._natural_params]
    normalizer = p._log_normalizer(*mine)
    gradients = vh.autograd.grad(normalizer.sum(), mine, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for own, other, gradient in zip(mine, q._natural_params, gradients):
        result = result - sum_rightmost((other - own) * gradient, len(q.event_shape))
    return result


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
