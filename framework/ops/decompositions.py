"""Matrix decompositions with derivatives: Cholesky, QR, eigenvalues, singular values, LU, and the matrix exponential.

Tensors are batches of matrices (*, M, N). The derivatives follow PyTorch's FunctionsManual.cpp and Townsend,
"Differentiating the singular value decomposition" (2016).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING, FROM_NUMPY
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.linalg import matmul, tril, triu
from framework.ops.scan import like
from framework.ops.shape import cat, diagonal, narrow, transpose, unsqueeze


class LinAlgError(RuntimeError):
    """A matrix has not the property that a decomposition or solution needs."""


class QR(NamedTuple):
    """A = Q R."""

    Q: Any
    R: Any


class Eigen(NamedTuple):
    """Eigenvalues, and eigenvectors in the columns of a matrix."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


def adjoint(matrix: Any) -> Any:
    """The conjugate transpose."""
    return e.conj(transpose(matrix, -1, -2))


def on_diagonal(values: Any) -> Any:
    """Square matrices with the values (*, N) on their diagonals."""
    identity = like(np.eye(values.shape[-1], dtype=bool), values)
    return e.where(identity, unsqueeze(values, -1), 0)


def check_matrix(name: str, A: Any, square: bool = False, argument: str = "A", half: bool = False) -> None:
    """RuntimeError for what is not a batch of (square) floating-point matrices."""
    if A.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if square and A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are "
            f"{A.shape[-2]} by {A.shape[-1]} matrices"
        )
    kind = getattr(A, "_data", A).dtype
    if CATEGORY[kind] < FLOATING or (kind.itemsize == 2 and not half):
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {FROM_NUMPY[kind].name}")


@contextmanager
def explained(name: str, problem: str) -> Iterator[None]:
    """NumPy's LinAlgError as ours, which is a RuntimeError and says which function failed and why."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {problem} ({error}).") from None


# -- Cholesky ----------------------------------------------------------------------------------------------------------


@op(method=False)
def _cholesky(xp: Any, input: Array, upper: bool) -> Array:
    """The triangular factor; only that triangle is read."""
    with explained("linalg.cholesky", "The factorization failed because the input is not positive-definite"):
        return adjoint(xp.linalg.cholesky(adjoint(input))) if upper else xp.linalg.cholesky(input)


@_cholesky.vjp("input")
def _(g: Any, out: Any, upper: Any) -> Any:
    from framework.ops.solvers import solve_triangular

    lower, g = (adjoint(out), adjoint(g)) if upper else (out, g)
    phi = _hermitian_from_lower(matmul(adjoint(lower), g))
    left = solve_triangular(adjoint(lower), phi, upper=True)
    return solve_triangular(lower, left, upper=False, left=False)


def _hermitian_from_lower(matrix: Any) -> Any:
    """Half the lower triangle, and half its mirror image above."""
    return e.mul(e.add(tril(matrix), adjoint(tril(matrix, -1))), 0.5)


@operation(autocast="cpu:float32")
def cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Any:
    """The triangular factor of a positive-definite matrix: A = L L^H (or U^H U with `upper`)."""
    check_matrix("linalg.cholesky", A, True)
    return _cholesky(A, upper) if out is None else _cholesky(A, upper, out=out)


# -- QR ----------------------------------------------------------------------------------------------------------------


@op(method=False)
def _qr(xp: Any, input: Array, mode: str) -> tuple[Array, Array]:
    """Orthonormal columns and an upper triangle."""
    if mode == "r":
        return xp.zeros(0, input.dtype), xp.linalg.qr(input, "r")
    Q, R = xp.linalg.qr(input, mode)
    return Q, R


@_qr.vjp("input")
def _(g: Any, out0: Any, out1: Any, mode: Any) -> Any:
    from framework.ops.solvers import solve_triangular

    gq, gr = g
    rows, columns = out0.shape[-2] if mode != "r" else 0, out1.shape[-1]
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'.")
    if mode == "complete" and rows > columns:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    if rows >= columns:
        inner = triu(e.sub(matmul(gr, adjoint(out1)), matmul(adjoint(out0), gq)))
        strict = triu(inner, 1)
        inner = e.add(e.add(strict, adjoint(strict)), on_diagonal(_full(e.real(diagonal(inner, 0, -2, -1)), inner)))
        return solve_triangular(adjoint(out1), e.add(matmul(out0, inner), gq), upper=False, left=False)
    inner = e.sub(matmul(adjoint(out0), gq), matmul(gr, adjoint(out1)))
    turned = tril(e.sub(inner, adjoint(inner)), -1)
    if _is_complex(inner):
        turned = e.add(turned, on_diagonal(e.mul(e.imag(diagonal(inner, 0, -2, -1)), 1j)))
    first = narrow(out1, -1, 0, rows)
    part = solve_triangular(adjoint(first), matmul(out0, turned), upper=False, left=False)
    rest = matmul(out0, gr)
    missing = like(np.zeros((*rest.shape[:-1], columns - rows), _kind(rest)), rest)
    return e.add(cat([part, missing], -1), rest)


@operation(autocast="cpu:float32")
def qr(A: Any, mode: str = "reduced") -> QR:
    """A = Q R with orthonormal columns in Q; `mode` "reduced", "complete" or "r" (no Q)."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced', 'r', or 'complete'")
    check_matrix("linalg.qr", A)
    return QR(*_qr(A, mode))


