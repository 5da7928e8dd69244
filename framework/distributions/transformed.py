"""The law of a transformed number, and the families that are made so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import framework as vh
from framework.core.tensor import Size, Tensor
from framework.distributions import constraints
from framework.distributions.combined import Independent
from framework.distributions.continuous import Cauchy, Exponential, Normal, Uniform
from framework.distributions.distribution import Distribution
from framework.distributions.gamma import Gamma
from framework.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    StickBreakingTransform,
    Transform,
)
from framework.distributions.utils import EULER, broadcast_all, sum_rightmost


class TransformedDistribution(Distribution):
    """The law of `transforms` applied to a draw of `base_distribution`."""

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(transform, Transform) for transform in self.transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        base_shape = base_distribution.batch_shape + base_distribution.event_shape
        transform = ComposeTransform(self.transforms)
        if len(base_shape) < transform.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {transform.domain.event_dim}, but got "
                f"{Size(base_shape)}."
            )
        forward = transform.forward_shape(base_shape)
        base_distribution = base_distribution.expand(_batch_of(transform.inverse_shape(forward), base_distribution))
        extra = transform.domain.event_dim - len(base_distribution.event_shape)
        self.base_dist: Any = Independent(base_distribution, extra) if extra > 0 else base_distribution
        event_dim = max(
            transform.codomain.event_dim,
            len(self.base_dist.event_shape) + transform.codomain.event_dim - transform.domain.event_dim,
        )
        cut = len(forward) - event_dim
        super().__init__(forward[:cut], forward[cut:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        new.transforms = self.transforms
        transform = ComposeTransform(self.transforms)
        base_shape = transform.inverse_shape((*batch_shape, *self.event_shape))
        new.base_dist = self.base_dist.expand(_batch_of(base_shape, self.base_dist))
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self.event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with vh.no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        event_dim = len(self.event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            total = total - sum_rightmost(transform.log_abs_det_jacobian(x, y), event_dim - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event_dim - len(self.base_dist.event_shape))

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Tensor:
        return self._forward(self.base_dist.icdf(self._turned(value)))

    def _forward(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def _turned(self, probability: Any) -> Any:
        """A probability of the base's, or its complement where the transforms turn the line around."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5


class _Family(TransformedDistribution):
    """A family made of a base and transforms that follow from its parameters."""

    has_rsample = True

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        for name in self._parameters:
            setattr(new, name, self.__dict__[name].expand(batch_shape))
        new._build(False)
        new._validate_args = self._validate_args
        return new

    def _build(self, validate_args: bool | None) -> None:
        """Make base and transforms from the parameters."""
        raise NotImplementedError


class LogNormal(TransformedDistribution):
    """The law of exp of a normal number of mean `loc` and standard deviation `scale`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, self._blank(_instance))

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Tensor:
        return self.scale.square().expm1() * (2 * self.loc + self.scale**2).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class _Half(TransformedDistribution):
    """The law of the magnitude of a number whose law is symmetric about zero."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, self._blank(_instance))

    @property
    def scale(self) -> Tensor:
        """The spread."""
        return self.base_dist.scale

    @property
    def mode(self) -> Tensor:
        return vh.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value = vh.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        return vh.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(_Half):
    """The law of the magnitude of a normal number of mean zero."""

    _parameters = {}

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), AbsTransform(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)


class HalfCauchy(_Half):
    """The law of the magnitude of a Cauchy number about zero. It has no mean."""

    _parameters = {}

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return vh.full(self._extended_shape(), math.inf, dtype=self.scale.dtype, device=self.scale.device)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance


