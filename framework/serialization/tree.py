"""Nested state in one safetensors file, without pickle.

Tensors and arrays lie in the file under their path ("model.encoder.0.weight"), so that any safetensors reader finds
the weights. Everything else is JSON in the metadata. What comes back equals what went in: dictionaries with keys of any
simple type, ordered ones, lists, tuples, None, booleans, integers of any size, floats to the last bit, complex
numbers, strings, bytes, shapes, types, devices, Tensors, Parameters, arrays and NumPy scalars. An object, or the same
piece of memory, that stands in two places is stored once and comes back as one object.
"""

from __future__ import annotations

import base64
import json
import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from framework.core.device import device
from framework.core.dtype import DTYPES, DType
from framework.core.tensor import Size, Tensor
from framework.serialization.errors import SerializationError
from framework.serialization.keys import check_key
from framework.serialization.safetensors import check_array, check_metadata, check_name
from framework.serialization.stored import MAX_DEPTH, Stored, join

_TREE, _VERSION_KEY, _VERSION = "voxhelix.tree", "voxhelix.version", "2"
_OWN = {_TREE, _VERSION_KEY}
_TYPES = {dtype.name: dtype for dtype in DTYPES}
_COMPLEX = np.dtype("<c16")  # which safetensors does not have: written as pairs of float64


