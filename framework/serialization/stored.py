"""What was found in a file before any tensor is read: nested plain values with `Stored` at the places of arrays."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.core.device import device
from framework.core.dtype import FROM_NUMPY, DType
from framework.core.tensor import Size
from framework.serialization.errors import SerializationError

MAX_DEPTH = 100
MAX_VALUES = 3_000_000


@dataclass(frozen=True)
class TorchType:
    """An element type of PyTorch's; `dtype` is None where NumPy has none (quantised, sub-byte)."""

    name: str
    dtype: np.dtype[Any] | None


_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, DType, TorchType, device)


@dataclass(eq=False, slots=True)
class Stored:
    """An array in a file: `read` gives it, with memory that it shares with its neighbours where the file says so.

    `kind` is what to make of it: "tensor", "parameter", "array" (of NumPy) or "scalar" (of NumPy).
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray[Any, Any]]
    kind: str = "tensor"
    requires_grad: bool = False
    location: str = "cpu"

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(eq=False, slots=True)
class Refused:
    """A tensor that is in the file but cannot be had here; `reason` completes the sentence "tensor 'x' ..."."""

    reason: str


def arrays_of(state: Any, label: str) -> dict[str, Stored | Refused]:
    """The arrays in nested state by their path ("model.encoder.0.weight").

    SerializationError where the state holds itself, is nested too deep, holds too much, or holds anything but plain
    values, so that whoever walks over it afterwards comes to an end.
    """
    sizes: dict[int, tuple[int, bool]] = {}
    _measure(state, label, 0, sizes)
    found: dict[str, Stored | Refused] = {}
    _collect(state, "", found, sizes)
    return found


def build(state: Any, make: Callable[[str, Stored | Refused], Any]) -> Any:
    """The state with what `make(path, stored)` gives at the places of arrays; what stood twice is one object again."""
    return _build(state, "", make, {})


def join(path: str, key: Any) -> str:
    """The path of an item."""
    return f"{path}.{key}" if path else str(key)


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    return iter(node.items()) if isinstance(node, dict) else iter(enumerate(node))


def _measure(node: Any, label: str, depth: int, sizes: dict[int, tuple[int, bool]]) -> tuple[int, bool]:
    """How many values a walk over the node meets, shared ones each time, and whether arrays are among them."""
    if isinstance(node, Stored) and node.dtype.hasobject:
        raise SerializationError(f"'{label}' is damaged: an array in it has no content; copy or download it again")
    if isinstance(node, Stored | Refused):
        return 1, True
    if isinstance(node, TorchType) and node.dtype not in FROM_NUMPY:
        raise SerializationError(
            f"'{label}' cannot be read: it holds the type torch.{node.name}, which has no like here"
        )
    if isinstance(node, _PLAIN):
        return 1, False
    if not isinstance(node, dict | list | tuple | set | frozenset):
        raise SerializationError(f"'{label}' was refused: it holds {node}, which is not a value; save the state_dict()")
    known = sizes.get(id(node))
    if known is not None:
        if not known[0]:
            raise SerializationError(f"'{label}' was refused: a container in it holds itself")
        return known
    if depth > MAX_DEPTH:
        raise SerializationError(f"'{label}' was refused: its containers are nested deeper than {MAX_DEPTH}")
    sizes[id(node)] = (0, False)
    size, arrays = 1, False
    for _, item in _children(node):
        more, some = _measure(item, label, depth + 1, sizes)
        size, arrays = size + more, arrays or some
    if size > MAX_VALUES:
        raise SerializationError(f"'{label}' was refused: it unfolds to more than {MAX_VALUES} values")
    sizes[id(node)] = (size, arrays)
    return size, arrays


def _collect(node: Any, path: str, found: dict[str, Stored | Refused], sizes: dict[int, tuple[int, bool]]) -> None:
    if isinstance(node, Stored | Refused):
        name = path or "value"
        while name in found:
            name += "'"
        found[name] = node
    elif id(node) in sizes and sizes[id(node)][1]:
        for key, item in _children(node):
            _collect(item, join(path, key), found, sizes)


def _build(node: Any, path: str, make: Callable[[str, Stored | Refused], Any], made: dict[int, Any]) -> Any:
    if isinstance(node, TorchType):
        return FROM_NUMPY[node.dtype]
    if isinstance(node, (*_PLAIN, set, frozenset)):
        return node
    if id(node) in made:
        return made[id(node)]
    result: Any
    if isinstance(node, Stored | Refused):
        result = make(path, node)
    elif isinstance(node, dict):
        items = [(key, _build(item, join(path, key), make, made)) for key, item in node.items()]
        result = type(node)(items) if type(node) in (dict, OrderedDict) else Counter(dict(items))
        if hasattr(node, "_metadata"):
            result._metadata = node._metadata
    elif isinstance(node, Size):
        result = node
    else:
        result = type(node)(_build(item, join(path, index), make, made) for index, item in enumerate(node))
    made[id(node)] = result
    return result
