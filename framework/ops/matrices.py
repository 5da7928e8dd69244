"""What is composed of matrix products and decompositions: powers, pseudo-inverses, ranks, chains, tensor equations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.decompositions import adjoint, check_matrix, eigvalsh, svdvals
from framework.ops.linalg import matmul, tril
from framework.ops.norms import matrix_norm
from framework.ops.reduce import sum as sum_
from framework.ops.scan import like
from framework.ops.shape import (
    cat,
    expand,
    movedim,
    narrow,
    permute,
    reshape,
    roll,
    squeeze,
    unsqueeze,
)
from framework.ops.shape import diagonal as diagonal_
from framework.ops.solvers import LeastSquares, inv, solve


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of batches of matrices, as a view."""
    return diagonal_(A, offset, dim1, dim2)


def matrix_power(A: Any, n: int) -> Any:
    """The product of `n` copies of square matrices; of their inverses for negative `n`."""
    check_matrix("linalg.matrix_power", A, True)
    if n < 0:
        return matrix_power(inv(A), -n)
    result = None
    while n:
        if n & 1:
            result = A if result is None else matmul(result, A)
        n >>= 1
        if n:
            A = matmul(A, A)
    if result is None:
        return _constant(np.eye(A.shape[-1]), A)
    return result


@op(method=False)
def _pinv(xp: Any, input: Array, atol: Any, rtol: Any, hermitian: bool) -> Array:
    """The pseudo-inverse, small singular values taken as zero."""
    if not input.size:
        return xp.zeros((*input.shape[:-2], input.shape[-1], input.shape[-2]), input.dtype)
    if hermitian:
        values, vectors = xp.linalg.eigh(input)
        size, left, right = xp.abs(values), vectors, vectors.conj().swapaxes(-1, -2)
    else:
        left, values, right = xp.linalg.svd(input, full_matrices=False)
        size = values
    kept = size > _cutoff(size.max(-1, keepdims=True), atol, rtol)
    inverse = xp.where(kept, 1 / xp.where(kept, values, 1), 0)
    return (right.conj().swapaxes(-1, -2) * inverse[..., None, :]) @ left.conj().swapaxes(-1, -2)


@_pinv.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    # Golub and Pereyra 1973, arranged so that the smaller square is formed
    turned, out_h = adjoint(g), adjoint(out)
    if input.shape[-2] <= input.shape[-1]:
        inner = matmul(turned, out)
        outer = matmul(inner, out_h)
        result = e.sub(outer, adjoint(matmul(out, inner)))
        result = e.sub(result, matmul(matmul(input, out), outer))
        return e.add(result, matmul(matmul(out_h, out), e.sub(turned, matmul(inner, input))))
    inner = matmul(out, turned)
    outer = matmul(out_h, inner)
    result = e.sub(outer, adjoint(matmul(inner, out)))
    result = e.add(result, matmul(matmul(e.sub(turned, matmul(input, inner)), out), out_h))
    return e.sub(result, matmul(matmul(outer, out), input))


