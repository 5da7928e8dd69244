"""What a transform is: a differentiable map with a known Jacobian, and its inverse."""

from __future__ import annotations

import weakref
from typing import Any

from framework.distributions import constraints


class Transform:
    """A map from `domain` to `codomain` with `log_abs_det_jacobian(x, y)`, `y = t(x)`; `t.inv` goes back.

    A subclass defines `_call(x)`, `_inverse(y)` and, elementwise or over events, the Jacobian. With `cache_size=1` the
    last pair is kept, so that a value that has just been computed is inverted exactly and at no cost.
    """

    bijective = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._pair: tuple[Any, Any] = None, None
        self._inv: Any = None

    @property
    def event_dim(self) -> int:
        """How many dimensions one application takes together, where input and output agree in that."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> Transform:
        """The inverse."""
        inverse = self._inv() if self._inv is not None else None
        if inverse is None:
            inverse = _InverseTransform(self)
            self._inv = weakref.ref(inverse)
        return inverse

    @property
    def sign(self) -> Any:
        """1 for a rising map of the line, -1 for a falling one."""
        raise NotImplementedError

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same map that remembers its last pair."""
        if self._cache_size == cache_size:
            return self
        if type(self).__init__ is Transform.__init__:
            return type(self)(cache_size=cache_size)
        raise NotImplementedError(f"{type(self)}.with_cache is not implemented")

    def __call__(self, x: Any) -> Any:
        if not self._cache_size:
            return self._call(x)
        if x is not self._pair[0]:
            self._pair = x, self._call(x)
        return self._pair[1]

    def _inv_call(self, y: Any) -> Any:
        if not self._cache_size:
            return self._inverse(y)
        if y is not self._pair[1]:
            self._pair = self._inverse(y), y
        return self._pair[0]

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """`log |det dy/dx|` for each event."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the output for an input of this shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the input for an output of this shape."""
        return shape

    def __eq__(self, other: Any) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}()"


class _InverseTransform(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inverted = transform

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._inverted.bijective

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        return self._inverted.codomain

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        return self._inverted.domain

    @property
    def sign(self) -> Any:
        return self._inverted.sign

    @property
    def inv(self) -> Transform:
        return self._inverted

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self._inverted.with_cache(cache_size).inv

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _InverseTransform) and self._inverted == other._inverted

    __hash__ = Transform.__hash__

    def __call__(self, x: Any) -> Any:
        return self._inverted._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._inverted(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._inverted.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inverted.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inverted.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self._inverted!r})"


def at_least(constraint: Any, event_dim: int) -> Any:
    """The constraint for events of at least `event_dim` dimensions."""
    extra = event_dim - constraint.event_dim
    return constraints.independent(constraint, extra) if extra > 0 else constraint
