"""A function of (module, *tensors) run by this library and by PyTorch: values, gradients and second gradients agree."""

from collections.abc import Callable
from typing import Any

import numpy as np

import framework as vh

Arrays = list[np.ndarray[Any, Any]]


def uniform(shapes: list[tuple[int, ...]], low: float = -2.0, high: float = 2.0) -> Arrays:
    """Float64 arrays of these shapes, the same on every call."""
    stream = np.random.default_rng(7)
    return [stream.uniform(low, high, shape) for shape in shapes]


def assert_same(function: Callable[..., Any], arrays: Arrays, second: bool = True, atol: float = 1e-9) -> None:
    """Values, gradients with random weights, and (`second`) gradients of those gradients are PyTorch's."""
    import torch

    ours, theirs = _everything(vh, function, arrays, second), _everything(torch, function, arrays, second)
    assert len(ours) == len(theirs)
    for number, (mine, reference) in enumerate(zip(ours, theirs)):
        assert (mine.shape, mine.dtype) == (reference.shape, reference.dtype), number
        np.testing.assert_allclose(mine, reference, rtol=1e-7, atol=atol, err_msg=f"part {number}")


def assert_same_values(function: Callable[..., Any], arrays: Arrays) -> None:
    """The results, of any type, are PyTorch's."""
    import torch

    for mine, reference in zip(
        _flat(function(vh, *map(vh.tensor, arrays))), _flat(function(torch, *map(torch.tensor, arrays))), strict=True
    ):
        assert str(mine.dtype).rpartition(".")[2] == str(reference.dtype).rpartition(".")[2]
        np.testing.assert_allclose(mine.numpy(), reference.numpy(), rtol=1e-9)


def _everything(module: Any, function: Callable[..., Any], arrays: Arrays, second: bool) -> Arrays:
    tensors = [module.tensor(array).requires_grad_() for array in arrays]
    stream = np.random.default_rng(1)
    outs = _flat(function(module, *tensors))
    weights = [module.tensor(_weights(stream, out)) for out in outs]
    first = module.autograd.grad(outs, tensors, weights, create_graph=second, allow_unused=True)
    results = [out.detach().numpy() for out in outs]
    results += [_or_zeros(grad, array) for grad, array in zip(first, arrays)]
    if second:
        pairs = [(grad, module.tensor(_weights(stream, like))) for grad, like in zip(first, tensors)]
        pairs = [(grad, weight) for grad, weight in pairs if grad is not None and grad.requires_grad]
        again: Any = [None] * len(arrays)
        if pairs:
            again = module.autograd.grad([g for g, _ in pairs], tensors, [w for _, w in pairs], allow_unused=True)
        results += [_or_zeros(grad, array) for grad, array in zip(again, arrays)]
    return results


def _or_zeros(grad: Any, array: Any) -> Any:
    return np.zeros_like(array) if grad is None else grad.detach().numpy()


def _weights(stream: Any, like: Any) -> Any:
    weights = stream.standard_normal(tuple(like.shape))
    return weights + 1j * stream.standard_normal(tuple(like.shape)) if like.is_complex() else weights


def _flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]
