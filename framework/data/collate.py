"""Joining items into a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import framework
from framework.core.tensor import Tensor

CollateMap = dict[Any, Callable[..., Any]]


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items of one kind: tensors and arrays are stacked along a new first dimension.

    Numbers become a tensor; dictionaries, tuples, named tuples and lists are joined entry by entry; strings are listed.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """A batch of items, of which each part is joined by the function that `collate_fn_map` names for its type.

    The map is searched for the part's type first and then, in order, for a class it belongs to. A function takes the
    list of parts and, by name, `collate_fn_map`. Containers that the map does not name are joined entry by entry.
    """
    first = batch[0]
    table = collate_fn_map or {}
    join = table.get(type(first)) or next((table[kind] for kind in table if isinstance(first, kind)), None)
    if join is not None:
        return join(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        joined = {key: collate([item[key] for item in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like(first, joined)
    if isinstance(first, Sequence) and not isinstance(first, str | bytes):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError(f"items of a batch differ in length: {sorted({len(item) for item in batch})}")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if type(first) is tuple else _like(first, columns)
    raise TypeError(
        f"default_collate: batch must contain tensors, arrays, numbers, strings, dicts or lists; found {type(first)}"
    )


def default_convert(data: Any) -> Any:
    """An item with its arrays and NumPy numbers made tensors, in whatever containers they stand."""
    if isinstance(data, np.ndarray | np.generic):
        return framework.as_tensor(data) if data.dtype.kind in "biufcV" else data
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | range):
        parts = [default_convert(part) for part in data]
        return parts if type(data) is tuple else _like(data, parts)
    return data


def _like(pattern: Any, content: Any) -> Any:
    """The content in a container of the pattern's own class, where that can be made."""
    if isinstance(pattern, tuple) and hasattr(pattern, "_fields"):
        return type(pattern)(*content)
    try:
        if isinstance(pattern, MutableMapping):
            # A class of the user's may hold more than its entries, and take other arguments.
            result = copy.copy(pattern)
            result.update(content)
            return result
        if isinstance(pattern, MutableSequence):
            clone = copy.copy(pattern)
            clone[:] = content
            return clone
        return type(pattern)(content)
    except (TypeError, AttributeError):
        return content


def _tensors(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return framework.stack(_same_shapes(batch), 0)


def _arrays(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    if batch[0].dtype.kind not in "biufcV":
        raise TypeError(f"default_collate: arrays must hold numbers, found {batch[0].dtype}; give a collate_fn")
    return framework.from_numpy(np.stack(_same_shapes(batch)))


def _scalars(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return framework.from_numpy(np.asarray(batch))


def _floats(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return framework.tensor(list(batch), dtype=framework.float64)


def _integers(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return framework.tensor(list(batch))


def _listed(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return list(batch)


def _same_shapes(batch: Sequence[Any]) -> list[Any]:
    shapes = [tuple(item.shape) for item in batch]
    if len(set(shapes)) > 1:
        odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise RuntimeError(
            f"items of a batch must have equal shapes: item 0 has {shapes[0]}, item {odd} has {shapes[odd]}; "
            "crop or pad them, or give a collate_fn"
        )
    return list(batch)


default_collate_fn_map: CollateMap = {
    Tensor: _tensors,
    np.ndarray: _arrays,
    np.generic: _scalars,
    float: _floats,
    int: _integers,
    str: _listed,
    bytes: _listed,
    type(None): _listed,
}
