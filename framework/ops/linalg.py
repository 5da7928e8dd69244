"""Matrix products and what is built on them."""

import math
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.half import in_float32
from framework.core.op import Array, Arrays, op
from framework.ops import elementwise as e
from framework.ops import reduce
from framework.ops.shape import diagonal, expand, reshape, squeeze, transpose, unsqueeze


@op(method=False, kind="promote", wide=True)
def _matmul(xp: Any, input: Array, other: Array) -> Array:
    """Matrix product over the last two dimensions, broadcasting the others."""
    return xp.matmul(input, other)


@_matmul.vjp("input")
def _(g: Any, other: Any) -> Any:
    return _matmul(g, e.conj(transpose(other, -1, -2)))


@_matmul.vjp("other")
def _(g: Any, input: Any) -> Any:
    return _matmul(e.conj(transpose(input, -1, -2)), g)


@operation(autocast="lower")
def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The matrix product with NumPy's rules for vectors and for leading (batch) dimensions."""
    if not input.ndim or not other.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and {other.ndim}D"
        )
    left = unsqueeze(input, 0) if input.ndim == 1 else input
    right = unsqueeze(other, 1) if other.ndim == 1 else other
    if left.shape[-1] != right.shape[-2]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({left.shape[-2]}x{left.shape[-1]} and "
            f"{right.shape[-2]}x{right.shape[-1]})"
        )
    result = _matmul(left, right) if out is None else _matmul(left, right, out=out)
    if input.ndim == 1:
        result = squeeze(result, -2)
    return squeeze(result, -1) if other.ndim == 1 else result


@operation(autocast="lower")
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices."""
    _expect("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


@operation(autocast="lower")
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices."""
    _expect("bmm", (input, 3), (mat2, 3))
    return matmul(input, mat2)


@operation(autocast="cuda:lower")
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector."""
    _expect("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


@operation(autocast="cuda:widest")
def dot(input: Any, tensor: Any) -> Any:
    """The inner product of two vectors."""
    _expect("dot", (input, 1), (tensor, 1))
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src [{tensor.shape[0]}] to have the "
            "same "
            "number of elements"
        )
    return matmul(input, tensor)


def outer(input: Any, vec2: Any) -> Any:
    """The outer product of two vectors."""
    _expect("outer", (input, 1), (vec2, 1))
    return e.mul(unsqueeze(input, 1), unsqueeze(vec2, 0))


@operation(autocast="lower")
@in_float32
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * mat1 @ mat2`."""
    product = mm(mat1, mat2)
    product = product if alpha == 1 else e.mul(product, alpha)
    return e.add(input if beta == 1 else e.mul(input, beta), product)


@operation(autocast="lower")
@in_float32
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * batch1 @ batch2`, in batches; integers take the integer parts of the factors."""
    if CATEGORY[getattr(batch1, "_data", batch1).dtype] < FLOATING:
        beta, alpha = int(beta), int(alpha)
    product = bmm(batch1, batch2)
    product = product if alpha == 1 else e.mul(product, alpha)
    return e.add(input if beta == 1 else e.mul(input, beta), product)


@op(method=False, kind="promote", wide=True)
def _linear(xp: Any, input: Array, weight: Array, bias: Array | None) -> Array:
    """`input @ weight.T + bias`, (*, in) with (out, in) and (out,)."""
    result = xp.matmul(input, weight.T)
    return result if bias is None else result + bias


@_linear.vjp("input")
def _(g: Any, weight: Any) -> Any:
    return _matmul(g if g.ndim > 1 else unsqueeze(g, 0), e.conj(weight))  # the engine takes the added dimension off


@_linear.vjp("weight")
def _(g: Any, input: Any) -> Any:
    return _matmul(transpose(_rows(g), 0, 1), e.conj(_rows(input)))


@_linear.vjp("bias")
def _(g: Any) -> Any:
    return reduce.sum(_rows(g), 0)


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else reshape(x, math.prod(x.shape[:-1]), x.shape[-1])


@operation(autocast="lower")
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight.T + bias`: (*, in) with (out, in) gives (*, out)."""
    if input.shape[-1:] != weight.shape[-1:]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, input.shape))} and "
            f"{weight.shape[-1]}x{weight.shape[0] if weight.ndim > 1 else 1})"
        )
    if weight.ndim == 2:
        return _linear(input, weight, bias)
    result = matmul(input, weight)
    return result if bias is None else e.add(result, bias)


@op(method=False, kind="promote", wide=True)
def _einsum(xp: Any, operands: Arrays, equation: str) -> Array:
    """Einstein's summation."""
    return xp.asarray(xp.einsum(equation, *operands))


