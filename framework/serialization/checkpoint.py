"""Checkpoints: nested state of a training run in one safetensors file, without pickle.

Tensors and arrays lie in the file under their path ("model.encoder.0.weight"), so that any safetensors reader finds
the weights. Everything else is JSON in the metadata. What comes back equals what went in: dictionaries with keys of any
simple type, lists, tuples, None, booleans, integers of any size, floats to the last bit, strings, Tensors, arrays and
NumPy scalars; an object that stands in two places is stored once and comes back as one object.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import framework
from framework.core.tensor import Tensor
from framework.serialization.safetensors import SafetensorsError, load_arrays, load_metadata, save_file

_FORMAT = "voxhelix-checkpoint"
_VERSION = "1"


def save_checkpoint(
    path: str | os.PathLike[str], state: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write nested state (of model, optimizer, schedule, random stream, loader) to one file, atomically."""
    writer = _Flattener()
    tree = json.dumps(writer.flatten(state, ""), allow_nan=False, separators=(",", ":"))
    own = {"format": _FORMAT, "version": _VERSION, "tree": tree}
    if metadata and own.keys() & metadata.keys():
        raise ValueError(f"metadata may not use the names {sorted(own)}: they describe the checkpoint itself")
    save_file(writer.arrays, path, {**(metadata or {}), **own})


def load_checkpoint(path: str | os.PathLike[str]) -> Any:
    """The state that `save_checkpoint` wrote; tensors on the CPU."""
    label = Path(path).name
    metadata = load_metadata(path)
    if metadata.get("format") != _FORMAT:
        raise SafetensorsError(f"'{label}' is not a checkpoint of voxhelix: read plain tensors with load_file")
    if metadata.get("version") != _VERSION:
        raise SafetensorsError(
            f"'{label}' is a checkpoint of version {metadata.get('version')}, this program reads version {_VERSION}"
        )
    try:
        return _unflatten(json.loads(metadata["tree"]), load_arrays(path), {})
    except (KeyError, json.JSONDecodeError, TypeError, AttributeError) as error:
        raise SafetensorsError(f"'{label}' is damaged: its table of contents does not match its tensors") from error


class _Flattener:
    """Turns nested state into JSON, and collects the arrays it meets."""

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor | np.ndarray] = {}
        self._key_of: dict[int, str] = {}

    def flatten(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, Tensor):
            return {"$tensor": self._store(value, path)}
        if isinstance(value, np.ndarray):
            return {"$array": self._store(value, path)}
        if isinstance(value, np.generic):
            return {"$scalar": self._store(np.asarray(value), path)}
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, list | tuple):
            items = [self.flatten(item, _join(path, i)) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        raise TypeError(
            f"a checkpoint cannot hold the {type(value).__name__} at '{path}': "
            "use tensors, arrays, numbers, strings, None, lists, tuples and dictionaries"
        )

    def _mapping(self, value: Mapping[Any, Any], path: str) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self.flatten(item, _join(path, key)) for key, item in value.items()}
        items = []
        for key, item in value.items():
            if not isinstance(key, str | int | float | bool | tuple | None):
                raise TypeError(f"a checkpoint cannot hold the key {key!r} at '{path}': use strings or numbers")
            items.append([self.flatten(key, path), self.flatten(item, _join(path, key))])
        return {"$items": items}

    def _store(self, value: Any, path: str) -> str:
        known = self._key_of.get(id(value))
        if known is not None and self.arrays[known] is value:
            return known
        key = path or "value"
        while key in self.arrays:
            key += "'"
        self.arrays[key] = value
        self._key_of[id(value)] = key
        return key


def _unflatten(node: Any, arrays: dict[str, np.ndarray], made: dict[tuple[str, str], Any]) -> Any:
    if isinstance(node, list):
        return [_unflatten(item, arrays, made) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) != 1 or not next(iter(node)).startswith("$"):
        return {key: _unflatten(item, arrays, made) for key, item in node.items()}
    ((kind, value),) = node.items()
    if kind == "$tuple":
        return tuple(_unflatten(item, arrays, made) for item in value)
    if kind == "$items":
        return {_unflatten(key, arrays, made): _unflatten(item, arrays, made) for key, item in value}
    if kind == "$float":
        return float(value)
    if (kind, value) not in made:
        array = arrays[value]
        made[kind, value] = {"$tensor": framework.from_numpy, "$array": lambda a: a, "$scalar": lambda a: a[()]}[kind](
            array
        )
    return made[kind, value]


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
