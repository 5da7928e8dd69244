"""Linear systems: solutions, inverses, determinants, LU factors, least squares."""

from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.decompositions import LinAlgError, adjoint, check_matrix, cholesky, explained
from framework.ops.decompositions import _svd as svd_
from framework.ops.linalg import matmul, tril, triu
from framework.ops.reduce import prod
from framework.ops.scan import like
from framework.ops.shape import cat, expand, narrow, squeeze, transpose, unsqueeze


class SlogDet(NamedTuple):
    """The sign of the determinant (a point on the unit circle) and the logarithm of its magnitude."""

    sign: Any
    logabsdet: Any


class LUFactors(NamedTuple):
    """Both triangles in one matrix, and the row with which each was exchanged (counted from 1)."""

    LU: Any
    pivots: Any


class PLU(NamedTuple):
    """A = P L U."""

    P: Any
    L: Any
    U: Any


class LeastSquares(NamedTuple):
    """The solution and what the driver knows about it; empty tensors for what it does not."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


class Checked(NamedTuple):
    """A result, and 0 or a number that says where the computation failed."""

    result: Any
    info: Any


@op(method=False)
def _inv(xp: Any, input: Array) -> Array:
    """The inverse."""
    with explained("linalg.inv", "The inversion could not be completed because the input matrix is singular"):
        return xp.linalg.inv(input)


@_inv.vjp("input")
def _(g: Any, out: Any) -> Any:
    turned = adjoint(out)
    return e.neg(matmul(turned, matmul(g, turned)))


@operation(autocast="cpu:float32")
def inv(A: Any, *, out: Any = None) -> Any:
    """The inverse of square matrices; LinAlgError where one is singular."""
    check_matrix("linalg.inv", A, True)
    return _inv(A) if out is None else _inv(A, out=out)


@operation(autocast="cpu:float32")
def inv_ex(A: Any, *, check_errors: bool = False) -> Checked:
    """The inverse, and 0 (or, for a singular matrix, 1) for each matrix in place of an error."""
    return _checked(lambda: inv(A), A, check_errors)


@operation(autocast="cpu:float32")
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Checked:
    """The Cholesky factor, and 0 (or, for a matrix that is not positive-definite, 1) in place of an error."""
    return _checked(lambda: cholesky(A, upper=upper), A, check_errors)


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Checked:
    """The solution, and 0 (or, for a singular matrix, 1) in place of an error."""
    return _checked(lambda: solve(A, B, left=left), A, check_errors)


def _checked(compute: Any, A: Any, check_errors: bool) -> Checked:
    info = np.zeros(A.shape[:-2], np.int32)
    try:
        return Checked(compute(), like(info, A))
    except LinAlgError:
        if check_errors:
            raise
        return Checked(e.mul(A, float("nan")), like(info + 1, A))


@op(method=False)
def _solve(xp: Any, A: Array, B: Array) -> Array:
    """X with A X = B, for batches that already have the same shape."""
    with explained("linalg.solve", "The solver failed because the input matrix is singular"):
        return xp.linalg.solve(A, B)


@_solve.vjp()
def _(g: Any, A: Any, out: Any, needs: Any) -> Any:
    gb = _solve(adjoint(A), g)
    return (e.neg(matmul(gb, adjoint(out))) if needs[0] else None), gb


@operation(autocast="cpu:float32")
def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Any:
    """X with A X = B (X A = B without `left`); B is a batch of matrices, or of vectors where its shape says so."""
    check_matrix("linalg.solve", A, True)
    _same_type("linalg.solve", A, B)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    right = unsqueeze(B, -1) if vector else B
    if not left and not vector:
        return transpose(solve(transpose(A, -1, -2), transpose(B, -1, -2)), -1, -2)
    if right.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({A.shape[-2]}x{A.shape[-1]} and "
            f"{right.shape[-2]}x{right.shape[-1]})"
        )
    A, right = _batched(A, right)
    result = _solve(A, right)
    result = squeeze(result, -1) if vector else result
    return result if out is None else out.copy_(result)


@op(method=False)
def _solve_triangular(xp: Any, A: Array, B: Array, upper: bool, unitriangular: bool) -> Array:
    """X with A X = B, of A only a triangle being read."""
    import scipy.linalg

    if not B.size:
        return B.copy()
    result = np.empty_like(B, order="C")
    for place in np.ndindex(*B.shape[:-2]):
        try:
            result[place] = scipy.linalg.solve_triangular(
                A[place], B[place], lower=not upper, unit_diagonal=unitriangular, check_finite=False
            )
        except np.linalg.LinAlgError:  # a zero on the diagonal: infinities, as torch gives
            result[place] = np.inf
    return result


@_solve_triangular.vjp()
def _(g: Any, A: Any, out: Any, needs: Any, upper: Any, unitriangular: Any) -> Any:
    gb = _solve_triangular(adjoint(A), g, not upper, unitriangular)
    if not needs[0]:
        return None, gb
    whole = e.neg(matmul(gb, adjoint(out)))
    return (triu(whole, int(unitriangular)) if upper else tril(whole, -int(unitriangular))), gb


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
) -> Any:
    """X with A X = B (X A = B without `left`) for triangular A; the other triangle is not read."""
    if isinstance(A, Tensor):
        check_matrix("linalg.solve_triangular", A, True)
        check_matrix("linalg.solve_triangular", B, argument="B")
        _same_type("linalg.solve_triangular", A, B)
        if A.shape[-1] != B.shape[-2 if left else -1]:
            raise RuntimeError(
                f"linalg.solve_triangular: Incompatible shapes of A and B ({A.shape[-2]}x{A.shape[-1]} and "
                f"{B.shape[-2]}x{B.shape[-1]})"
            )
    if not left:
        turned = _solve_triangular(*_batched(transpose(A, -1, -2), transpose(B, -1, -2)), not upper, unitriangular)
        result = transpose(turned, -1, -2)
    else:
        result = _solve_triangular(*_batched(A, B), upper, unitriangular)
    return result if out is None else out.copy_(result)


@operation(autocast="cpu:float32")
def triangular_solve(b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """The older name of `solve_triangular`: (solution, A)."""
    if transpose:
        turned = A.transpose(-1, -2)
        return solve_triangular(turned, b, upper=not upper, unitriangular=unitriangular), A
    return solve_triangular(A, b, upper=upper, unitriangular=unitriangular), A


# -- determinants ------------------------------------------------------------------------------------------------------


@op
def det(xp: Any, input: Array) -> Array:
    """The determinant of square matrices."""
    check_matrix("linalg.det", input, True)
    return xp.asarray(xp.linalg.det(input))


@det.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    size = input.shape[-1]
    scale = e.mul(g, 1) if not size else g
    array = getattr(input, "_data", input)
    if array.size and (np.linalg.matrix_rank(array) < size).any():
        # no inverse: the matrix of cofactors from the singular values
        U, S, Vh = svd_(input, False)
        others = e.where(like(np.eye(size, dtype=bool), S), 1, unsqueeze(S, -2))
        turn = e.mul(scale, e.conj(e.mul(det(U), det(Vh))))
        middle = e.mul(unsqueeze(turn, -1), prod(others, -1))
        return matmul(e.mul(U, unsqueeze(middle, -2)), Vh)
    scale = e.mul(scale, e.conj(out))
    return e.mul(unsqueeze(unsqueeze(scale, -1), -1), adjoint(_inv(input)))


@op(method=False)
def _slogdet(xp: Any, input: Array) -> tuple[Array, Array]:
    """The sign of the determinant and the logarithm of its magnitude."""
    sign, logarithm = xp.linalg.slogdet(input)
    return xp.asarray(sign), xp.asarray(logarithm)


@_slogdet.vjp("input")
def _(g: Any, input: Any, out0: Any) -> Any:
    scale = g[1]
    if getattr(input, "_data", input).dtype.kind == "c":
        scale = e.sub(scale, e.mul(e.imag(e.mul(e.conj(g[0]), out0)), 1j))
    return e.mul(unsqueeze(unsqueeze(scale, -1), -1), adjoint(_inv(input)))


def slogdet(A: Any) -> SlogDet:
    """The sign of the determinant and the logarithm of its magnitude."""
    check_matrix("linalg.slogdet", A, True)
    return SlogDet(*_slogdet(A))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant; NaN where that of a real matrix is negative."""
    sign, logarithm = slogdet(input)
    if input.is_complex():
        return e.add(e.log(sign), logarithm)
    return e.where(e.eq(sign, -1), float("nan"), logarithm)


