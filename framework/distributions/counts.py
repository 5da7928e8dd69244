"""Laws of counts: binomial, multinomial, negative binomial, Poisson."""

from __future__ import annotations

from typing import Any

import framework as vh
from framework.core.tensor import Size, Tensor
from framework.distributions import constraints
from framework.distributions.bernoulli import _Odds
from framework.distributions.categorical import Categorical
from framework.distributions.distribution import Distribution, ExponentialFamily
from framework.distributions.gamma import Gamma
from framework.distributions.utils import broadcast_all, one_of
from framework.ops.random import binomial, poisson


class Binomial(_Odds):
    """Successes among `total_count` trials of probability `probs` (log-odds `logits`)."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _parameters = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = one_of(probs=probs, logits=logits)
        count, value = broadcast_all(total_count, probs if name == "probs" else logits)
        self.total_count = count.to(value.dtype)
        setattr(self, name, value)
        Distribution.__init__(self, value.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with vh.no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        ways = vh.lgamma(self.total_count + 1) - vh.lgamma(value + 1) - vh.lgamma(self.total_count - value + 1)
        softplus = vh.nn.functional.softplus
        return ways + value * self.logits - self.total_count * softplus(self.logits)

    def entropy(self) -> Tensor:
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(vh.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        most = int(self.total_count.max())
        if int(self.total_count.min()) != most:
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        values = vh.arange(1 + most, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values


class Multinomial(Distribution):
    """How often each of K choices comes in `total_count` draws of a Categorical law."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        new.total_count = self.total_count
        new._categorical = self._categorical.expand(batch_shape)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Tensor:
        """Probabilities that add up to one."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter that was given."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the binomial law of each count given those before it."""
        shape = self._extended_shape(sample_shape)
        probs = self.probs.detach().expand(shape)
        rest = vh.cat([probs.flip(-1).cumsum(-1).flip(-1)], -1)  # the probability of this choice or a later one
        left = vh.full(shape[:-1], self.total_count, dtype=probs.dtype, device=probs.device)
        counts = []
        for choice in range(shape[-1] - 1):
            share = (probs[..., choice] / rest[..., choice].clamp(min=vh.finfo(probs.dtype).tiny)).clamp(max=1)
            counts.append(binomial(left, share))
            left = left - counts[-1]
        return vh.stack([*counts, left], -1)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        certain = vh.where((value == 0) & (logits == -vh.inf), 0.0, logits)
        ways = vh.lgamma(value.sum(-1) + 1) - vh.lgamma(value + 1).sum(-1)
        return ways + (certain * value).sum(-1)

    def entropy(self) -> Tensor:
        n = vh.tensor(float(self.total_count), dtype=self.probs.dtype, device=self.probs.device)
        one = Binomial(self.total_count, probs=self.probs)
        values = one.enumerate_support(expand=False)[1:]
        weights = vh.exp(one.log_prob(values))
        return n * self._categorical.entropy() - vh.lgamma(n + 1) + (weights * vh.lgamma(values + 1)).sum((0, -1))


class NegativeBinomial(_Odds):
    """Successes of probability `probs` before `total_count` failures; `total_count` may be any number >= 0."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _parameters = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = one_of(probs=probs, logits=logits)
        count, value = broadcast_all(total_count, probs if name == "probs" else logits)
        self.total_count = count.to(value.dtype)
        setattr(self, name, value)
        Distribution.__init__(self, value.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * vh.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / vh.sigmoid(-self.logits)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Poisson numbers of rates that are gamma numbers."""
        with vh.no_grad():
            mixing = Gamma(self.total_count, vh.exp(-self.logits), validate_args=False)
            return poisson(mixing.sample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logsigmoid = vh.nn.functional.logsigmoid
        powers = self.total_count * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        ways = vh.lgamma(self.total_count + value) - vh.lgamma(1.0 + value) - vh.lgamma(self.total_count)
        return powers + vh.where(self.total_count + value == 0.0, 0.0, ways)


class Poisson(ExponentialFamily):
    """Counts of events that come independently, `rate` on average."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _parameters = {"rate": 0}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with vh.no_grad():
            return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return vh.xlogy(value, rate) - rate - vh.lgamma(value + 1)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (vh.log(self.rate),)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        return vh.exp(natural_params[0])