class Gumbel(_Family):
    """The law of the largest of many numbers, around `loc`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    _parameters = {"loc": 0, "scale": 0}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        self._build(validate_args)

    def _build(self, validate_args: bool | None) -> None:
        info = vh.finfo(self.loc.dtype)
        base = Uniform(vh.full_like(self.loc, info.tiny), 1 - info.eps, validate_args=False)
        transforms = [
            ExpTransform().inv,
            AffineTransform(0, -vh.ones_like(self.scale)),
            ExpTransform().inv,
            AffineTransform(self.loc, -self.scale),
        ]
        super(_Family, self).__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def cdf(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return vh.exp(-vh.exp((self.loc - value) / self.scale))

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * vh.log(-vh.log(value))

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + EULER)


class Weibull(_Family):
    """The law of lifetimes of characteristic length `scale` and shape `concentration`."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _parameters = {"scale": 0, "concentration": 0}

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self._build(validate_args)

    def _build(self, validate_args: bool | None) -> None:
        transforms = [PowerTransform(self.concentration.reciprocal()), AffineTransform(0, self.scale)]
        base = Exponential(vh.ones_like(self.scale), validate_args=False)
        super(_Family, self).__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * vh.exp(vh.lgamma(1 + self.concentration.reciprocal()))

    @property
    def mode(self) -> Tensor:
        above = vh.where(self.concentration > 1, self.concentration, 2.0)
        mode = self.scale * ((above - 1) / above) ** above.reciprocal()
        return vh.where(self.concentration > 1, mode, 0.0)

    @property
    def variance(self) -> Tensor:
        inverse = self.concentration.reciprocal()
        return self.scale**2 * (vh.exp(vh.lgamma(1 + 2 * inverse)) - vh.exp(2 * vh.lgamma(1 + inverse)))

    def entropy(self) -> Tensor:
        inverse = self.concentration.reciprocal()
        return EULER * (1 - inverse) + vh.log(self.scale * inverse) + 1


class Pareto(_Family):
    """The power law above `scale` with exponent `alpha`."""

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}
    _parameters = {"scale": 0, "alpha": 0}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        self._build(validate_args)

    def _build(self, validate_args: bool | None) -> None:
        base = Exponential(self.alpha, validate_args=False)
        super(_Family, self).__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        a = vh.where(self.alpha > 1, self.alpha, 2.0)
        return vh.where(self.alpha > 1, a * self.scale / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = vh.where(self.alpha > 2, self.alpha, 3.0)
        return vh.where(self.alpha > 2, self.scale**2 * a / ((a - 1) ** 2 * (a - 2)), math.inf)

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Kumaraswamy(_Family):
    """The law on (0, 1) with distribution function `1 - (1 - x**a)**b`."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    _parameters = {"concentration1": 0, "concentration0": 0}

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        self._build(validate_args)

    def _build(self, validate_args: bool | None) -> None:
        info = vh.finfo(self.concentration0.dtype)
        base = Uniform(vh.full_like(self.concentration0, info.tiny), 1 - info.eps, validate_args=False)
        transforms = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        super(_Family, self).__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        mode = (((a - 1) / (a * b - 1)).log() / a).exp()
        return vh.where((a < 1) | (b < 1), math.nan, mode)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = vh.digamma(b + 1) + EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - vh.log(a) - vh.log(b)

    def _moment(self, n: int) -> Tensor:
        a, b = self.concentration1, self.concentration0
        x = 1 + n / a
        return vh.exp(b.log() + vh.lgamma(x) + vh.lgamma(b) - vh.lgamma(x + b))


class InverseGamma(_Family):
    """The law of one over a gamma number."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    _parameters = {"concentration": 0, "rate": 0}

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        self._build(validate_args)

    def _build(self, validate_args: bool | None) -> None:
        base = Gamma(self.concentration, self.rate, validate_args=False)
        transform = PowerTransform(-vh.ones_like(self.rate))
        super(_Family, self).__init__(base, transform, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        many = self.concentration > 1
        a = vh.where(many, self.concentration, 2.0)
        return vh.where(many, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        many = self.concentration > 2
        a = vh.where(many, self.concentration, 3.0)
        return vh.where(many, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + vh.lgamma(a) - (1 + a) * vh.digamma(a)


class LogisticNormal(TransformedDistribution):
    """Shares by stick breaking of normal numbers (..., K): (..., K + 1)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, self._blank(_instance))

    @property
    def loc(self) -> Tensor:
        """The mean of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the normal numbers."""
        return self.base_dist.base_dist.scale


def _batch_of(shape: Any, distribution: Distribution) -> Any:
    """The batch shape of a law whose whole shape is this."""
    return Size(shape[: len(shape) - len(distribution.event_shape)])
