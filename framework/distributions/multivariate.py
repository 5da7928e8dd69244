"""The multivariate normal law, by a full matrix or by a low-rank one and a diagonal."""

from __future__ import annotations

import math
from typing import Any

import framework as vh
from framework.core.tensor import Tensor
from framework.distributions import constraints
from framework.distributions.distribution import Distribution
from framework.distributions.utils import lazy_property

_LOG_TAU = math.log(2 * math.pi)


class MultivariateNormal(Distribution):
    """The normal law of vectors (..., D), by one of covariance, its inverse (precision), or its Cholesky factor."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        names = [name for name, matrix in given.items() if matrix is not None]
        if len(names) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        matrix: Any = given[names[0]]
        if matrix.dim() < 2:
            raise ValueError(f"{names[0]} must be at least two-dimensional, with optional leading batch dimensions")
        batch_shape = vh.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        size = loc.shape[-1:]
        setattr(self, names[0], matrix.expand((*batch_shape, *size, *size)))
        self.loc = loc.expand((*batch_shape, *size))
        super().__init__(batch_shape, size, validate_args=validate_args)
        if names[0] == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif names[0] == "covariance_matrix":
            self._unbroadcasted_scale_tril = vh.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _factor_of_inverse(matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        matrix_shape = (*batch_shape, *self.event_shape, *self.event_shape)
        new.loc = self.loc.expand((*batch_shape, *self.event_shape))
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        for name in ("covariance_matrix", "scale_tril", "precision_matrix"):
            if name in self.__dict__:
                setattr(new, name, self.__dict__[name].expand(matrix_shape))
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._unbroadcasted_scale_tril.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        inverse = vh.cholesky_inverse(self._unbroadcasted_scale_tril)
        return inverse.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = vh.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self._unbroadcasted_scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        factor = self._unbroadcasted_scale_tril
        distance = squared_mahalanobis(factor, value - self.loc)
        return -0.5 * (self._event_shape[0] * _LOG_TAU + distance) - _half_log_det(factor)

    def entropy(self) -> Tensor:
        entropy = 0.5 * self._event_shape[0] * (1.0 + _LOG_TAU) + _half_log_det(self._unbroadcasted_scale_tril)
        return entropy.expand(self._batch_shape)


class LowRankMultivariateNormal(Distribution):
    """The normal law of vectors (..., D) of covariance `cov_factor @ cov_factor.mT + diag(cov_diag)`.

    With a factor (..., D, rank) of small rank densities cost D rank^2 (Woodbury's identity), not D^3.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        size = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != size:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {size[0]} x m")
        if cov_diag.shape[-1:] != size:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {tuple(size)}")
        try:
            batch_shape = vh.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand((*batch_shape, *size))
        self.cov_diag = cov_diag.expand((*batch_shape, *size))
        self.cov_factor = cov_factor.expand((*batch_shape, *cov_factor.shape[-2:]))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = _capacitance_factor(cov_factor, cov_diag)
        super().__init__(batch_shape, size, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._blank(_instance)
        new.loc = self.loc.expand((*batch_shape, *self.event_shape))
        new.cov_diag = self.cov_diag.expand((*batch_shape, *self.event_shape))
        new.cov_factor = self.cov_factor.expand((*batch_shape, *self.cov_factor.shape[-2:]))
        for name in ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril"):
            setattr(new, name, getattr(self, name))
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return vh.linalg.cholesky(self.covariance_matrix)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor, diag = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        covariance = factor @ factor.mT + vh.diag_embed(diag)
        return covariance.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        factor, diag = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        weighted = factor.mT / diag.unsqueeze(-2)
        solved = vh.linalg.solve_triangular(self._capacitance_tril, weighted, upper=False)
        precision = vh.diag_embed(diag.reciprocal()) - solved.mT @ solved
        return precision.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The variance of each element."""
        squares = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return squares.expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        rank = self.cov_factor.shape[-1]
        small = vh.randn((*shape[:-1], rank), dtype=self.loc.dtype, device=self.loc.device)
        noise = vh.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        spread = (self._unbroadcasted_cov_factor @ small.unsqueeze(-1)).squeeze(-1)
        return self.loc + spread + self._unbroadcasted_cov_diag.sqrt() * noise

    def log_prob(self, value: Any) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        off = value - self.loc
        factor, diag = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        weighted = ((factor.mT / diag.unsqueeze(-2)) @ off.unsqueeze(-1)).squeeze(-1)
        distance = (off.pow(2) / diag).sum(-1) - squared_mahalanobis(self._capacitance_tril, weighted)
        return -0.5 * (self._event_shape[0] * _LOG_TAU + low_rank_log_det(self) + distance)

    def entropy(self) -> Tensor:
        entropy = 0.5 * (self._event_shape[0] * (1.0 + _LOG_TAU) + low_rank_log_det(self))
        return entropy.expand(self._batch_shape)


def squared_mahalanobis(factor: Any, off: Any) -> Any:
    """`off @ inverse(factor @ factor.mT) @ off` of vectors, for lower triangular factors; batches broadcast."""
    return vh.linalg.solve_triangular(factor, off.unsqueeze(-1), upper=False).squeeze(-1).pow(2).sum(-1)


def low_rank_log_det(law: LowRankMultivariateNormal) -> Any:
    """The logarithm of the determinant of the covariance, by the determinant lemma."""
    return 2 * _half_log_det(law._capacitance_tril) + law._unbroadcasted_cov_diag.log().sum(-1)


def _half_log_det(factor: Any) -> Any:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _capacitance_factor(factor: Any, diag: Any) -> Any:
    """The Cholesky factor of `I + W.mT @ inverse(D) @ W`."""
    inner = (factor.mT / diag.unsqueeze(-2)) @ factor
    return vh.linalg.cholesky(inner + vh.eye(factor.shape[-1], dtype=inner.dtype, device=inner.device))


def _factor_of_inverse(precision: Any) -> Any:
    """The lower Cholesky factor of the inverse, without forming that: factors of the matrix turned around."""
    turned = vh.linalg.cholesky(vh.flip(precision, (-2, -1)))
    upper = vh.flip(turned, (-2, -1)).mT
    unit = vh.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return vh.linalg.solve_triangular(upper, unit, upper=False)