@_einsum.vjp()
def _(g: Any, operands: Any, equation: Any, needs: Any) -> Any:
    left, right = equation.split("->")
    terms = left.split(",")
    grads: list[Any] = []
    for number, (term, wanted) in enumerate(zip(terms, needs)):
        if not wanted:
            grads.append(None)
            continue
        others = [operand for place, operand in enumerate(operands) if place != number]
        sources = [each for place, each in enumerate(terms) if place != number]
        present = set(right).union(*sources)
        kept = "".join(letter for letter in term if letter in present)
        grad = _einsum([g, *(e.conj(other) for other in others)], ",".join([right, *sources]) + "->" + kept)
        shape = operands[number].shape
        for axis, letter in enumerate(term):  # an index summed away in this operand alone
            if letter not in present:
                grad = unsqueeze(grad, axis)
        grads.append(expand(grad, shape))
    return grads


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products of tensors, named by their indices (letters; `...` for batch dimensions)."""
    items = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else list(operands)
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(items):
        raise RuntimeError(f"einsum(): the equation names {len(terms)} operands, but {len(items)} were given")
    spare = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in text]
    widest = 0
    for number, (term, item) in enumerate(zip(terms, items)):
        if "..." in term:
            count = item.ndim - len(term.replace("...", ""))
            widest = max(widest, count)
            terms[number] = term.replace("...", "".join(spare[:20][20 - count :]) if count else "")
        elif len(term) != item.ndim:
            raise RuntimeError(f"einsum(): operand {number} has {item.ndim} dimensions, the equation names {len(term)}")
        for letter in set(terms[number]):
            while terms[number].count(letter) > 1:  # a repeated index is a diagonal, which comes last
                term = terms[number]
                first = term.index(letter)
                second = term.index(letter, first + 1)
                items[number] = diagonal(items[number], 0, first, second)
                terms[number] = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    batch = "".join(spare[:20][20 - widest :]) if widest else ""
    if not arrow:
        joined = "".join(terms)
        right = batch + "".join(sorted(letter for letter in set(joined) - set(batch) if joined.count(letter) == 1))
    else:
        right = right.replace("...", batch)
    sums = len(items) > 1 and any(letter not in right for letter in "".join(terms))
    return (_contracted if sums else _multiplied)(items, ",".join(terms) + "->" + right)


@operation(autocast="lower")
def _contracted(operands: Any, equation: str) -> Any:
    """PyTorch's batched product."""
    return _einsum(operands, equation)


@operation(autocast="cuda:lower")
def _multiplied(operands: Any, equation: str) -> Any:
    return _einsum(operands, equation)


def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle, zeros above."""
    mask = np.tri(input.shape[-2], input.shape[-1], diagonal, dtype=bool)
    return e.masked_fill(input, _constant(~mask, input), 0)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle, zeros below."""
    mask = ~np.tri(input.shape[-2], input.shape[-1], diagonal - 1, dtype=bool)
    return e.masked_fill(input, _constant(~mask, input), 0)


def _constant(array: Any, like: Any) -> Any:
    from framework.core.tensor import Tensor

    return Tensor._wrap(array).to(like.device) if isinstance(like, Tensor) else array


def _expect(name: str, *operands: tuple[Any, int]) -> None:
    for number, (operand, ndim) in enumerate(operands):
        if operand.ndim != ndim:
            raise RuntimeError(f"{name}: argument {number + 1} must be {ndim}-D, but it is {operand.ndim}-D")
