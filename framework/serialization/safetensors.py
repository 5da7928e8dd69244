"""The safetensors format (github.com/huggingface/safetensors): a JSON header and raw little-endian arrays.

Layout: 8 bytes header length (unsigned, little-endian), the header, then the data. The header maps each name to
`{"dtype", "shape", "data_offsets": [begin, end]}`, offsets counted from the start of the data; `__metadata__` maps
strings to strings. The data must be covered exactly: no holes, no overlap.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np

import framework
from framework.core.files import atomic_write
from framework.core.tensor import Tensor

_MAX_HEADER = 100_000_000  # the format's own limit
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": np.dtype(np.bool_), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "C64": np.dtype("<c8"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn), "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class SafetensorsError(ValueError):
    """A file that is not valid safetensors, or a value that the format cannot hold; one sentence says why."""


class Entry(NamedTuple):
    """Where one array lies in a file: `begin` and `end` count from the start of the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def save_file(
    tensors: Mapping[str, Tensor | np.ndarray], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write Tensors or NumPy arrays to a safetensors file, atomically.

    The bytes depend only on names, values and metadata, not on the order of the mapping or on memory layout.
    """
    arrays = {name: _as_array(name, value) for name, value in tensors.items()}
    # Wide types first, as the reference implementation does, so that every array starts aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {}
    if metadata:
        _check_metadata(metadata)
        header[_METADATA] = dict(sorted(metadata.items()))
    position = 0
    for name in names:
        array = arrays[name]
        end = position + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)


def load_file(
    path: str | os.PathLike[str], device: Any = "cpu", names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """All tensors of a safetensors file (or those in `names`), in the file's order."""
    tensors = {name: framework.from_numpy(array) for name, array in load_arrays(path, names).items()}
    if str(device) == "cpu":
        return tensors
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def load_arrays(path: str | os.PathLike[str], names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """As `load_file`, as NumPy arrays; each has memory of its own."""
    with open(path, "rb") as file:
        entries, _, start = _read_header(file, Path(path).name)
        wanted = list(entries) if names is None else list(names)
        arrays = {}
        for name in wanted:
            if name not in entries:
                raise KeyError(f"'{Path(path).name}' has no tensor named '{name}'")
            entry = entries[name]
            array = np.empty(entry.shape, entry.dtype)
            file.seek(start + entry.begin)
            view = array.reshape(-1).view(np.uint8)
            if entry.end > entry.begin and file.readinto(view.data) != entry.end - entry.begin:
                raise SafetensorsError(f"'{Path(path).name}' became shorter while it was read")
            arrays[name] = array
    return arrays


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file, without reading its tensors."""
    with open(path, "rb") as file:
        return _read_header(file, Path(path).name)[1]


def read_header(path: str | os.PathLike[str]) -> dict[str, Entry]:
    """Names, types, shapes and places of a file's tensors, without reading them."""
    with open(path, "rb") as file:
        return _read_header(file, Path(path).name)[0]


def _as_array(name: str, value: Any) -> np.ndarray:
    if not isinstance(name, str) or name == _METADATA:
        raise SafetensorsError(f"a tensor cannot be named {name!r}: names are strings other than '{_METADATA}'")
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        raise SafetensorsError(f"'{name}' is a {type(value).__name__}: only Tensors and NumPy arrays can be saved")
    array = value.astype(value.dtype.newbyteorder("<"), copy=False)
    if array.dtype not in _NAMES:
        raise SafetensorsError(f"'{name}' has type {array.dtype}, which safetensors cannot hold: convert it first")
    return array


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise SafetensorsError(f"metadata must map strings to strings, but {key!r} is a {type(value).__name__}")


def _read_header(file: IO[bytes], label: str) -> tuple[dict[str, Entry], dict[str, str], int]:
    """Entries in the file's order, metadata, and the position where the data begin; everything is checked."""
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    if len(first) < 8:
        raise SafetensorsError(
            f"'{label}' is not a safetensors file: it has {size} bytes, fewer than the 8 of a length"
        )
    (length,) = struct.unpack("<Q", first)
    if length > _MAX_HEADER:
        raise SafetensorsError(f"'{label}' is not a safetensors file: it claims a header of {length} bytes")
    if 8 + length > size:
        raise SafetensorsError(f"'{label}' is truncated: its header has {length} bytes, the whole file {size}")
    header = _parse(file.read(length), label)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise SafetensorsError(f"'{label}' is damaged: its metadata are not a table of strings")
    entries = {name: _entry(name, value, label) for name, value in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    data = size - 8 - length
    position = 0
    for name, entry in entries.items():
        if entry.begin != position:
            problem = "overlaps the tensor before it" if entry.begin < position else "leaves a hole before it"
            raise SafetensorsError(f"'{label}' is damaged: tensor '{name}' {problem} (it begins at byte {entry.begin})")
        if entry.end > data:
            raise SafetensorsError(
                f"'{label}' is truncated: tensor '{name}' ends at byte {entry.end} of the data, which has only {data}"
            )
        position = entry.end
    if position != data:
        raise SafetensorsError(f"'{label}' is damaged: {data - position} bytes after its last tensor belong to none")
    return entries, metadata, 8 + length


def _parse(text: bytes, label: str) -> dict[str, Any]:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise SafetensorsError(f"'{label}' is damaged: a name stands twice in its header")
        return result

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=table)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise SafetensorsError(f"'{label}' is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise SafetensorsError(f"'{label}' is not a safetensors file: its header is not a JSON object")
    return header


def _entry(name: str, value: Any, label: str) -> Entry:
    where = f"'{label}' is damaged: tensor '{name}'"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise SafetensorsError(f"{where} is not described by dtype, shape and data_offsets")
    dtype = _DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if dtype is None:
        raise SafetensorsError(f"{where} has the unknown type {value['dtype']!r}")
    shape, offsets = value["shape"], value["data_offsets"]
    if not _naturals(shape):
        raise SafetensorsError(f"{where} has the impossible shape {shape!r}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SafetensorsError(f"{where} has the impossible offsets {offsets!r}")
    if math.prod(shape) * dtype.itemsize != offsets[1] - offsets[0]:
        raise SafetensorsError(
            f"{where} of shape {shape} and type {value['dtype']} needs {math.prod(shape) * dtype.itemsize} bytes, "
            f"but its offsets {offsets} give {offsets[1] - offsets[0]}"
        )
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
