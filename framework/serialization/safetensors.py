"""The safetensors format (github.com/huggingface/safetensors): a JSON header and raw little-endian arrays.

Layout: 8 bytes header length (unsigned, little-endian), the header, then the data. The header maps each name to
`{"dtype", "shape", "data_offsets": [begin, end]}`, offsets counted from the start of the data; `__metadata__` maps
strings to strings. The data must be covered exactly: no holes, no overlap.
"""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any

import ml_dtypes
import numpy as np

from framework.serialization.collector import uncollected
from framework.serialization.errors import SerializationError, shown
from framework.serialization.source import Source
from framework.serialization.stored import Stored

# The format allows 100 MB; what JSON of that size unfolds to is more memory and time than a header is worth.
MAX_HEADER = 16 * 2**20
_ALIGNMENT = 64
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": np.dtype(np.bool_), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "C64": np.dtype("<c8"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn), "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz), "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def looks_like_safetensors(source: Source) -> bool:
    """Whether the file begins as a safetensors file does: a length, then the brace of a JSON object."""
    return bytes(source.view()[8:9]) == b"{"


def read_safetensors(source: Source) -> tuple[dict[str, Stored], dict[str, str]]:
    """The arrays of a file by name, in the order of their bytes, and its metadata; everything is checked."""
    header, start = _header(source)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise SerializationError(f"'{source.label}' is damaged: its metadata are not a table of strings")
    entries = [(name, *_entry(name, value, source.label)) for name, value in header.items()]
    entries.sort(key=lambda entry: entry[3:])
    data = source.size - start
    position = 0
    arrays = {}
    for name, dtype, shape, begin, end in entries:
        if begin != position:
            problem = "overlaps the tensor before it" if begin < position else "leaves a hole before it"
            raise SerializationError(
                f"'{source.label}' is damaged: tensor {shown(name)} {problem} (it begins at byte {begin})"
            )
        if end > data:
            raise SerializationError(
                f"'{source.label}' is truncated: tensor {shown(name)} ends at byte {end} of the data, which has only "
                f"{data}; copy or download it again"
            )
        position = end
        arrays[name] = Stored(dtype, shape, _reader(source, start + begin, end - begin, dtype, shape))
    if position != data:
        raise SerializationError(
            f"'{source.label}' is damaged: {data - position} bytes after its last tensor belong to none"
        )
    return arrays, metadata


def layout(arrays: Mapping[str, np.ndarray[Any, Any]]) -> list[str]:
    """The order in which arrays are written: wide types first, as in the reference implementation, so that every
    array starts aligned; then by name."""
    return sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))


def write_safetensors(
    file: IO[bytes], arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write little-endian arrays that passed `check_array`.

    The bytes depend only on names, values and metadata, not on the order of the mappings or on memory layout.
    """
    header: dict[str, Any] = {}
    if metadata:
        header[_METADATA] = dict(sorted(metadata.items()))
    position = 0
    names = layout(arrays)
    for name in names:
        array = arrays[name]
        end = position + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MAX_HEADER:
        raise SerializationError(
            f"names and plain values take {len(text)} bytes, more than the {MAX_HEADER} that a header may have: "
            "put long lists of numbers into arrays"
        )
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in names:
        file.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)


def check_name(name: Any) -> None:
    """SerializationError for what cannot name a tensor."""
    if not isinstance(name, str) or name == _METADATA:
        raise SerializationError(f"a tensor cannot be named {name!r}: names are strings other than '{_METADATA}'")


def check_array(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array in little-endian bytes; SerializationError for a type that the format does not have."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype not in _NAMES:
        raise SerializationError(f"'{name}' has type {array.dtype}, which safetensors cannot hold: convert it first")
    return array


def check_metadata(metadata: Mapping[str, str]) -> None:
    """SerializationError for metadata that are not a table of strings."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise SerializationError(f"metadata must map strings to strings, but {key!r} is a {type(value).__name__}")


def parse_json(text: bytes, what: str) -> dict[str, Any]:
    """A JSON object in which no name stands twice; `what` begins the sentence where it is none."""

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise SerializationError(f"{what} is damaged: a name stands twice in it")
        return result

    try:
        with uncollected():
            parsed = json.loads(text.decode("utf-8"), object_pairs_hook=table)
    except SerializationError:
        raise
    except (ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is damaged: it is not JSON") from error
    if not isinstance(parsed, dict):
        raise SerializationError(f"{what} is damaged: it is not a JSON object")
    return parsed


def _header(source: Source) -> tuple[dict[str, Any], int]:
    """The header, and the position where the data begin."""
    label, size = source.label, source.size
    if size < 8:
        raise SerializationError(f"'{label}' is truncated: it has {size} bytes, fewer than the 8 of a header's length")
    (length,) = struct.unpack("<Q", source.read(0, 8))
    if length > MAX_HEADER:
        raise SerializationError(
            f"'{label}' claims a header of {length} bytes, and more than {MAX_HEADER} are not read: it is damaged, or "
            "not a safetensors file"
        )
    if 8 + length > size:
        raise SerializationError(
            f"'{label}' is truncated: its header has {length} bytes, the whole file {size}; copy or download it again"
        )
    return parse_json(source.read(8, length), f"the header of '{label}'"), 8 + length


def _entry(name: str, value: Any, label: str) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise SerializationError(
            f"'{label}' is damaged: tensor {shown(name)} is not described by dtype, shape and data_offsets"
        )
    dtype = _DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if dtype is None:
        raise SerializationError(
            f"'{label}' cannot be read: tensor {shown(name)} has the unknown type {shown(value['dtype'])}"
        )
    shape, offsets = value["shape"], value["data_offsets"]
    if not _naturals(shape) or len(shape) > 64:
        raise SerializationError(f"'{label}' is damaged: tensor {shown(name)} has the impossible shape {shown(shape)}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SerializationError(
            f"'{label}' is damaged: tensor {shown(name)} has the impossible offsets {shown(offsets)}"
        )
    needed = math.prod(shape) * dtype.itemsize
    if needed != offsets[1] - offsets[0]:
        raise SerializationError(
            f"'{label}' is damaged: tensor {shown(name)} of shape {shown(shape)} and type {value['dtype']} "
            f"needs {needed} bytes, but its offsets {offsets} give {offsets[1] - offsets[0]}"
        )
    return dtype, tuple(shape), offsets[0], offsets[1]


def _naturals(values: Any) -> bool:
    """Whether it is a list of integers that can be sizes (those of 2**63 and more have no place on a machine)."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _reader(
    source: Source, begin: int, length: int, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> Callable[[], np.ndarray[Any, Any]]:
    return functools.cache(lambda: np.ndarray(shape, dtype, source.array(begin, length, dtype.alignment)))