# -- LU ----------------------------------------------------------------------------------------------------------------


@op(method=False)
def _lu_factor(xp: Any, input: Array) -> tuple[Array, Array]:
    """Both triangles in one matrix, and the exchanges of rows."""
    from scipy.linalg import get_lapack_funcs

    (factor,) = get_lapack_funcs(("getrf",), (input,))
    packed = np.array(input, order="C")
    exchanges = np.zeros((*input.shape[:-2], min(input.shape[-2:])), np.int32)
    for place in np.ndindex(*input.shape[:-2]):
        if packed[place].size:
            packed[place], swaps, _ = factor(packed[place])
            exchanges[place] = swaps + 1
    return packed, exchanges


@_lu_factor.vjp("input")
def _(g: Any, out0: Any, out1: Any) -> Any:
    rows, columns = out0.shape[-2:]
    rank = min(rows, columns)
    packed_g = g[0]
    core, core_g = (narrow(narrow(each, -2, 0, rank), -1, 0, rank) for each in (out0, packed_g))
    lower, upper = tril(core, -1), triu(core)
    below = matmul(adjoint(_unit(lower)), tril(core_g, -1))
    above = matmul(triu(core_g), adjoint(upper))
    if columns > rows:
        side, side_g = (narrow(each, -1, rank, columns - rank) for each in (out0, packed_g))
        below = e.sub(below, matmul(side_g, adjoint(side)))
    if rows > columns:
        foot, foot_g = (narrow(each, -2, rank, rows - rank) for each in (out0, packed_g))
        above = e.sub(above, matmul(adjoint(foot), foot_g))
    inner = e.add(tril(below, -1), triu(above))
    turned = _solve_triangular(adjoint(lower), inner, True, True)
    result = solve_triangular(adjoint(upper), turned, upper=False, left=False)
    if columns > rows:
        result = cat([result, _solve_triangular(adjoint(lower), side_g, True, True)], -1)
    if rows > columns:
        result = cat([result, solve_triangular(adjoint(upper), foot_g, upper=False, left=False)], -2)
    return matmul(_permutation(out1, rows, result), result)


