"""Joining items into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import framework
from framework.core.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items of one kind: tensors and arrays are stacked along a new first dimension.

    Numbers become a tensor; dictionaries, tuples, named tuples and lists are joined entry by entry; strings are listed.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return framework.stack(_same_shapes(batch), 0)
    if isinstance(first, np.ndarray):
        if first.dtype.kind not in "biufcV":
            raise TypeError(f"default_collate: arrays must hold numbers, found {first.dtype}; give a collate_fn")
        return framework.from_numpy(np.stack(_same_shapes(batch)))
    if isinstance(first, np.generic):
        return framework.from_numpy(np.asarray(batch))
    if isinstance(first, bool):
        return framework.tensor(list(batch))
    if isinstance(first, float):
        return framework.tensor(list(batch), dtype=framework.float64)
    if isinstance(first, int):
        return framework.tensor(list(batch))
    if isinstance(first, str | bytes) or first is None:
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError(f"items of a batch differ in length: {sorted({len(item) for item in batch})}")
        columns = [default_collate(column) for column in zip(*batch)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        f"default_collate: batch must contain tensors, arrays, numbers, strings, dicts or lists; found {type(first)}"
    )


def _same_shapes(batch: Sequence[Any]) -> list[Any]:
    shapes = [tuple(item.shape) for item in batch]
    if len(set(shapes)) > 1:
        odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise RuntimeError(
            f"items of a batch must have equal shapes: item 0 has {shapes[0]}, item {odd} has {shapes[odd]}; "
            "crop or pad them, or give a collate_fn"
        )
    return list(batch)
