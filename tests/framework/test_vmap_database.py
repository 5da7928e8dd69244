"""vmap of every operation of PyTorch's operator database is the operation on each sample, stacked."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.func import vmap
from framework.func.tree import flatten, unflatten

RANDOM = ("rand", "normal", "dropout", "multinomial", "empty", "bernoulli", "exponential", "fractional", "rrelu")
LEFT_OUT = {
    "as_strided": "reads the memory around a sample, which is another where the samples lie side by side",
    "as_strided_copy": "as as_strided",
    "as_strided_scatter": "as as_strided",
    "argwhere": "the shape of the result depends on the values",
    "nonzero": "as argwhere",
    "linspace": "a number of a sample would be needed",
    "narrow": "where to start would have to be known",
    "tensor_split": "where to split would have to be known",
    "unique_consecutive": "the shape of the result depends on the values",
    "nn.functional.batch_norm": "running statistics are shared by the samples, and would be written for each",
    "nn.functional.instance_norm": "as batch_norm",
    "nn.functional.multi_head_attention_forward": "drops out at random",
    "nn.functional.scaled_dot_product_attention": "drops out at random",
}
SIZE = 3


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_every_operation_of_the_database() -> None:
    wrong: dict[str, str] = {}
    compared = 0
    for name, function, args, kwargs in cases():
        leaves, structure = flatten(args)
        tensors = [n for n, leaf in enumerate(leaves) if isinstance(leaf, vh.Tensor)]
        floats = [n for n in tensors if leaves[n].is_floating_point()]
        for chosen in [floats[:1], floats, *([tensors] if tensors != floats else [])]:
            batch = [samples(leaf) if n in chosen else leaf for n, leaf in enumerate(leaves)]

            def one(*parts: Any, function: Any = function, structure: Any = structure, kwargs: Any = kwargs) -> Any:
                return function(*unflatten(list(parts), structure), **kwargs)

            try:
                apart = [
                    flatten(one(*(leaf[n] if place in chosen else leaf for place, leaf in enumerate(batch))))[0]
                    for n in range(SIZE)
                ]
            except Exception:
                continue
            if any(not isinstance(each, vh.Tensor) for each in apart[0]) or len({str(shapes(a)) for a in apart}) > 1:
                continue
            try:
                dims = tuple(0 if n in chosen else None for n in range(len(leaves)))
                together = flatten(vmap(one, in_dims=dims)(*batch))[0]
                for mine, *each in zip(together, *apart, strict=True):
                    assert mine.dtype is each[0].dtype
                    np.testing.assert_allclose(mine.numpy(), np.stack([e.numpy() for e in each]), 1e-6, 1e-7)
                compared += 1
            except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
                wrong[name] = f"{type(error).__name__}: {str(error)[:200]}"
    assert wrong == {}
    assert compared > 2500


def cases() -> Iterator[tuple[str, Any, Any, Any]]:
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    def ours(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return vh.from_numpy(value.detach().numpy().copy())
        if isinstance(value, torch.dtype):
            return getattr(vh, str(value).split(".")[1])
        return type(value)(ours(each) for each in value) if type(value) in (list, tuple) else value

    for op in op_db:
        try:
            function = reduce(getattr, op.name.split("."), vh)
        except AttributeError:
            continue
        if op.name in LEFT_OUT or any(word in op.name for word in RANDOM) or torch.float64 not in op.dtypes:
            continue
        for sample in list(op.sample_inputs("cpu", torch.float64))[:3]:
            args = (ours(sample.input), *ours(tuple(sample.args)))
            kwargs = {key: ours(value) for key, value in sample.kwargs.items()}
            leaves = flatten(args)[0]
            if any(isinstance(leaf, vh.Tensor) and leaf.is_floating_point() for leaf in leaves):
                try:
                    function(*args, **kwargs)
                except Exception:
                    continue
                yield op.name, function, args, kwargs


def samples(leaf: vh.Tensor) -> vh.Tensor:
    """Near the given values, and where those stay within [-1, 1], within it."""
    if not leaf.is_floating_point():
        return vh.stack([leaf] * SIZE)
    values = leaf.numpy()
    scaled = [values * (1 + 0.1 * number) for number in range(SIZE)]
    if values.size and np.abs(values).max() <= 1:
        scaled = [np.clip(each, -0.99, 0.99) for each in scaled]
    return vh.from_numpy(np.stack(scaled))


def shapes(tensors: list[Any]) -> list[tuple[int, ...]]:
    return [tuple(each.shape) for each in tensors]
