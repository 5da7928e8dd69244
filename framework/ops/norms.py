"""Norms of vectors and matrices."""

import math
from typing import Any

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING, as_dtype
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.reduce import _axes, _restore, amax, amin
from framework.ops.reduce import sum as sum_

Dims = int | tuple[int, ...] | list[int] | None


@operation(autocast="cuda:float32")
def vector_norm(
    x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """`sum(|x|**ord) ** (1/ord)` over `dim`: the largest (smallest) magnitude for (minus) infinity, a count for 0."""
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"linalg.vector_norm: Expected ord to be a number, got {type(ord).__name__}")
    if dtype is not None:
        wanted = as_dtype(dtype)
        if wanted.is_complex != x.is_complex() or wanted.category < FLOATING:
            raise RuntimeError(
                f"linalg.vector_norm expected a {'complex' if x.is_complex() else 'floating'} dtype, got {wanted.name}"
            )
        x = e.to_dtype(x, dtype)
    if CATEGORY[_kind(x)] < FLOATING:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype.name}"
        )
    dims = () if dim is None else dim
    if abs(ord) == math.inf:
        _refuse_empty(x, dim, ord)
        result = (amax if ord > 0 else amin)(e.abs(x), dims, keepdim)
    else:
        if ord < 0:
            _refuse_empty(x, dim, ord)
        result = _vector_norm(x, float(ord), dims, keepdim)
    return result if out is None else out.copy_(result)


@op(method=False, wide=True)
def _vector_norm(xp: Any, input: Array, ord: float, dim: Dims, keepdim: bool) -> Array:
    """The norm of a finite order; its gradient where a vector is zero is zero."""
    axis = _axes(dim, input.ndim)
    if ord == 0.0:
        return xp.asarray((input != 0).sum(axis, keepdims=keepdim)).astype(input.real.dtype)
    if ord == 2.0:
        return xp.sqrt((xp.abs(input) ** 2).sum(axis, keepdims=keepdim))
    if ord == 1.0:
        return xp.abs(input).sum(axis, keepdims=keepdim)
    return (xp.abs(input) ** ord).sum(axis, keepdims=keepdim) ** (1 / ord)


@_vector_norm.vjp("input")
def _(g: Any, input: Any, out: Any, ord: Any, dim: Any, keepdim: Any) -> Any:
    g = _restore(g, dim, keepdim, input.ndim)
    if ord == 0.0:
        return e.mul(input, 0 * g)
    if ord == 1.0:
        return e.mul(g, e.sgn(input))
    length = _restore(out, dim, keepdim, input.ndim)
    zero = e.eq(length, 0)
    safe = e.where(zero, 1, length)
    scale = e.where(zero, 0 * length, e.div(g, safe if ord == 2.0 else e.pow(safe, ord - 1)))
    if ord == 2.0:
        return e.mul(input, scale)
    size = e.abs(input)
    if ord > 2:
        return e.mul(e.mul(input, e.pow(size, ord - 2)), scale)
    none = e.eq(size, 0)
    slope = e.where(none, 0 * size, e.pow(e.where(none, 1, size), ord - 1))
    return e.mul(e.mul(e.sgn(input), slope), scale)


@operation(autocast="cuda:float32")
def matrix_norm(
    A: Any, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of matrices: "fro", "nuc", or 1, 2, infinity and their negatives."""
    from framework.ops.decompositions import svdvals
    from framework.ops.shape import movedim

    if A.ndim < 2:
        raise RuntimeError(f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions, got {A.ndim}")
    if CATEGORY[_kind(A)] < FLOATING:
        raise RuntimeError(f"linalg.matrix_norm: Expected a floating point or complex tensor, got {A.dtype.name}")
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    if dtype is not None:
        A = e.to_dtype(A, dtype)
    rows, columns = (check_dim(each, A.ndim) for each in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got {dim}")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        values = svdvals(movedim(A, (rows, columns), (-2, -1)))
        result = sum_(values, -1) if ord == "nuc" else (amax if ord == 2 else amin)(values, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        summed = rows if abs(ord) == 1 else columns
        sums = vector_norm(A, 1, summed, True)
        result = (amax if ord > 0 else amin)(sums, (rows, columns))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        shape = [1 if axis in (rows, columns) else length for axis, length in enumerate(A.shape)]
        return result.reshape(shape)
    return result


@operation(autocast="cuda:float32")
def norm(
    input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False, out: Any = None, dtype: Any = None
) -> Any:
    """`torch.norm`: the vector norm of order `p` (2 for "fro") over `dim`; "nuc" is the nuclear norm of matrices."""
    if p == "nuc":
        pair = (0, 1) if dim is None else tuple(dim)  # type: ignore[arg-type]
        return matrix_norm(input, "nuc", pair, keepdim, dtype=dtype)
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype, out=out)


def linalg_norm(
    A: Any, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """`linalg.norm`: of vectors for one dimension (or no order), of matrices for two."""
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if ord is not None and dim is None and A.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If ord is given without dim, the input must be 1D or 2D, got {A.ndim}D")
    pair = dim is not None and not isinstance(dim, int) and len(dim) == 2
    if ord is not None and (pair or (dim is None and A.ndim == 2)):
        result = matrix_norm(A, ord, tuple(dim) if pair else (0, 1), keepdim, dtype=dtype)  # type: ignore[arg-type]
    elif isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} is for matrices, the input has one dimension")
    else:
        result = vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    return result if out is None else out.copy_(result)


def _kind(value: Any) -> Any:
    return getattr(value, "_data", value).dtype


def _refuse_empty(x: Any, dim: Dims, ord: float) -> None:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    if x.ndim and not all(x.shape[each] for each in dims):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have "
            "an identity"
        )
