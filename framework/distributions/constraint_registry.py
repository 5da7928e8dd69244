"""The maps from unconstrained numbers to a region: `biject_to` one to one, `transform_to` perhaps not, but simpler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from framework.distributions import constraints, transforms
from framework.distributions.constraints import Constraint
from framework.distributions.transforms import Transform, vectors

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """Which map leads to which kind of region."""

    def __init__(self) -> None:
        self._registry: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Say how to make the map for a kind of region (a class, or an object of it); also a decorator."""
        if factory is None:
            return lambda function: self.register(constraint, function)
        if isinstance(constraint, Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        """A map onto this region."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _independent(registry: ConstraintRegistry) -> Factory:
    return lambda constraint: transforms.IndependentTransform(
        registry(constraint.base_constraint), constraint.reinterpreted_batch_ndims
    )


def _positive(constraint: Any) -> Transform:
    return transforms.ExpTransform()


def _above(constraint: Any) -> Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)]
    )


def _below(constraint: Any) -> Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)]
    )


def _between(constraint: Any) -> Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, int | float) and isinstance(high, int | float) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


for _registry in (biject_to, transform_to):
    _registry.register(constraints.real, lambda constraint: transforms.identity_transform)
    _registry.register(constraints.independent, _independent(_registry))
    _registry.register(constraints.greater_than, lambda c: _above(c) if c is not constraints.positive else _positive(c))
    _registry.register(
        constraints.greater_than_eq, lambda c: _above(c) if c is not constraints.nonnegative else _positive(c)
    )
    _registry.register(constraints.less_than, _below)
    _registry.register(constraints.interval, _between)
    _registry.register(constraints.half_open_interval, _between)
    _registry.register(constraints.lower_cholesky, lambda constraint: vectors.LowerCholeskyTransform())
    _registry.register(constraints.positive_definite, lambda constraint: vectors.PositiveDefiniteTransform())
    _registry.register(constraints.positive_semidefinite, lambda constraint: vectors.PositiveDefiniteTransform())
    _registry.register(constraints.corr_cholesky, lambda constraint: vectors.CorrCholeskyTransform())
    _registry.register(
        constraints.cat,
        lambda c, r=_registry: vectors.CatTransform([r(part) for part in c.cseq], c.dim, c.lengths),  # type: ignore[misc]
    )
    _registry.register(
        constraints.stack,
        lambda c, r=_registry: vectors.StackTransform([r(part) for part in c.cseq], c.dim),  # type: ignore[misc]
    )
biject_to.register(constraints.simplex, lambda constraint: vectors.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: vectors.SoftmaxTransform())
