"""The base of all distributions, with torch's interface."""

from __future__ import annotations

from typing import Any, ClassVar

import framework as vh
from framework.core.tensor import Size, Tensor
from framework.distributions import constraints
from framework.distributions.utils import lazy_property, sum_rightmost


class Distribution:
    """A law, or a batch of laws of one family.

    Samples have the shape `sample_shape + batch_shape + event_shape`: `batch_shape` counts laws that are independent
    but not alike, `event_shape` is that of one draw. `_parameters` names a family's tensors and, for each, how many
    of their trailing dimensions belong to the event.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[Any] = {}
    support: Any = None
    _parameters: ClassVar[dict[str, int]] = {}
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether new distributions check their parameters and the values given to them."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    @property
    def batch_shape(self) -> Size:
        """The shape of the laws that are not alike."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean, of shape `batch_shape + event_shape`."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of each element."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A draw, without derivatives."""
        with vh.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A draw that is differentiable by the parameters, where the family has that (`has_rsample`)."""
        raise NotImplementedError

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`; of shape `sample_shape + batch_shape`."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Tensor:
        """The probability of at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Tensor:
        """The quantile of a probability."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a finite discrete law along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats, of shape `batch_shape`."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return vh.exp(self.entropy())

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same laws broadcast to a larger `batch_shape`; nothing is copied."""
        new = self._blank(_instance)
        for name, dims in self._parameters.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                setattr(new, name, value.expand(Size((*batch_shape, *value.shape[value.ndim - dims :]))))
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        described = [
            f"{name}: {value if value.numel() == 1 else value.size()}"
            for name, value in ((name, self.__dict__[name]) for name in names)
        ]
        return f"{self.__class__.__name__}({', '.join(described)})"

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        if isinstance(sample_shape, int):
            sample_shape = (sample_shape,)
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value: Any) -> None:
        """ValueError unless `value` broadcasts to this law's shape and lies in its support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        first_event = value.ndim - len(self._event_shape)
        if value.shape[first_event:] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.size()} vs {self._event_shape}."
            )
        whole = (*self._batch_shape, *self._event_shape)
        for have, want in zip(reversed(value.shape), reversed(whole)):
            if have != 1 and want != 1 and have != want:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.size()} vs {Size(whole)}."
                )
        try:
            support = self.support
        except NotImplementedError:
            return
        if support is not None and not support.check(value).all():
            raise ValueError(
                "Expected value argument "
                f"({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # the other parameterisation was given
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} "
                    f"({type(value).__name__} of shape {tuple(value.shape)}) "
                    f"of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, "
                    f"but found invalid values:\n{value}"
                )

    def _blank(self, instance: Any) -> Any:
        """An object of this class without content; a subclass with a constructor of its own must expand itself."""
        if instance is not None:
            return instance
        family = next(cls for cls in type(self).__mro__ if "expand" in cls.__dict__ or "_parameters" in cls.__dict__)
        if getattr(type(self), "__init__") is not getattr(family, "__init__"):  # noqa: B009 - mypy forbids the attribute
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {family.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return object.__new__(type(self))


class ExponentialFamily(Distribution):
    """Laws of density `exp(<natural parameters, t(x)> - F(natural parameters) + k(x))`.

    `_log_normalizer` is F; entropies and divergences follow from its derivatives (Bregman; Nielsen & Nock 2010).
    """

    _mean_carrier_measure: Any = None  # the mean of k(x), where that is known

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        if self._mean_carrier_measure is None:
            raise NotImplementedError(f"{type(self).__name__}.entropy has no closed form")
        natural = [parameter.detach().requires_grad_() for parameter in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        gradients = vh.autograd.grad(normalizer.sum(), natural, create_graph=True)
        result = -self._mean_carrier_measure + normalizer
        for parameter, gradient in zip(natural, gradients):
            product = (parameter * gradient).reshape((*self._batch_shape, -1))
            result = result - sum_rightmost(product, 1)
        return result