def _unit(lower: Any) -> Any:
    """A strict lower triangle with ones on the diagonal."""
    identity = np.eye(lower.shape[-2], lower.shape[-1], dtype=bool)
    return e.where(like(identity, lower), 1, lower)


def _permutation(pivots: Any, rows: int, like_: Any) -> Any:
    """P of A = P L U, from the exchanges of rows."""
    exchanges = getattr(pivots, "_data", pivots)
    kind = getattr(like_, "_data", like_).dtype
    result = np.zeros((*exchanges.shape[:-1], rows, rows), kind)
    for place in np.ndindex(*exchanges.shape[:-1]):
        order = np.arange(rows)
        for row, other in enumerate(exchanges[place] - 1):
            order[[row, other]] = order[[other, row]]
        result[place][order, np.arange(rows)] = 1
    return like(result, like_)


def lu_factor(A: Any, *, pivot: bool = True) -> LUFactors:
    """P L U of a matrix, L and U in one, with exchanges of rows in place of P."""
    check_matrix("linalg.lu_factor", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return LUFactors(*_lu_factor(A))


@operation()
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """`lu_factor`, and for each matrix 0, or the number of the first zero on the diagonal of U."""
    factors = lu_factor(A, pivot=pivot)
    corner = factors.LU.detach()._data.diagonal(axis1=-2, axis2=-1) == 0
    info = np.where(corner.any(-1), corner.argmax(-1) + 1, 0) if corner.shape[-1] else np.zeros(A.shape[:-2])
    if check_errors and info.any():
        raise LinAlgError(
            f"linalg.lu_factor: U[{int(info.max())},{int(info.max())}] is zero and using it would divide by 0"
        )
    return (*factors, like(np.asarray(info, np.int32), A))


@operation()
def lu(A: Any, *, pivot: bool = True) -> PLU:
    """A = P L U: a permutation, a unit lower and an upper triangle."""
    return lu_unpack(*lu_factor(A, pivot=pivot))


@operation()
def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """P, L and U from what `lu_factor` returned; empty tensors for what is not wanted."""
    rows, columns = LU_data.shape[-2:]
    rank = min(rows, columns)
    none = like(np.zeros(0, LU_data._data.dtype), LU_data)
    P = _permutation(LU_pivots, rows, LU_data.detach()) if unpack_pivots else none
    if not unpack_data:
        return PLU(P, none, none)
    return PLU(P, _unit(tril(narrow(LU_data, -1, 0, rank), -1)), triu(narrow(LU_data, -2, 0, rank)))


@operation()
def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """X with A X = B (X A = B without `left`; A^H with `adjoint`), from `lu_factor(A)`."""
    if LU.shape[-1] != B.shape[-2 if left else -1]:
        raise RuntimeError(f"linalg.lu_solve: Incompatible shapes of A and B ({list(LU.shape)} and {list(B.shape)})")
    if not left:
        return _adjoint(lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint))
    P = _permutation(pivots, LU.shape[-1], LU.detach())
    if adjoint:
        inner = solve_triangular(_adjoint(LU), B, upper=False)
        return matmul(P, solve_triangular(_adjoint(LU), inner, upper=True, unitriangular=True))
    inner = solve_triangular(LU, matmul(transpose(P, -1, -2), B), upper=False, unitriangular=True)
    return solve_triangular(LU, inner, upper=True)