def flatten(
    state: Any, metadata: Mapping[str, str] | None = None
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """The arrays of nested state, ready to be written, and the metadata that hold the rest of it."""
    if metadata:
        check_metadata(metadata)
        if _OWN & metadata.keys():
            raise ValueError(f"metadata may not use the names {sorted(_OWN)}: they describe the file itself")
    writer = _Flattener()
    tree = json.dumps(writer.flatten(state, "", MAX_DEPTH), allow_nan=False, separators=(",", ":"))
    # "pt" says that shapes are laid out as PyTorch's; transformers reads no file without it.
    return writer.arrays, {"format": "pt", **(metadata or {}), _VERSION_KEY: _VERSION, _TREE: tree}


def unflatten(arrays: dict[str, Stored], metadata: dict[str, str], label: str) -> tuple[Any, dict[str, str]]:
    """The nested state of a file, and the metadata that its writer gave; plain safetensors are a dictionary."""
    if metadata.get("format") == "voxhelix-checkpoint":  # as version 0.1.0 wrote them
        version, tree, own = metadata.get("version"), metadata.get("tree"), {"format", "version", "tree"}
    else:
        version, tree, own = metadata.get(_VERSION_KEY), metadata.get(_TREE), _OWN
    given = {key: value for key, value in metadata.items() if key not in own}
    if tree is None:
        return dict(arrays), given
    if version not in ("1", _VERSION):
        raise SerializationError(
            f"'{label}' is of version {version}, this program reads versions up to {_VERSION}: install a newer one"
        )
    try:
        return _Reader(arrays).unflatten(json.loads(tree)), given
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise SerializationError(f"'{label}' is damaged: its table of contents does not match its tensors") from error


class _Flattener:
    """Turns nested state into JSON, and collects the arrays it meets."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._known: dict[tuple[Any, ...], tuple[str, Any]] = {}  # with what was met, lest an id serve twice

    def flatten(self, value: Any, path: str, levels: int) -> Any:
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, Tensor):
            return {"$tensor": self._tensor(value, path)}
        if isinstance(value, np.ndarray):
            return {"$array": self._store(value, value, path, {})}
        if isinstance(value, np.generic):
            return {"$scalar": self._store(value, np.asarray(value), path, {})}
        if isinstance(value, int):
            return int(value) if abs(value) < 2**63 else {"$int": hex(value)}
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, complex):
            return {"$complex": [self.flatten(value.real, path, 0), self.flatten(value.imag, path, 0)]}
        if isinstance(value, bytes):
            return {"$bytes": base64.b85encode(value).decode()}
        if isinstance(value, DType):
            return {"$dtype": value.name}
        if isinstance(value, device):
            return {"$device": str(value)}
        if not levels:
            raise ValueError(f"what is at '{path[:80]}' is nested deeper than {MAX_DEPTH}, or holds itself")
        if isinstance(value, OrderedDict):
            known = getattr(value, "_metadata", None)
            about = None if known is None else self.flatten(dict(known), path, levels - 1)
            return {"$ordered": [self._mapping(value, path, levels - 1), about]}
        if isinstance(value, Mapping):
            return self._mapping(value, path, levels - 1)
        if isinstance(value, Size):
            return {"$size": list(value)}
        if isinstance(value, list | tuple):
            items = [self.flatten(item, join(path, i), levels - 1) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        raise TypeError(
            f"a file cannot hold the {type(value).__name__} at '{path}': "
            "use tensors, arrays, numbers, strings, None, lists, tuples and dictionaries"
        )

    def _mapping(self, value: Mapping[Any, Any], path: str, levels: int) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self.flatten(item, join(path, key), levels) for key, item in value.items()}
        items = []
        for key, item in value.items():
            if not isinstance(key, str | int | float | bool | tuple | None):
                raise TypeError(f"a file cannot hold the key {key!r} at '{path}': use strings or numbers")
            check_key(key)
            items.append([self.flatten(key, path, levels), self.flatten(item, join(path, key), levels)])
        return {"$items": items}

    def _tensor(self, value: Tensor, path: str) -> Any:
        from framework.nn.parameter import Parameter

        options: dict[str, Any] = {}
        if isinstance(value, Parameter):
            options["kind"] = "parameter"
        if value.requires_grad:
            options["requires_grad"] = True
        return self._store(value, value.detach().cpu().numpy(), path, options)

    def _store(self, value: Any, array: np.ndarray[Any, Any], path: str, options: dict[str, Any]) -> Any:
        wide = array.dtype.newbyteorder("<") == _COMPLEX
        if wide:
            options["as"] = "complex128"
        key = (array.ctypes.data, array.dtype, array.shape, array.strides) if array.size else (id(value),)
        if key not in self._known:
            name = path or "value"
            while name in self.arrays:
                name += "'"
            check_name(name)
            self._known[key] = name, (value, array)
            if wide:
                array = array.astype(_COMPLEX, order="C").reshape(-1).view("<f8").reshape(*array.shape, 2)
            self.arrays[name] = check_array(name, array)
        name = self._known[key][0]
        return [name, options] if options else name


class _Reader:
    """Turns the JSON of a file back into nested state."""

    def __init__(self, arrays: dict[str, Stored]) -> None:
        self._arrays = arrays
        self._made: dict[tuple[str, str], Stored] = {}

    def unflatten(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.unflatten(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) != 1 or not next(iter(node)).startswith("$"):
            return {key: self.unflatten(item) for key, item in node.items()}
        ((kind, value),) = node.items()
        return _KINDS[kind](self, value)

    def _stored(self, value: Any, kind: str) -> Stored:
        name, options = value if isinstance(value, list) else (value, {})
        key = kind, repr(value)
        if key not in self._made:
            found = replace(self._arrays[name], kind=options.get("kind", kind))
            if found.kind not in ("tensor", "parameter", "array", "scalar"):
                raise ValueError(found.kind)
            found.requires_grad = bool(options.get("requires_grad"))
            if "as" in options:
                found = _pairs_as_complex(found)
            self._made[key] = found
        return self._made[key]

    def _tensor(self, value: Any) -> Stored:
        return self._stored(value, "tensor")

    def _array(self, value: Any) -> Stored:
        return self._stored(value, "array")

    def _scalar(self, value: Any) -> Stored:
        return self._stored(value, "scalar")

    def _tuple(self, value: Any) -> tuple[Any, ...]:
        return tuple(self.unflatten(item) for item in value)

    def _items(self, value: Any) -> dict[Any, Any]:
        return {check_key(self.unflatten(key)): self.unflatten(item) for key, item in value}

    def _ordered(self, value: Any) -> OrderedDict[Any, Any]:
        items, known = value
        result = OrderedDict(self.unflatten(items))
        if known is not None:
            result._metadata = self.unflatten(known)  # type: ignore[attr-defined]
        return result

    def _float(self, value: Any) -> float:
        return float(value)

    def _int(self, value: Any) -> int:
        return int(value, 16)

    def _complex(self, value: Any) -> complex:
        real, imag = value
        return complex(self.unflatten(real), self.unflatten(imag))

    def _bytes(self, value: Any) -> bytes:
        return base64.b85decode(value)

    def _dtype(self, value: Any) -> DType:
        return _TYPES[value]

    def _device(self, value: Any) -> device:
        return device(value)

    def _size(self, value: Any) -> Size:
        return Size(operator.index(length) for length in value)


_KINDS: dict[str, Callable[[_Reader, Any], Any]] = {
    "$tensor": _Reader._tensor,
    "$array": _Reader._array,
    "$scalar": _Reader._scalar,
    "$tuple": _Reader._tuple,
    "$items": _Reader._items,
    "$ordered": _Reader._ordered,
    "$float": _Reader._float,
    "$int": _Reader._int,
    "$complex": _Reader._complex,
    "$bytes": _Reader._bytes,
    "$dtype": _Reader._dtype,
    "$device": _Reader._device,
    "$size": _Reader._size,
}


def _pairs_as_complex(pairs: Stored) -> Stored:
    if pairs.dtype != np.dtype("<f8") or pairs.shape[-1:] != (2,):
        raise ValueError("complex numbers are stored as pairs of float64")
    read, shape = pairs.read, pairs.shape[:-1]
    return replace(pairs, dtype=_COMPLEX, shape=shape, read=lambda: read().view(_COMPLEX).reshape(shape))