# -- eigenvalues -------------------------------------------------------------------------------------------------------


@op(method=False)
def _eigh(xp: Any, input: Array, UPLO: str) -> tuple[Array, Array]:
    """Eigenvalues in ascending order and eigenvectors of a Hermitian matrix."""
    with explained("linalg.eigh", "The algorithm failed to converge"):
        return tuple(xp.linalg.eigh(input, UPLO))


@_eigh.vjp("input")
def _(g: Any, out0: Any, out1: Any) -> Any:
    apart = e.sub(unsqueeze(out0, -2), unsqueeze(out0, -1))
    identity = like(np.eye(out0.shape[-1], dtype=bool), out0)
    turned = e.div(e.mul(_skew(matmul(adjoint(out1), g[1])), 0.5), e.where(identity, 1, apart))
    middle = e.where(identity, unsqueeze(_full(g[0], turned), -1), turned)
    return matmul(matmul(out1, middle), adjoint(out1))


@op(method=False)
def _eigvalsh(xp: Any, input: Array, UPLO: str) -> Array:
    """Eigenvalues of a Hermitian matrix."""
    with explained("linalg.eigvalsh", "The algorithm failed to converge"):
        return xp.linalg.eigvalsh(input, UPLO)


@_eigvalsh.vjp("input")
def _(g: Any, input: Any, UPLO: Any) -> Any:
    vectors = _eigh(input, UPLO)[1]
    return matmul(e.mul(vectors, unsqueeze(g, -2)), adjoint(vectors))


@operation(autocast="cpu:float32")
def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues in ascending order and orthonormal eigenvectors of a Hermitian matrix; only a triangle is read."""
    check_matrix("linalg.eigh", A, True)
    return Eigen(*_eigh(A, _triangle(UPLO)))


@operation(autocast="cpu:float32")
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a Hermitian matrix in ascending order."""
    check_matrix("linalg.eigvalsh", A, True)
    return _eigvalsh(A, _triangle(UPLO))


