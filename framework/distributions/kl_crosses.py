"""Kullback-Leibler divergences between families: `-entropy(p) - E_p[log q]`, from what the mean of log q needs of p.

log q of an exponential law needs the mean of p, of a gamma law also the mean of log x, of Gumbel's law that of
`exp(-x / scale)`, and so on. Divergences to a law that gives no weight where p has some are infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import framework as vh
from framework.distributions.bernoulli import Bernoulli, ContinuousBernoulli
from framework.distributions.continuous import Exponential, Laplace, Normal, Uniform
from framework.distributions.counts import Binomial, Poisson
from framework.distributions.gamma import Beta, Gamma
from framework.distributions.kl import infinite_like, register_kl
from framework.distributions.transformed import Gumbel, Pareto
from framework.distributions.utils import EULER

# -- means under p -----------------------------------------------------------------------------------------------------


def _log(p: Any) -> Any:
    """The mean of log x."""
    if isinstance(p, Beta):
        return vh.digamma(p.concentration1) - vh.digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Gamma):
        return vh.digamma(p.concentration) - p.rate.log()
    if isinstance(p, Exponential):
        return -EULER - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return (vh.xlogy(p.high, p.high) - vh.xlogy(p.low, p.low)) / (p.high - p.low) - 1  # uniform


def _log1m(p: Any) -> Any:
    """The mean of log(1 - x) of a uniform law."""
    high, low = 1 - p.high, 1 - p.low
    return (vh.xlogy(low, low) - vh.xlogy(high, high)) / (p.high - p.low) - 1


def _exp(p: Any, scale: Any) -> Any:
    """The mean of exp(-x / scale)."""
    if isinstance(p, Normal):
        return vh.exp(-p.loc / scale + 0.5 * (p.scale / scale).pow(2))
    if isinstance(p, Uniform):
        return (vh.exp(-p.low / scale) - vh.exp(-p.high / scale)) * scale / (p.high - p.low)
    if isinstance(p, Gamma):
        return (1 + (p.rate * scale).reciprocal()).pow(-p.concentration)
    return p.rate * scale / (p.rate * scale + 1)  # exponential


# -- means of log q under p --------------------------------------------------------------------------------------------


def _under_exponential(p: Any, q: Any) -> Any:
    return q.rate.log() - q.rate * p.mean


def _under_gamma(p: Any, q: Any) -> Any:
    normalizer = q.concentration * q.rate.log() - vh.lgamma(q.concentration)
    return normalizer + (q.concentration - 1) * _log(p) - q.rate * p.mean


def _under_normal(p: Any, q: Any) -> Any:
    spread = p.variance + (p.mean - q.loc).pow(2)
    return -0.5 * math.log(2 * math.pi) - q.scale.log() - spread / (2 * q.scale.pow(2))


def _under_gumbel(p: Any, q: Any) -> Any:
    return -q.scale.log() - (p.mean - q.loc) / q.scale - vh.exp(q.loc / q.scale) * _exp(p, q.scale)


def _under_pareto(p: Any, q: Any) -> Any:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _log(p)


def _under_beta(p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    normalizer = vh.lgamma(a + b) - vh.lgamma(a) - vh.lgamma(b)
    return normalizer + (a - 1) * _log(p) + (b - 1) * _log1m(p)


def _under_uniform(p: Any, q: Any) -> Any:
    return -(q.high - q.low).log()


def _under_continuous_bernoulli(p: Any, q: Any) -> Any:
    return p.mean * q.logits + vh.log1p(-q.probs) + q._log_norm()


def _under_laplace_of_normal(p: Any, q: Any) -> Any:
    off = (p.loc - q.loc) / p.scale
    distance = math.sqrt(2 / math.pi) * p.scale * vh.exp(-0.5 * off.pow(2)) + (p.loc - q.loc) * vh.erf(
        off / math.sqrt(2)
    )
    return -(2 * q.scale).log() - distance / q.scale


def _under_poisson_of_bernoulli(p: Any, q: Any) -> Any:
    return p.probs * q.rate.log() - q.rate


def _register(type_p: type, type_q: type, mean_log_q: Callable[[Any, Any], Any], bounds: Any = None) -> None:
    """`bounds(p, q)`: where p lies inside the support of q."""

    def divergence(p: Any, q: Any) -> Any:
        result = -p.entropy() - mean_log_q(p, q)
        return result if bounds is None else vh.where(bounds(p, q), result, vh.inf)

    register_kl(type_p, type_q)(divergence)


_type: Any
for _type in (Beta, ContinuousBernoulli, Gamma, Pareto):
    _register(_type, Exponential, _under_exponential)
for _type in (Beta, Exponential, Pareto):
    _register(_type, Gamma, _under_gamma)
for _type in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform):
    _register(_type, Normal, _under_normal)
for _type in (Exponential, Gamma, Normal, Uniform):
    _register(_type, Gumbel, _under_gumbel)
for _type in (Beta, ContinuousBernoulli):
    _register(_type, Uniform, _under_uniform, lambda p, q: (q.low <= 0) & (q.high >= 1))
_register(Beta, ContinuousBernoulli, _under_continuous_bernoulli)
_register(Normal, Laplace, _under_laplace_of_normal)
_register(Bernoulli, Poisson, _under_poisson_of_bernoulli)
_register(Pareto, Normal, _under_normal, lambda p, q: p.alpha > 2)
_register(Uniform, Beta, _under_beta, lambda p, q: (p.low >= 0) & (p.high <= 1))
_register(Uniform, ContinuousBernoulli, _under_continuous_bernoulli, lambda p, q: (p.low >= 0) & (p.high <= 1))
_register(Uniform, Exponential, _under_exponential, lambda p, q: p.low >= 0)
_register(Uniform, Gamma, _under_gamma, lambda p, q: p.low >= 0)
_register(Uniform, Pareto, _under_pareto, lambda p, q: p.low >= q.scale)

_OUTSIDE = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}
for _type, _others in _OUTSIDE.items():
    for _other in _others:
        register_kl(_type, _other)(lambda p, q: infinite_like(p.mean))
