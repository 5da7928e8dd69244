"""Maps of vectors and matrices: simplexes, triangular and positive definite matrices, and parts side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import framework as vh
from framework.distributions import constraints
from framework.distributions.transforms.base import Transform


class SoftmaxTransform(Transform):
    """Shares from any vector, by softmax. Not one to one: it has no Jacobian."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, SoftmaxTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Any) -> Any:
        return vh.softmax(x, -1)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return _of_vectors(shape)

    inverse_shape = forward_shape


class StickBreakingTransform(Transform):
    """K + 1 shares from K numbers: each breaks its sigmoid's part off what is left of a stick."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, StickBreakingTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Any) -> Any:
        z = vh.sigmoid(x - self._offsets(x))
        left = (1 - z).cumprod(-1)
        pad = vh.nn.functional.pad
        return pad(z, (0, 1), value=1) * pad(left, (1, 0), value=1)

    def _inverse(self, y: Any) -> Any:
        cropped = y[..., :-1]
        left = (1 - cropped.cumsum(-1)).clamp(min=vh.finfo(y.dtype).tiny)
        return cropped.log() - left.log() + self._offsets(cropped)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        moved = x - self._offsets(x)
        return (-moved + vh.nn.functional.logsigmoid(moved) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return (*_of_vectors(shape)[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Any) -> Any:
        return (*_of_vectors(shape)[:-1], shape[-1] - 1)

    def _offsets(self, x: Any) -> Any:
        """So that zeros give equal shares."""
        count = x.shape[-1]
        return vh.log(vh.arange(count, 0, -1, dtype=x.dtype, device=x.device))


class LowerCholeskyTransform(Transform):
    """Any square matrix to a lower triangular one with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + vh.diag_embed(x.diagonal(dim1=-2, dim2=-1).exp())

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + vh.diag_embed(y.diagonal(dim1=-2, dim2=-1).log())


class PositiveDefiniteTransform(Transform):
    """Any square matrix to a positive definite one."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, PositiveDefiniteTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(vh.linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """D (D - 1) / 2 numbers to the Cholesky factor of a correlation matrix of size D.

    Rows are unit vectors built from the tangents of the numbers (Lewandowski, Kurowicka & Joe 2009).
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        x = vh.tanh(x)
        eps = vh.finfo(x.dtype).eps
        x = x.clamp(min=-1 + eps, max=1 - eps)
        r = _fill_lower(x)
        z = r**2
        left = (1 - z).sqrt().cumprod(-1)
        r = r + vh.eye(r.shape[-1], dtype=r.dtype, device=r.device)
        return r * vh.nn.functional.pad(left[..., :-1], (1, 0), value=1)

    def _inverse(self, y: Any) -> Any:
        squares = (y * y).cumsum(-1)
        left = vh.nn.functional.pad((1 - squares)[..., :-1], (1, 0), value=1)
        ratios = _take_lower(y) / _take_lower(left).clamp(min=vh.finfo(y.dtype).tiny).sqrt()
        return (ratios.log1p() - ratios.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        stick = 0.5 * _take_lower(left, -2).clamp(min=vh.finfo(y.dtype).tiny).log().sum(-1)
        tangent = -2 * (x + vh.nn.functional.softplus(-2 * x) - math.log(2.0)).sum(-1)
        return stick + tangent

    def forward_shape(self, shape: Any) -> Any:
        count = shape[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return (*shape[:-1], size, size)

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2:
            raise ValueError("Too few dimensions on input")
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)


class CatTransform(Transform):
    """Maps of the parts of a tensor, of `lengths` along `dim`."""

    def __init__(
        self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.transforms = [part.with_cache(cache_size) for part in tseq] if cache_size else list(tseq)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.dim = dim

    @property
    def event_dim(self) -> int:
        return max(part.event_dim for part in self.transforms)

    @property
    def length(self) -> int:
        """The length of the whole along `dim`."""
        return sum(self.lengths)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(part.bijective for part in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([part.domain for part in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([part.codomain for part in self.transforms], self.dim, self.lengths)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _call(self, x: Any) -> Any:
        parts = x.split(self.lengths, self.dim)
        return vh.cat([transform(part) for transform, part in zip(self.transforms, parts)], self.dim)

    def _inverse(self, y: Any) -> Any:
        parts = y.split(self.lengths, self.dim)
        return vh.cat([transform.inv(part) for transform, part in zip(self.transforms, parts)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        dims = self.event_dim
        results = []
        for part, before, after in zip(
            self.transforms, x.split(self.lengths, self.dim), y.split(self.lengths, self.dim)
        ):
            jacobian = part.log_abs_det_jacobian(before, after)
            missing = dims - part.event_dim
            results.append(jacobian.sum(tuple(range(-missing, 0))) if missing else jacobian)
        dim = self.dim if self.dim < 0 else self.dim - x.dim()
        if dim + dims < 0:
            return vh.cat(results, dim + dims)
        return sum(results)


class StackTransform(Transform):
    """Maps of the slices of a tensor along `dim`."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [part.with_cache(cache_size) for part in tseq] if cache_size else list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(part.bijective for part in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([part.domain for part in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([part.codomain for part in self.transforms], self.dim)

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _call(self, x: Any) -> Any:
        return vh.stack([part(piece) for part, piece in zip(self.transforms, x.unbind(self.dim))], self.dim)

    def _inverse(self, y: Any) -> Any:
        return vh.stack([part.inv(piece) for part, piece in zip(self.transforms, y.unbind(self.dim))], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        pieces = zip(self.transforms, x.unbind(self.dim), y.unbind(self.dim))
        return vh.stack([part.log_abs_det_jacobian(before, after) for part, before, after in pieces], self.dim)


def _of_vectors(shape: Any) -> Any:
    if len(shape) < 1:
        raise ValueError("Too few dimensions on input")
    return shape


def _lower_places(size: int, diagonal: int) -> tuple[Any, Any]:
    rows, columns = vh.tril_indices(size, size, diagonal)
    return rows, columns


def _fill_lower(vector: Any) -> Any:
    """A strictly lower triangular matrix with the vector's entries in the order of rows."""
    size = round((0.25 + 2 * vector.shape[-1]) ** 0.5 + 0.5)
    rows, columns = _lower_places(size, -1)
    flat = vh.zeros((*vector.shape[:-1], size * size), dtype=vector.dtype, device=vector.device)
    places = (rows * size + columns).expand(vector.shape)
    return flat.scatter(-1, places, vector).reshape((*vector.shape[:-1], size, size))


def _take_lower(matrix: Any, diagonal: int = -1) -> Any:
    rows, columns = _lower_places(matrix.shape[-1], diagonal)
    return matrix[..., rows, columns]