def _triangle(UPLO: str) -> str:
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@op(method=False)
def _eig(xp: Any, input: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors, always complex."""
    _refuse_nonfinite("linalg.eig", input)
    with explained("linalg.eig", "The algorithm failed to converge"):
        values, vectors = xp.linalg.eig(input)
    kind = FROM_NUMPY[input.dtype].to_complex().numpy_dtype
    return values.astype(kind), vectors.astype(kind)


@_eig.vjp("input")
def _(g: Any, out0: Any, out1: Any) -> Any:
    from framework.ops.solvers import solve

    turned = matmul(adjoint(out1), g[1])
    lengths = unsqueeze(e.real(diagonal(turned, 0, -2, -1)), -2)
    turned = e.sub(turned, e.mul(matmul(adjoint(out1), out1), lengths))
    apart = e.conj(e.sub(unsqueeze(out0, -2), unsqueeze(out0, -1)))
    identity = like(np.eye(out0.shape[-1], dtype=bool), out0)
    middle = e.where(identity, unsqueeze(g[0], -1), e.div(turned, e.where(identity, 1, apart)))
    return solve(adjoint(out1), matmul(middle, adjoint(out1)))


@op(method=False)
def _eigvals(xp: Any, input: Array) -> Array:
    """Eigenvalues, always complex."""
    _refuse_nonfinite("linalg.eigvals", input)
    with explained("linalg.eigvals", "The algorithm failed to converge"):
        return xp.linalg.eigvals(input).astype(FROM_NUMPY[input.dtype].to_complex().numpy_dtype)


@_eigvals.vjp("input")
def _(g: Any, input: Any) -> Any:
    from framework.ops.solvers import solve

    vectors = _eig(input)[1]
    return solve(adjoint(vectors), e.mul(unsqueeze(g, -1), adjoint(vectors)))


@operation(autocast="cpu:float32")
def eig(A: Any) -> Eigen:
    """Complex eigenvalues and eigenvectors of a square matrix."""
    check_matrix("linalg.eig", A, True)
    return Eigen(*_eig(A))


@operation(autocast="cpu:float32")
def eigvals(A: Any) -> Any:
    """Complex eigenvalues of a square matrix."""
    check_matrix("linalg.eigvals", A, True)
    return _eigvals(A)


def _refuse_nonfinite(name: str, array: Any) -> None:
    if array.size and not np.isfinite(array).all():
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")


# -- singular values ---------------------------------------------------------------------------------------------------


@op(method=False)
def _svd(xp: Any, input: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
    """Left vectors, singular values in descending order, and the adjoint of the right vectors."""
    with explained("linalg.svd", "The algorithm failed to converge"):
        return tuple(xp.linalg.svd(input, full_matrices=full_matrices))


@_svd.vjp("input")
def _(g: Any, out0: Any, out1: Any, out2: Any) -> Any:
    rows, columns, rank = out0.shape[-2], out2.shape[-1], out1.shape[-1]
    U, Vh = narrow(out0, -1, 0, rank), narrow(out2, -2, 0, rank)
    gu, gs, gvh = narrow(g[0], -1, 0, rank), g[1], narrow(g[2], -2, 0, rank)
    identity = like(np.eye(rank, dtype=bool), out1)
    across, down = unsqueeze(out1, -2), unsqueeze(out1, -1)
    gap = e.where(identity, 1, e.mul(e.sub(across, down), e.add(across, down)))
    left, right = _skew(matmul(adjoint(U), gu)), _skew(matmul(Vh, adjoint(gvh)))
    middle = e.add(e.mul(e.div(left, gap), across), e.mul(e.div(right, gap), down))
    on = _full(gs, middle)
    if _is_complex(left):
        on = e.add(on, e.div(diagonal(left, 0, -2, -1), e.mul(out1, 2)))
    middle = e.where(identity, unsqueeze(on, -1), middle)
    result = matmul(U, middle)
    if rows > rank:
        scaled = e.div(gu, across)
        result = e.add(result, e.sub(scaled, matmul(U, matmul(adjoint(U), scaled))))
    result = matmul(result, Vh)
    if columns > rank:
        scaled = e.div(gvh, down)
        result = e.add(result, matmul(U, e.sub(scaled, matmul(matmul(scaled, adjoint(Vh)), Vh))))
    return result


@op(method=False)
def _svdvals(xp: Any, input: Array) -> Array:
    """Singular values in descending order."""
    with explained("linalg.svdvals", "The algorithm failed to converge"):
        return xp.linalg.svd(input, compute_uv=False)


@_svdvals.vjp("input")
def _(g: Any, input: Any) -> Any:
    U, _, Vh = _svd(input, False)
    return matmul(e.mul(U, unsqueeze(g, -2)), Vh)


@operation(autocast="cpu:float32")
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """A = U diag(S) Vh, S in descending order; reduced to min(M, N) vectors without `full_matrices`."""
    check_matrix("linalg.svd", A)
    if driver is not None:
        raise RuntimeError("linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER")
    return SVD(*_svd(A, full_matrices))


@operation(autocast="cpu:float32")
def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """Singular values in descending order."""
    check_matrix("linalg.svdvals", A)
    return _svdvals(A)


def _skew(matrix: Any) -> Any:
    return e.sub(matrix, adjoint(matrix))


# -- the matrix exponential --------------------------------------------------------------------------------------------


@op(method=False, wide=True)
def _matrix_exp(xp: Any, input: Array) -> Array:
    """The exponential of square matrices."""
    import scipy.linalg

    wide = np.complex128 if input.dtype.kind == "c" else np.float64  # squaring doubles the error each time
    return scipy.linalg.expm(input.astype(wide)).astype(input.dtype) if input.size else input.copy()


@_matrix_exp.vjp("input")
def _(g: Any, input: Any) -> Any:
    # the derivative stands in the corner of the exponential of a block matrix (Mathias 1996)
    size = input.shape[-1]
    corner = adjoint(input)
    top = cat([corner, g], -1)
    bottom = cat([0 * g, corner], -1)
    return narrow(narrow(_matrix_exp(cat([top, bottom], -2)), -2, 0, size), -1, size, size)


def matrix_exp(A: Any) -> Any:
    """The sum of `A**k / k!` over all k, for square matrices."""
    check_matrix("linalg.matrix_exp", A, True, half=True)
    return _matrix_exp(A)


def _full(values: Any, matrix: Any) -> Any:
    """Real values in the type of a matrix, which may be complex."""
    kind = _kind(matrix)
    return values if _kind(values) == kind else e.to_dtype(values, kind)


def _is_complex(value: Any) -> bool:
    return bool(_kind(value).kind == "c")


def _kind(value: Any) -> Any:
    return getattr(value, "_data", value).dtype
