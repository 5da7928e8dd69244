"""Laws of one yes or no: Bernoulli, geometric, and the continuous Bernoulli."""

from __future__ import annotations

import math
from typing import Any

import framework as vh
from framework.core.tensor import Tensor
from framework.distributions import constraints
from framework.distributions.distribution import Distribution, ExponentialFamily
from framework.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    one_of,
    probs_to_logits,
)

_ODDS = {"probs": constraints.unit_interval, "logits": constraints.real}


class _Odds(Distribution):
    """A family with one probability, given as `probs` or as log-odds `logits`."""

    _parameters = {"probs": 0, "logits": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if one_of(probs=probs, logits=logits) == "probs":
            (self.probs,) = broadcast_all(probs)
        else:
            (self.logits,) = broadcast_all(logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self._param.shape

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]


class Bernoulli(_Odds, ExponentialFamily):
    """One with probability `probs` (log-odds `logits`), else zero."""

    arg_constraints = _ODDS
    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0
    _parameters = {"probs": 0, "logits": 0}
    __init__ = _Odds.__init__

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return vh.where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with vh.no_grad():
            return vh.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -vh.nn.functional.binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Tensor:
        return vh.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = vh.arange(2, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (vh.logit(self.probs),)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        return vh.nn.functional.softplus(natural_params[0])


class Geometric(_Odds):
    """The number of failures before the first success of probability `probs`."""

    arg_constraints = _ODDS
    support = constraints.nonnegative_integer
    _parameters = {"probs": 0, "logits": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(
                "Expected parameter probs "
                f"({type(probs).__name__} of shape {tuple(self.probs.shape)}) "
                f"of distribution {self!r} "
                "to be positive but found invalid values:\n"
                f"{self.probs[~(self.probs > 0)]}"
            )

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return vh.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with vh.no_grad():
            u = vh.rand(shape, dtype=self.probs.dtype, device=self.probs.device)
            return (vh.log1p(-u) / vh.log1p(-self.probs)).floor()

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        failure = vh.where((probs == 1) & (value == 0), 0.0, -probs)
        return value * vh.log1p(failure) + self.probs.log()

    def entropy(self) -> Tensor:
        return vh.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs


class ContinuousBernoulli(_Odds, ExponentialFamily):
    """The law on [0, 1] of density proportional to `probs**x * (1 - probs)**(1 - x)` (Loaiza-Ganem 2019).

    Between `lims`, where the normalizer is 0 / 0, its Taylor series takes over.
    """

    arg_constraints = _ODDS
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = {"probs": 0, "logits": 0}

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        _Odds.__init__(self, probs, logits, validate_args)
        if probs is not None:
            self.probs = clamp_probs(self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, self._blank(_instance))
        new._lims = self._lims
        return new

    @property
    def mean(self) -> Tensor:
        p = self._cut_probs()
        exact = p / (2 * p - 1) + 1 / (vh.log1p(-p) - vh.log(p))
        x = self.probs - 0.5
        return vh.where(self._outside(), exact, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def stddev(self) -> Tensor:
        return vh.sqrt(self.variance)

    @property
    def variance(self) -> Tensor:
        p = self._cut_probs()
        exact = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / (vh.log1p(-p) - vh.log(p)) ** 2
        x = (self.probs - 0.5) ** 2
        return vh.where(self._outside(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = vh.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
        return self.icdf(u)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        cross = vh.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -cross + self._log_norm()

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        p = self._cut_probs()
        exact = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        result = vh.where(self._outside(), exact, value)
        return vh.where(vh.le(value, 0), 0.0, vh.where(vh.ge(value, 1), 1.0, result))

    def icdf(self, value: Any) -> Tensor:
        p = self._cut_probs()
        exact = (vh.log1p(-p + value * (2 * p - 1)) - vh.log1p(-p)) / (vh.log(p) - vh.log1p(-p))
        return vh.where(self._outside(), exact, value)

    def entropy(self) -> Tensor:
        log0, log1 = vh.log1p(-self.probs), vh.log(self.probs)
        return self.mean * (log0 - log1) - self._log_norm() - log0

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x = natural_params[0]
        outside = vh.le(x, self._lims[0] - 0.5) | vh.gt(x, self._lims[1] - 0.5)
        cut = vh.where(outside, x, self._lims[0] - 0.5)
        exact = vh.log(vh.abs(vh.special.expm1(cut))) - vh.log(vh.abs(cut))
        return vh.where(outside, exact, 0.5 * x + x**2 / 24 - x**4 / 2880)

    def _outside(self) -> Tensor:
        return vh.le(self.probs, self._lims[0]) | vh.gt(self.probs, self._lims[1])

    def _cut_probs(self) -> Tensor:
        return vh.where(self._outside(), self.probs, self._lims[0])

    def _log_norm(self) -> Tensor:
        """The logarithm of the constant of the density."""
        p = self._cut_probs()
        below, above = vh.where(p <= 0.5, p, 0.0), vh.where(p >= 0.5, p, 1.0)
        exact = vh.log(vh.abs(vh.log1p(-p) - vh.log(p))) - vh.where(
            p <= 0.5, vh.log1p(-2 * below), vh.log(2 * above - 1)
        )
        x = (self.probs - 0.5) ** 2
        return vh.where(self._outside(), exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)
