"""Between a tensor and a batched one: the four operations that put a batch dimension away and take it out again."""

from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.func.batched import BatchedArray, size_at, spread, top_level


@op(view=True, method=False)
def add_batch_dim(xp: Any, input: Array, level: int) -> Array:
    """The first dimension becomes the batch of `level`: what `vmap` shows to its function."""
    return _added(input, level)


@add_batch_dim.vjp("input")
def _(g: Any, input_shape: Any, level: Any) -> Any:
    return remove_batch_dim(g, level, input_shape[0])


@op(method=False)
def remove_batch_dim(xp: Any, input: Array, level: int, size: int) -> Array:
    """The batch of `level` becomes the first dimension again; what does not depend on it is repeated."""
    return _removed(input, level, size)


@remove_batch_dim.vjp("input")
def _(g: Any, level: Any) -> Any:
    return add_batch_dim(g, level)


@op(method=False)
def sum_batch(xp: Any, input: Array, level: int, size: int) -> Array:
    """The sum over the batch of `level`: the gradient of what all samples used together."""
    from framework.ops.reduce import _sum

    return _sum(_removed(input, level, size), 0)


@sum_batch.vjp("input")
def _(g: Any, level: Any, size: Any) -> Any:
    return expand_batch(g, level, size)


@op(method=False)
def expand_batch(xp: Any, input: Array, level: int, size: int) -> Array:
    """The same for each sample of the batch of `level`."""
    return _added(spread(input, size), level)


@expand_batch.vjp("input")
def _(g: Any, level: Any, size: Any) -> Any:
    return sum_batch(g, level, size)


def fit_levels(grad: Any, shape: Any, node: Any) -> Any:
    """A gradient brought to the levels of what it belongs to.

    Summed over the batches in which the node took part but its input (of `shape`) did not, and repeated for those in
    which the input took part but this gradient does not. A batch of gradients (the Jacobian's rows) passes.
    """
    wanted = dict(getattr(shape, "levels", ()))
    have = levels_of(grad)
    took_part: dict[int, int] = {}
    for own, _ in node.meta if node is not None else ():
        took_part.update(getattr(own, "levels", ()))
    for level, size in took_part.items():
        if level in have and level not in wanted:
            grad = sum_batch(grad, level, size)
    for level, size in wanted.items():
        if level not in have:
            grad = expand_batch(grad, level, size)
    return grad


def lift(record: Any, values: list[Any], tensors: list[Any]) -> None:
    """Where only another argument (places to index at, a mask) is batched, batch the first tensor too, in place."""
    level = top_level([value for number, value in enumerate(values) if number not in record.slots])
    if not level or record.lists or any(level in levels_of(tensor) for tensor in tensors if hasattr(tensor, "_data")):
        return
    size = size_at(values, level)
    tensors[0] = expand_batch(tensors[0], level, size)
    values[record.slots[0]] = tensors[0]._data


def levels_of(value: Any) -> dict[int, int]:
    """The levels and batch sizes of an array or tensor."""
    return dict(getattr(getattr(value, "_data", value).shape, "levels", ()))


def _added(array: Any, level: int) -> BatchedArray:
    if isinstance(array, BatchedArray) and array.level > level:
        inner = array.array.transpose((1, 0, *range(2, array.array.ndim)))
        return BatchedArray(_added(inner, level), array.level)
    return BatchedArray(array, level)


def _removed(array: Any, level: int, size: int) -> Any:
    if isinstance(array, BatchedArray) and array.level == level:
        return array.array
    if isinstance(array, BatchedArray) and array.level > level:
        inner = _removed(array.array, level, size)
        return BatchedArray(inner.transpose((1, 0, *range(2, inner.ndim))), array.level)
    return spread(np.asarray(array) if isinstance(array, np.generic) else array, size)
