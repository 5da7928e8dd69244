"""What values a parameter or a sample may have. `check(value)` says so for each element, or each event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import framework as vh


class Constraint:
    """A region. `event_dim`: how many trailing dimensions are checked together."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Any:
        """True where the value lies in the region."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.__class__.__name__.lstrip("_") + "()"


class _Dependent(Constraint):
    """A region that depends on other values; it cannot be checked alone."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> _Dependent:
        """The same with another event dimension or kind of numbers."""
        return _Dependent(
            is_discrete=self.is_discrete if is_discrete is None else is_discrete,
            event_dim=self.event_dim if event_dim is None else event_dim,
        )

    def check(self, value: Any) -> Any:
        raise ValueError("Cannot determine validity of dependent constraint")


class _DependentProperty(property, _Dependent):
    """A property whose value is a region; on the class it stands for a region that is not known yet."""

    def __init__(
        self, fget: Callable[[Any], Constraint] | None = None, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        property.__init__(self, fget)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fget: Any = None, **options: Any) -> Any:
        """As a decorator with arguments."""
        return _DependentProperty(fget, is_discrete=self.is_discrete, event_dim=self.event_dim)


class _Independent(Constraint):
    """A region whose last dimensions form one event."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        result = self.base_constraint.check(value)
        if result.ndim < self.reinterpreted_batch_ndims:
            expected = self.base_constraint.event_dim + self.reinterpreted_batch_ndims
            raise ValueError(f"Expected value.dim() >= {expected} but got {value.ndim}")
        kept = result.ndim - self.reinterpreted_batch_ndims
        return result.reshape((*result.shape[:kept], -1)).all(-1)

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The region of a mixture's parts, for values that lack the dimension of the parts."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint
        self.is_discrete, self.event_dim = base_constraint.is_discrete, base_constraint.event_dim

    def check(self, value: Any) -> Any:
        event = self.base_constraint.event_dim
        if value.ndim < event:
            raise ValueError(f"Expected value.dim() >= {event} but got {value.ndim}")
        result = self.base_constraint.check(value.unsqueeze(-1 - event))
        return result.reshape((*value.shape[: value.ndim - event], -1)).all(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint!r})"


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value == 0) | (value == 1)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Any:
        return ((value == 0) | (value == 1)).all(-1) & value.sum(-1).eq(1)


class _IntegerInterval(Constraint):
    is_discrete = True

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (self.lower_bound <= value) & (value <= self.upper_bound)

    def __repr__(self) -> str:
        return f"IntegerInterval(lower_bound={self.lower_bound}, upper_bound={self.upper_bound})"


class _IntegerGreaterThan(Constraint):
    is_discrete = True

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound)

    def __repr__(self) -> str:
        return f"IntegerGreaterThan(lower_bound={self.lower_bound})"


class _Real(Constraint):
    def check(self, value: Any) -> Any:
        return value == value


class _Bounded(Constraint):
    """A region of the line between bounds."""

    _below = _above = ""

    def __init__(self, *bounds: Any, lower_bound: Any = None, upper_bound: Any = None) -> None:
        given = list(bounds) + [bound for bound in (lower_bound, upper_bound) if bound is not None]
        if self._below:
            self.lower_bound = given.pop(0)
        if self._above:
            self.upper_bound = given.pop(0)

    def check(self, value: Any) -> Any:
        inside = value == value
        if self._below:
            inside = inside & (self.lower_bound <= value if self._below == "<=" else self.lower_bound < value)
        if self._above:
            inside = inside & (value <= self.upper_bound if self._above == "<=" else value < self.upper_bound)
        return inside

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{self.__class__.__name__.lstrip('_')}({bounds})"


class _GreaterThan(_Bounded):
    _below = "<"


class _GreaterThanEq(_Bounded):
    _below = "<="


class _LessThan(_Bounded):
    _above = "<"


class _Interval(_Bounded):
    _below = _above = "<="


class _HalfOpenInterval(_Bounded):
    _below, _above = "<=", "<"


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Multinomial(Constraint):
    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class _LowerTriangular(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        return _all_entries(vh.tril(value) == value)


class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        return _all_entries(vh.tril(value) == value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        tolerance = vh.finfo(value.dtype).eps * value.shape[-1] * 10  # rounding grows with the matrix
        unit = ((value**2).sum(-1).sqrt() - 1).abs().le(tolerance).all(-1)
        return unit & lower_cholesky.check(value)


class _Square(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        return vh.full(value.shape[:-2], value.shape[-2] == value.shape[-1], dtype=vh.bool, device=value.device)


class _Symmetric(_Square):
    def check(self, value: Any) -> Any:
        square = super().check(value)
        if not square.all():
            return square
        return _all_entries(vh.isclose(value, value.mT, atol=1e-6))


class _PositiveSemidefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if not symmetric.all():
            return symmetric
        return vh.linalg.eigvalsh(value.detach()).ge(-1e-6 * value.detach().abs().amax((-2, -1))[..., None]).all(-1)


class _PositiveDefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if not symmetric.all():
            return symmetric
        return vh.linalg.eigvalsh(value.detach()).gt(0).all(-1)


class _Cat(Constraint):
    """Regions of parts that are joined along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(constraint.is_discrete for constraint in self.cseq)
        self.event_dim = max(constraint.event_dim for constraint in self.cseq)

    def check(self, value: Any) -> Any:
        parts = value.split(self.lengths, self.dim)
        return vh.cat([constraint.check(part) for constraint, part in zip(self.cseq, parts)], self.dim)


class _Stack(Constraint):
    """Regions of parts that are stacked along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(constraint.is_discrete for constraint in self.cseq)
        dim_counts = dim < 0  # a stacked dimension counted from the end is part of the event
        self.event_dim = max(constraint.event_dim for constraint in self.cseq) + dim_counts

    def check(self, value: Any) -> Any:
        parts = value.unbind(self.dim)
        return vh.stack([constraint.check(part) for constraint, part in zip(self.cseq, parts)], self.dim)


def is_dependent(constraint: Any) -> bool:
    """Whether a region depends on other values."""
    return isinstance(constraint, _Dependent)


def _all_entries(condition: Any) -> Any:
    return condition.flatten(-2).all(-1)


dependent = _Dependent()
dependent_property = _DependentProperty
independent = _Independent
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