@operation(autocast="cpu:float32")
def pinv(A: Any, rcond: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """The Moore-Penrose inverse; singular values up to `max(atol, rtol * the largest)` count as zero."""
    check_matrix("linalg.pinv", A, hermitian)
    return _pinv(A, *_tolerances(A, atol, rcond if rtol is None else rtol), hermitian)


@operation(autocast="cpu:float32")
def matrix_rank(A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """How many singular values are larger than `max(atol, rtol * the largest)`."""
    check_matrix("linalg.matrix_rank", A, hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    values = e.abs(eigvalsh(A.detach())) if hermitian else svdvals(A.detach())
    if not A.shape[-1] or not A.shape[-2]:
        return like(np.zeros(A.shape[:-2], np.int64), A)
    size = values._data
    kept = size > _cutoff(size.max(-1, keepdims=True), *_tolerances(A, atol, rtol))
    return like(np.asarray(kept.sum(-1)), A)


def _tolerances(A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """As arrays with a dimension for the singular values; `rtol` is machine precision unless something is given."""
    chosen = [getattr(each, "_data", each) for each in (atol, rtol)]
    if chosen[1] is None:
        precision = float(np.finfo(A._data.dtype).eps) * max(A.shape[-2:])
        chosen[1] = precision if chosen[0] is None else np.where(np.asarray(chosen[0]) > 0, 0.0, precision)
    return tuple(np.asarray(0.0 if each is None else each)[..., None] for each in chosen)  # type: ignore[return-value]


def _cutoff(largest: Any, atol: Any, rtol: Any) -> Any:
    return np.maximum(atol, rtol * largest)


@operation(autocast="cpu:float32")
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X with the least `|A X - B|`; drivers "gelsy" (default), "gels", "gelsd", "gelss" differ in what they report."""
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}"
        )
    check_matrix("linalg.lstsq", A)
    if A.dtype != B.dtype:
        raise RuntimeError(f"linalg.lstsq: Expected A and B of one dtype, got {A.dtype.name} and {B.dtype.name}")
    vector = B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1])
    right = unsqueeze(B, -1) if vector else B
    if right.ndim < 2 or right.shape[-2] != A.shape[-2]:
        raise RuntimeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), got {A.shape[-2]} rows in A")
    solution = matmul(pinv(A, rtol=rcond), right)
    rows, columns = A.shape[-2:]
    full_rank = driver == "gels"
    rank = like(np.zeros(0, np.int64), A)
    values = like(np.zeros(0, A.real._data.dtype), A)
    if driver != "gels":
        rank = matrix_rank(A, rtol=rcond)
        full_rank = bool((rank._data == columns).all())
    if driver in ("gelsd", "gelss"):
        values = svdvals(A)
    miss = e.sub(matmul(A, solution), right)
    squares = e.real(e.mul(miss, e.conj(miss)))
    residuals = (
        sum_(squares, -2)
        if rows > columns and full_rank and driver not in (None, "gelsy")
        else narrow(reshape(squares, -1), 0, 0, 0)
    )
    return LeastSquares(squeeze(solution, -1) if vector else solution, residuals, rank, values)


@operation(autocast="cpu:float32")
def cond(A: Any, p: Any = None) -> Any:
    """The condition number in the norm `p`: how much a solution may magnify an error."""
    check_matrix("linalg.cond", A, p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = svdvals(A)
        largest, smallest = narrow(values, -1, 0, 1), narrow(values, -1, values.shape[-1] - 1, 1)
        return squeeze(e.div(smallest, largest) if p == -2 else e.div(largest, smallest), -1)
    from framework.ops.solvers import inv_ex

    inverse, info = inv_ex(A)
    result = e.mul(matrix_norm(A, p), matrix_norm(inverse, p))
    return e.where(like(info._data > 0, A), math.inf, result)


@operation(autocast="lower")
def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of a chain of matrices (the first and last may be vectors) in the cheapest order."""
    chain = list(tensors)
    if len(chain) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    first, last = chain[0].ndim == 1, chain[-1].ndim == 1
    chain[0] = unsqueeze(chain[0], 0) if first else chain[0]
    chain[-1] = unsqueeze(chain[-1], 1) if last else chain[-1]
    for number, each in enumerate(chain):
        if each.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {number} must be 2D but got {each.ndim}D")
    sizes = [chain[0].shape[0], *(each.shape[1] for each in chain)]
    splits: dict[tuple[int, int], int] = {}
    costs = {(place, place): 0 for place in range(len(chain))}
    for span in range(1, len(chain)):
        for start in range(len(chain) - span):
            stop = start + span
            options = [
                costs[start, cut] + costs[cut + 1, stop] + sizes[start] * sizes[cut + 1] * sizes[stop + 1]
                for cut in range(start, stop)
            ]
            costs[start, stop] = min(options)
            splits[start, stop] = start + options.index(min(options))

    def product(start: int, stop: int) -> Any:
        if start == stop:
            return chain[start]
        cut = splits[start, stop]
        return matmul(product(start, cut), product(cut + 1, stop))

    result = product(0, len(chain) - 1)
    result = squeeze(result, 0) if first else result
    return squeeze(result, -1) if last else result


@operation(autocast="lower")
def chain_matmul(*matrices: Any) -> Any:
    """The older name of `multi_dot`."""
    return multi_dot(matrices) if len(matrices) > 1 else matrices[0]


@operation(autocast="cuda:widest")
def cross(input: Any, other: Any, dim: int = -1) -> Any:
    """The cross product of vectors of three along `dim`."""
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {input.ndim} and {other.ndim}"
        )
    axis = check_dim(dim, input.ndim)
    if input.shape[axis] != 3 or other.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[axis]} and {other.shape[axis]}"
        )
    return e.sub(
        e.mul(roll(input, -1, axis), roll(other, -2, axis)), e.mul(roll(input, -2, axis), roll(other, -1, axis))
    )


@operation(autocast="cuda:widest")
def cross_first(input: Any, other: Any, dim: int | None = None) -> Any:
    """`torch.cross`: without `dim`, along the first dimension of length three."""
    if dim is None:
        dim = next((axis for axis, length in enumerate(input.shape) if length == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return cross(input, other, dim)


@operation(autocast="lower")
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The sum of `conj(x) * y` along `dim`."""
    return sum_(e.mul(e.conj(x), y), dim)


@operation(autocast="cuda:widest")
def vdot(input: Any, other: Any) -> Any:
    """The inner product of two vectors, the first conjugated."""
    from framework.ops.linalg import dot

    return dot(e.conj(input), other)


def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimension of both."""
    if not input.ndim or not other.ndim:
        return e.mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and "
            f"{list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@operation(autocast="cpu:lower cuda:widest")
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists of dimensions."""
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        over_a, over_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        over_a, over_b = ([each] if isinstance(each, int) else list(each) for each in dims)
    over_a, over_b = [check_dim(d, a.ndim) for d in over_a], [check_dim(d, b.ndim) for d in over_b]
    for each_a, each_b in zip(over_a, over_b):  # a dimension of length one stands for all of the other's
        if a.shape[each_a] == 1 != b.shape[each_b]:
            b = sum_(b, each_b, True)
        elif b.shape[each_b] == 1 != a.shape[each_a]:
            a = sum_(a, each_a, True)
    if [a.shape[d] for d in over_a] != [b.shape[d] for d in over_b]:
        raise RuntimeError("contracted dimensions need to match: the two lists of dims have other lengths")
    free_a = [d for d in range(a.ndim) if d not in over_a]
    free_b = [d for d in range(b.ndim) if d not in over_b]
    shape = [a.shape[d] for d in free_a] + [b.shape[d] for d in free_b]
    rows, columns = math.prod(a.shape[d] for d in free_a), math.prod(b.shape[d] for d in free_b)
    depth = math.prod(a.shape[d] for d in over_a)
    left = reshape(permute(a, *free_a, *over_a) if a.ndim else a, rows, depth)
    right = reshape(permute(b, *over_b, *free_b) if b.ndim else b, depth, columns)
    return reshape(matmul(left, right), shape)


def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: each element of the first times the whole second."""
    ndim = max(input.ndim, other.ndim)
    a = reshape(input, [1] * (ndim - input.ndim) + list(input.shape))
    b = reshape(other, [1] * (ndim - other.ndim) + list(other.shape))
    shape = [x * y for x, y in zip(a.shape, b.shape)]
    a = reshape(a, [length for each in a.shape for length in (each, 1)])
    b = reshape(b, [length for each in b.shape for length in (1, each)])
    return reshape(e.mul(a, b), shape)


@operation(autocast="cpu:float32")
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of the map that `A` is from its last dimensions to its first `ind`."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    first, last = list(A.shape[:ind]), list(A.shape[ind:])
    if math.prod(first) != math.prod(last):
        raise RuntimeError(f"Expected self to satisfy prod(shape[{ind}:]) == prod(shape[:{ind}]), got {list(A.shape)}")
    return reshape(inv(reshape(A, math.prod(first), -1)), last + first)


@operation(autocast="cpu:float32")
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """X with `tensordot(A, X, X.ndim) = B`; `dims` of A are first moved to its end."""
    if dims is not None:
        A = movedim(A, tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = list(A.shape[B.ndim :])
    if math.prod(shape) != math.prod(A.shape[: B.ndim]):
        raise RuntimeError("Expected self to be a square map: the product of its first and last dimensions must match")
    return reshape(solve(reshape(A, -1, math.prod(shape)), reshape(B, -1)), shape)


def vander(x: Any, N: int | None = None) -> Any:
    """Powers 0 to N - 1 of each element, along a new last dimension."""
    x = x if x.ndim else reshape(x, 1)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {count}")
    from framework.ops.scan import cumprod

    powers = cumprod(expand(unsqueeze(x, -1), (*x.shape, count - 1)), -1)
    ones = like(np.ones((*x.shape, 1), powers._data.dtype), x)
    return cat([ones, powers], -1)


@operation(autocast="cpu:float32")
def householder_product(A: Any, tau: Any) -> Any:
    """The first columns of the product of the reflections that `geqrf` returned."""
    check_matrix("linalg.householder_product", A)
    rows, columns = A.shape[-2:]
    if columns > rows or tau.shape[-1] > columns:
        raise RuntimeError("linalg.householder_product: input needs as many rows as columns, and columns as tau")
    whole = _constant(np.eye(rows, columns), A)
    return _reflected(A, tau, whole, reversed(range(tau.shape[-1])), False)


@operation(autocast="cpu:float32")
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """`other` times the orthogonal matrix of reflections (its adjoint with `transpose`), on the left or right."""
    if not left:
        return adjoint(ormqr(input, tau, adjoint(other), True, not transpose))
    count = tau.shape[-1]
    return _reflected(input, tau, other, range(count) if transpose else reversed(range(count)), transpose)


def _constant(values: Any, source: Any) -> Any:
    """Constant matrices of the shape of others, with a place in their graph: their gradient is zero, not missing."""
    array = like(values.astype(source._data.dtype), source)
    return e.where(like(np.ones(source.shape, bool), source), array, source)


def _reflected(A: Any, tau: Any, matrix: Any, order: Any, turned: bool) -> Any:
    vectors = e.add(tril(A, -1), like(np.eye(*A.shape[-2:], dtype=A._data.dtype), A))
    for number in order:
        vector = narrow(vectors, -1, number, 1)
        weight = unsqueeze(narrow(tau, -1, number, 1), -1)
        step = matmul(e.mul(vector, e.conj(weight) if turned else weight), matmul(adjoint(vector), matrix))
        matrix = e.sub(matrix, step)
    return matrix


@op(method=False)
def _geqrf(xp: Any, input: Array) -> tuple[Array, Array]:
    """R above, reflections below the diagonal, and their weights."""
    packed, weights = xp.linalg.qr(input, "raw")
    return np.ascontiguousarray(packed.swapaxes(-1, -2)), weights


@operation(autocast="cpu:float32")
def geqrf(input: Any) -> tuple[Any, Any]:
    """QR in the form of LAPACK: R above, reflections below the diagonal, and their weights."""
    check_matrix("geqrf", input)
    packed, weights = _geqrf(input)
    return packed, weights


@operation(autocast="cuda:lower")
@in_float32
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * mat @ vec`."""
    from framework.ops.linalg import mv

    return _added(input, mv(mat, vec), beta, alpha)


@operation(autocast="cuda:lower")
@in_float32
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    from framework.ops.linalg import outer

    return _added(input, outer(vec1, vec2), beta, alpha)


@operation(autocast="lower")
@in_float32
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha *` the sum of the products of two batches of matrices."""
    from framework.ops.linalg import bmm

    return _added(input, sum_(bmm(batch1, batch2), 0), beta, alpha)


def _added(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    if CATEGORY[input._data.dtype] < FLOATING:  # whole numbers stay whole
        beta, alpha = int(beta), int(alpha)
    is_bool = input._data.dtype == product._data.dtype == np.bool_
    product = product if alpha == 1 else e.mul(product, alpha)
    if beta == 0:  # not even a NaN of the input counts
        return expand(product, np.broadcast_shapes(tuple(input.shape), tuple(product.shape)))
    result = e.add(input if beta == 1 else e.mul(input, beta), product)
    return e.to_dtype(result, np.bool_) if is_bool else result
