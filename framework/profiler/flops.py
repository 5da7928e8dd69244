"""Floating-point operations of products and convolutions, from the shapes they were called with.

A multiplication and an addition are two operations, as in PyTorch's `with_flops`.
"""

import math
from collections.abc import Callable
from typing import Any


def flops_of(name: str, args: tuple[Any, ...], result: Any) -> int:
    """The operations of one call; 0 where they are not known."""
    count = _COUNTS.get(name)
    if count is None:
        return 0
    try:
        return int(count(args, result))
    except (AttributeError, IndexError):  # called with keywords or numbers
        return 0


def _size(value: Any) -> int:
    return math.prod(value.shape)


def _matmul(args: Any, result: Any) -> int:
    return 2 * _size(result) * int(args[0].shape[-1])


def _linear(args: Any, result: Any) -> int:
    return _matmul(args, result) + (0 if args[2] is None else _size(result))


def _einsum(args: Any, result: Any) -> int:
    operands, equation = args[0], args[1]
    lengths: dict[str, int] = {}
    for term, operand in zip(equation.partition("->")[0].split(","), operands):
        lengths.update(zip(term, operand.shape))
    return len(operands) * math.prod(lengths.values())


def _conv(args: Any, result: Any) -> int:
    weight = args[1]
    return 2 * _size(result) * math.prod(weight.shape[1:])


def _conv_grad_input(args: Any, result: Any) -> int:
    grad, weight = args[0], args[1]
    return 2 * _size(grad) * math.prod(weight.shape[1:])


def _conv_grad_weight(args: Any, result: Any) -> int:
    return 2 * _size(args[0]) * math.prod(result.shape[1:])


def _one_each(args: Any, result: Any) -> int:
    return _size(result)


_COUNTS: dict[str, Callable[[Any, Any], int]] = {
    "_matmul": _matmul,
    "_linear": _linear,
    "_einsum": _einsum,
    "conv": _conv,
    "conv_grad_input": _conv_grad_input,
    "conv_grad_weight": _conv_grad_weight,
    "add": _one_each,
    "sub": _one_each,
    "mul": _one_each,
    "true_divide": _one_each,
}
