"""LDL: the factors of symmetric matrices that need not be positive-definite (Bunch and Kaufman 1977)."""

from typing import Any, NamedTuple

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.ops.decompositions import LinAlgError, check_matrix
from framework.ops.scan import like


class LDLFactors(NamedTuple):
    """L and D in one matrix, and LAPACK's record of exchanges and two-by-two blocks."""

    LD: Any
    pivots: Any


@op(method=False)
def _ldl_factor(xp: Any, input: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """L and D in one matrix, the exchanges, and where a block of D is zero."""
    from scipy.linalg import get_lapack_funcs

    name = "hetrf" if hermitian and input.dtype.kind == "c" else "sytrf"
    (factor,) = get_lapack_funcs((name,), (input,))
    packed = np.tril(input)
    exchanges = np.zeros(input.shape[:-1], np.int32)
    info = np.zeros(input.shape[:-2], np.int32)
    for place in np.ndindex(*input.shape[:-2]):
        if packed[place].size:
            packed[place], exchanges[place], info[place] = factor(packed[place], lower=True)
    return packed, exchanges, info


def ldl_factor(A: Any, *, hermitian: bool = False) -> LDLFactors:
    """L and D of A = L D L^T (L^H when `hermitian`), of which the lower triangle is read."""
    return LDLFactors(*ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2])


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """`ldl_factor`, and for each matrix 0, or the number of the first zero block of D."""
    check_matrix("linalg.ldl_factor_ex", A, True)
    LD, pivots, info = _ldl_factor(A, hermitian)
    if check_errors and info._data.any():
        raise LinAlgError("linalg.ldl_factor: D is exactly singular, using it to solve would divide by zero")
    return LD, pivots, info


@operation()
def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """X with A X = B, from `ldl_factor(A)`."""
    from scipy.linalg import get_lapack_funcs

    check_matrix("linalg.ldl_solve", LD, True, "LD")
    check_matrix("linalg.ldl_solve", B, argument="B")
    packed, right, exchanges = LD._data, B._data, pivots._data
    batch = np.broadcast_shapes(packed.shape[:-2], right.shape[:-2])
    packed = np.broadcast_to(packed, (*batch, *packed.shape[-2:]))
    exchanges = np.broadcast_to(exchanges, (*batch, exchanges.shape[-1]))
    result = np.array(np.broadcast_to(right, (*batch, *right.shape[-2:])), order="C")
    name = "hetrs" if hermitian and packed.dtype.kind == "c" else "sytrs"
    (solve,) = get_lapack_funcs((name,), (packed, result))
    for place in np.ndindex(*batch):
        if result[place].size:
            result[place], _ = solve(packed[place], exchanges[place], result[place], lower=True)
    return like(result, B)