_adjoint = adjoint  # where a parameter has that name


@op(autocast="cpu:float32")
def cholesky_solve(xp: Any, input: Array, L: Array, upper: bool = False) -> Array:
    """X with A X = input, from the Cholesky factor of A."""
    lower = adjoint(L) if upper else L
    return solve_triangular(adjoint(lower), solve_triangular(lower, input, upper=False), upper=True)


@cholesky_solve.vjp()
def _(g: Any, L: Any, out: Any, upper: Any, needs: Any) -> Any:
    gb = cholesky_solve(g, L, upper)
    if not needs[1]:
        return gb, None
    common = matmul(gb, adjoint(out))
    return gb, _through_factor(e.add(common, adjoint(common)), L, upper)


@op(autocast="cpu:float32")
def cholesky_inverse(xp: Any, input: Array, upper: bool = False) -> Array:
    """The inverse of A, from its Cholesky factor."""
    check_matrix("cholesky_inverse", input, True)
    half = xp.linalg.inv(triu(input) if upper else tril(input))
    return matmul(half, adjoint(half)) if upper else matmul(adjoint(half), half)


@cholesky_inverse.vjp("input")
def _(g: Any, input: Any, out: Any, upper: Any) -> Any:
    return _through_factor(matmul(matmul(out, e.add(g, adjoint(g))), out), input, upper)


def _through_factor(common: Any, factor: Any, upper: bool) -> Any:
    """The gradient of a Cholesky factor as a whole matrix, from that of A."""
    return e.neg(matmul(factor, common) if upper else matmul(common, factor))


def _batched(A: Any, B: Any) -> tuple[Any, Any]:
    """Both with the same batch dimensions."""
    if tuple(A.shape[:-2]) == tuple(B.shape[:-2]):
        return A, B
    try:
        batch = np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"The batch dimensions of A {list(A.shape[:-2])} and B {list(B.shape[:-2])} cannot be broadcast"
        ) from None
    return expand(A, (*batch, *A.shape[-2:])), expand(B, (*batch, *B.shape[-2:]))


def _same_type(name: str, A: Any, B: Any) -> None:
    kinds = [getattr(each, "_data", each).dtype for each in (A, B)]
    if kinds[0] != kinds[1]:
        raise RuntimeError(f"{name}: Expected A and B to have the same dtype, but found {kinds[0]} and {kinds[1]}")
