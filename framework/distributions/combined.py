"""Laws made of other laws: several independent ones as one, and mixtures."""

from __future__ import annotations

from typing import Any

import framework as vh
from framework.core.tensor import Size, Tensor
from framework.distributions import constraints
from framework.distributions.categorical import Categorical
from framework.distributions.distribution import Distribution
from framework.distributions.utils import sum_rightmost


class Independent(Distribution):
    """A law whose last `reinterpreted_batch_ndims` batch dimensions count as one event."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        if reinterpreted_batch_ndims > len(base_distribution.batch_shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(base_distribution.batch_shape)}"
            )
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        cut = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        self.base_dist: Any = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        super().__init__(shape[:cut], shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        new.base_dist = self.base_dist.expand((*batch_shape, *self.event_shape[: self.reinterpreted_batch_ndims]))
        new.reinterpreted_batch_ndims = self.reinterpreted_batch_ndims
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.reinterpreted_batch_ndims == 0 and self.base_dist.has_enumerate_support

    @constraints.dependent_property
    def support(self) -> Any:
        result = self.base_dist.support
        if self.reinterpreted_batch_ndims:
            return constraints.independent(result, self.reinterpreted_batch_ndims)
        return result

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims > 0:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """A draw of one of the K laws along the last batch dimension of `component_distribution`, chosen by a Categorical.

    Samples have no derivatives: the choice is discrete.
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an  instance of torch.distributions.Distribution")
        parts = component_distribution.batch_shape[:-1]
        for have, want in zip(reversed(mixture_distribution.batch_shape), reversed(parts)):
            if have != 1 and want != 1 and have != want:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_distribution.batch_shape}) is not compatible with "
                    f"`component_distribution.batch_shape`({Size(parts)})"
                )
        count = mixture_distribution.logits.shape[-1]
        if component_distribution.batch_shape[-1:] and count != component_distribution.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({component_distribution.batch_shape[-1]})"
            )
        self._mixture, self._component, self._count = mixture_distribution, component_distribution, count
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(parts, event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        new._component = self._component.expand((*batch_shape, self._count))
        new._mixture = self._mixture.expand(batch_shape)
        new._count, new._event_ndims = self._count, self._event_ndims
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The law of the choice."""
        return self._mixture

    @property
    def component_distribution(self) -> Distribution:
        """The laws that are mixed."""
        return self._component

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self._component.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances and the variance of the means."""
        dim = -1 - self._event_ndims
        within = (self._weights() * self._component.variance).sum(dim)
        off = self._component.mean - self.mean.unsqueeze(dim)
        return within + (self._weights() * off.pow(2.0)).sum(dim)

    def cdf(self, value: Any) -> Tensor:
        probabilities = self._component.cdf(value.unsqueeze(-1 - self._event_ndims))
        return (probabilities * self._mixture.probs).sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_probs = self._component.log_prob(value.unsqueeze(-1 - self._event_ndims))
        return vh.logsumexp(log_probs + vh.log_softmax(self._mixture.logits, -1), -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with vh.no_grad():
            drawn = self._component.sample(sample_shape)
            chosen = self._mixture.expand(self.batch_shape).sample(sample_shape)
            dim = drawn.ndim - 1 - self._event_ndims
            index = chosen.reshape((*chosen.shape, *[1] * (1 + self._event_ndims)))
            index = index.expand((*drawn.shape[:dim], 1, *drawn.shape[dim + 1 :]))
            return vh.gather(drawn, dim, index).squeeze(dim)

    def _weights(self) -> Tensor:
        probs: Any = self._mixture.probs
        return probs.reshape((*probs.shape, *[1] * self._event_ndims))

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture},\n  {self._component})"
