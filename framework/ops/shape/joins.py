"""Joins of several tensors."""

import itertools
from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, Arrays, op
from framework.core.tensor import Tensor, check_dim
from framework.ops.shape.padding import pad
from framework.ops.shape.parts import split
from framework.ops.shape.views import atleast_1d, atleast_2d, atleast_3d, expand, reshape, unsqueeze


@op(method=False, kind="promote")
def _cat(xp: Any, tensors: Arrays, dim: int) -> Array:
    """Joined along a dimension."""
    return xp.concatenate(tensors, dim)


@_cat.vjp()
def _(g: Any, dim: Any, tensors_shape: Any, needs: Any, tensors: Any) -> Any:
    lengths = [tensor.shape[dim] for tensor in tensors]
    parts = split(g, lengths, dim)
    return [part if wanted else None for part, wanted in zip(parts, needs)]


@operation(autocast="cpu:widest")
def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """The tensors joined along a dimension; all other lengths must agree."""
    items = list(tensors)
    if not items:
        raise RuntimeError("cat(): expected a non-empty list of Tensors")
    for number, item in enumerate(items):
        if not hasattr(item, "ndim"):
            raise TypeError(f"expected Tensor as element {number} in argument 0, but got {type(item).__name__}")
    items = [
        item for item in items if item.ndim != 1 or item.shape[0] or all(each.ndim == 1 for each in items)
    ] or items[:1]
    axis = check_dim(dim, items[0].ndim)
    for number, item in enumerate(items):
        if item.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {number}) cannot be concatenated")
        for other in range(item.ndim):
            if item.ndim != items[0].ndim:
                raise RuntimeError(f"Tensors must have same number of dimensions: got {items[0].ndim} and {item.ndim}")
            if other != axis and item.shape[other] != items[0].shape[other]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {items[0].shape[other]} "
                    "but got "
                    f"size {item.shape[other]} for tensor number {number} in the list."
                )
    return _cat(items, axis) if out is None else _cat(items, axis, out=out)


def concat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """`cat` under NumPy's name."""
    return cat(tensors, dim, out=out)


@operation(autocast="cpu:widest")
def stack(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """The tensors joined along a new dimension."""
    items = list(tensors)
    if not items:
        raise RuntimeError("stack expects a non-empty TensorList")
    for number, item in enumerate(items):
        if tuple(item.shape) != tuple(items[0].shape):
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(items[0].shape)} at entry 0 and "
                f"{list(item.shape)} at entry {number}"
            )
    return cat([unsqueeze(item, dim) for item in items], dim if dim >= 0 else dim + items[0].ndim + 1, out=out)


def hstack(tensors: Any) -> Any:
    """Joined by columns (vectors end to end)."""
    items = atleast_1d(*_sequence("hstack", tensors))
    return cat(items, 0 if items[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Joined by rows."""
    return cat(atleast_2d(*_sequence("vstack", tensors)), 0)


def dstack(tensors: Any) -> Any:
    """Joined along the third dimension."""
    return cat(atleast_3d(*_sequence("dstack", tensors)), 2)


def column_stack(tensors: Any) -> Any:
    """Vectors as the columns of a matrix; matrices side by side."""
    items = _sequence("column_stack", tensors)
    return hstack([reshape(item, -1, 1) if item.ndim <= 1 else item for item in items[0]])


def block_diag(*tensors: Any) -> Any:
    """A matrix with these matrices (vectors as rows, numbers as 1 by 1) along its diagonal."""
    if not tensors:
        return Tensor(np.empty((1, 0)))
    for number, item in enumerate(tensors):
        if item.ndim > 2:
            raise RuntimeError(
                f"block_diag: Input tensors must have 2 or fewer dimensions. Input {number} has {item.ndim} dimensions"
            )
    blocks = [reshape(item, *((1, -1) if item.ndim < 2 else item.shape)) for item in tensors]
    width = sum(block.shape[1] for block in blocks)
    rows = []
    left = 0
    for block in blocks:
        rows.append(pad(block, (left, width - left - block.shape[1])))
        left += block.shape[1]
    return cat(rows, 0)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid, one tensor for each of the vectors that span it; indexing "ij" or "xy"."""
    items = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for item in items:
        if item.ndim > 1:
            raise RuntimeError(f"Expected scalar or 1D tensor in the tensor list but got: {list(item.shape)}")
        if item.dtype != items[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    vectors = [reshape(item, -1) for item in items]
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[:2] = vectors[1::-1]
    shape = tuple(vector.shape[0] for vector in vectors)
    grids = [
        expand(reshape(vector, *(-1 if axis == number else 1 for axis in range(len(shape)))), shape)
        for number, vector in enumerate(vectors)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each vector, a row each; a single vector stays as it is."""
    for item in tensors:
        if item.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(item.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(grid, -1) for grid in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All sets of `r` elements of a vector, a row each, in order."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if not r:
        return input[:0]
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return input[Tensor._wrap(places)]


def _sequence(name: str, tensors: Any) -> list[Any]:
    """The tensors as the one argument of atleast_*d, which must not be empty."""
    items = list(tensors)
    if not items:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return [items]
