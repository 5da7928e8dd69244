"""Decompositions under the older names `torch.svd`, `torch.qr`, `torch.lu` and so on, which order things otherwise."""

from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.ops import decompositions, solvers
from framework.ops import elementwise as e
from framework.ops.decompositions import adjoint, check_matrix
from framework.ops.linalg import matmul
from framework.ops.reduce import mean
from framework.ops.scan import like


class SVD(NamedTuple):
    """A = U diag(S) V^H."""

    U: Any
    S: Any
    V: Any


@operation(autocast="cpu:float32")
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """A = U diag(S) V^H; zeros for U and V without `compute_uv`. `linalg.svd` returns V^H instead."""
    if not compute_uv:
        check_matrix("svd", input)
        rows, columns = input.shape[-2:]
        batch, kind = input.shape[:-2], input._data.dtype
        return SVD(
            like(np.zeros((*batch, rows, rows), kind), input),
            decompositions.svdvals(input),
            like(np.zeros((*batch, columns, columns), kind), input),
        )
    U, S, Vh = decompositions.svd(input, not some)
    return SVD(U, S, adjoint(Vh))


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> SVD:
    """The `q` largest singular values of A - M and their vectors, by random projection (Halko et al. 2009)."""
    from framework.ops.random import randn

    rank, turns = 6 if q is None else q, 2 if niter is None else niter
    source = A if M is None else e.sub(A, M)
    wide = source.shape[-2] < source.shape[-1]
    source = adjoint(source) if wide else source
    found = matmul(source, randn(source.shape[-1], rank, dtype=source.dtype, device=source.device))
    basis = decompositions.qr(found).Q
    for _ in range(turns):
        basis = decompositions.qr(matmul(adjoint(source), basis)).Q
        basis = decompositions.qr(matmul(source, basis)).Q
    U, S, Vh = decompositions.svd(matmul(adjoint(basis), source), False)
    U, V = matmul(basis, U), adjoint(Vh)
    return SVD(V, S, U) if wide else SVD(U, S, V)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> SVD:
    """Principal components of samples in rows (*, m, n): `svd_lowrank` of A less the mean of its rows.

    The columns of V are the directions, S**2 / (m - 1) their variances; `q` is at most min(m, n), 6 if that is more.
    """
    least = min(A.shape[-2:])
    rank = min(6, least) if q is None else q
    if not 0 <= rank <= least:
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={least}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(e.sub(A, mean(A, -2, True)) if center else A, rank, niter)


@operation(autocast="cpu:float32")
def qr(input: Any, some: bool = True) -> decompositions.QR:
    """A = Q R, reduced with `some`."""
    return decompositions.qr(input, "reduced" if some else "complete")


@operation(autocast="cpu:float32")
def cholesky(input: Any, upper: bool = False) -> Any:
    """The triangular factor of a positive-definite matrix."""
    return decompositions.cholesky(input, upper=upper)


@operation()
def lu(A: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots) as `linalg.lu_factor`, and the infos of `linalg.lu_factor_ex` on demand."""
    return solvers.lu_factor_ex(A, pivot=pivot) if get_infos else solvers.lu_factor(A, pivot=pivot)


@operation(autocast="cpu:float32")
def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """X with A X = b, from the factors of A."""
    return solvers.lu_solve(LU_data, LU_pivots, b)
