"""The extension `linalg`, and the products that the main namespace has too."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.array_api.dtypes import meet, tensor_of
from framework.array_api.statistics import _over
from framework.array_api.statistics import sum as _sum
from framework.core.dtype import DType
from framework.core.tensor import Tensor
from framework.ops import decompositions, matrices, norms, shape, solvers
from framework.ops import linalg as products
from framework.ops.decompositions import QR, SVD, Eigen
from framework.ops.solvers import SlogDet


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The triangular factor of positive-definite matrices."""
    return decompositions.cholesky(tensor_of(x), upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three along an axis, which counts after broadcasting from the end."""
    a, b = meet(x1, x2)
    if not -min(a.ndim, b.ndim) <= axis < max(a.ndim, b.ndim):
        raise IndexError(f"cross: axis {axis} is out of range for {a.ndim} and {b.ndim} dimensions")
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"cross: both must have length 3 along axis {axis}, got {a.shape[axis]} and {b.shape[axis]}")
    return matrices.cross(a, b, axis)


def det(x: Tensor, /) -> Tensor:
    """The determinants of square matrices."""
    return solvers.det(tensor_of(x))


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices."""
    return shape.diagonal(tensor_of(x), offset, -2, -1)


def eigh(x: Tensor, /) -> Eigen:
    """Eigenvalues in ascending order, and eigenvectors, of Hermitian matrices."""
    return decompositions.eigh(tensor_of(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of Hermitian matrices in ascending order."""
    return decompositions.eigvalsh(tensor_of(x))


def inv(x: Tensor, /) -> Tensor:
    """The inverses of square matrices."""
    return solvers.inv(tensor_of(x))


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The matrix product of the last two axes, or with vectors."""
    a, b = meet(tensor_of(x1), tensor_of(x2))
    if not a.ndim or not b.ndim:
        raise ValueError("matmul: zero-dimensional arrays have no matrix product: use multiply")
    try:
        return products.matmul(a, b)
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """A norm of matrices: "fro", "nuc", or 1, 2, infinity and their negatives."""
    return norms.matrix_norm(tensor_of(x), ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """Square matrices multiplied by themselves `n` times."""
    return matrices.matrix_power(tensor_of(x), n)


def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """How many singular values are larger than `rtol` times the largest."""
    return matrices.matrix_rank(tensor_of(x), rtol=rtol)


def matrix_transpose(x: Tensor, /) -> Tensor:
    """With the last two axes exchanged."""
    if tensor_of(x).ndim < 2:
        raise ValueError(f"matrix_transpose: two dimensions or more are needed, got {x.ndim}")
    return shape.transpose(x, -1, -2)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """All products of an element of one vector and one of the other."""
    return products.outer(*meet(tensor_of(x1), tensor_of(x2)))


def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The Moore-Penrose inverses; singular values up to `rtol` times the largest count as zero."""
    return matrices.pinv(tensor_of(x), rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> QR:
    """Orthonormal columns and a triangular factor; mode "reduced" or "complete"."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is 'reduced' or 'complete', not {mode!r}")
    return decompositions.qr(tensor_of(x), mode)


def slogdet(x: Tensor, /) -> SlogDet:
    """The sign of the determinant and the logarithm of its magnitude."""
    return solvers.slogdet(tensor_of(x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """X with `x1 @ X = x2`; `x2` is a vector only when it has exactly one dimension."""
    a, b = meet(tensor_of(x1), tensor_of(x2))
    if b.ndim == 1:
        column = shape.expand(shape.unsqueeze(b, -1), (*a.shape[:-1], 1))
        return shape.squeeze(solvers.solve(a, column), (-1,))
    batch = shape.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return solvers.solve(shape.expand(a, (*batch, *a.shape[-2:])), shape.expand(b, (*batch, *b.shape[-2:])))


def svd(x: Tensor, /, *, full_matrices: bool = True) -> SVD:
    """The singular value decomposition U, S, Vh."""
    return decompositions.svd(tensor_of(x), full_matrices)


def svdvals(x: Tensor, /) -> Tensor:
    """The singular values in descending order."""
    return decompositions.svdvals(tensor_of(x))


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """Sums of products over the last `axes` axes of the first and the first of the second, or over two lists."""
    a, b = meet(tensor_of(x1), tensor_of(x2))
    pairs = [(a.ndim - axes + n, n) for n in range(axes)] if isinstance(axes, int) else list(zip(*axes))
    for over_a, over_b in pairs:
        if a.shape[over_a] != b.shape[over_b]:
            raise ValueError(f"tensordot: axes of lengths {a.shape[over_a]} and {b.shape[over_b]} do not contract")
    return matrices.tensordot(a, b, axes)


def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    """The sums of the diagonals of matrices."""
    return _sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sum of `conj(x1) * x2` along an axis, counted from the end."""
    a, b = meet(tensor_of(x1), tensor_of(x2))
    if axis >= 0 or axis < -min(a.ndim, b.ndim):
        raise ValueError(f"vecdot: axis {axis} must be in [{-min(a.ndim, b.ndim)}, -1]")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: the vectors have lengths {a.shape[axis]} and {b.shape[axis]}")
    if not np.issubdtype(a._data.dtype, np.integer):
        return matrices.vecdot(a, b, dim=axis)
    return matrices.vecdot(a, b, dim=axis).to(a.dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of vectors along axes (of all elements when None)."""
    return _over(lambda x, dims, keep: norms.vector_norm(x, ord, dims, keep), x, axis, keepdims)


__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
