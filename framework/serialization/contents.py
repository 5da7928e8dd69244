"""What is in a file of any known format, before a tensor of it is read."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from framework.core.dtype import FROM_NUMPY
from framework.serialization.archive import looks_like_zip
from framework.serialization.errors import SerializationError, shown
from framework.serialization.keras import SIGNATURE, KerasFile
from framework.serialization.safetensors import looks_like_safetensors, read_safetensors
from framework.serialization.sharded import INDEX, find_checkpoint, read_index
from framework.serialization.source import Source
from framework.serialization.stored import Refused, Stored, arrays_of
from framework.serialization.torch_files import looks_like_legacy, read_legacy, read_zip
from framework.serialization.tree import unflatten


@dataclass(frozen=True)
class Contents:
    """An open file: nested `state` with `Stored` at the places of arrays, and these by name."""

    label: str
    format: str
    state: Any
    arrays: dict[str, Stored | Refused]
    metadata: dict[str, str]


class TensorInfo(NamedTuple):
    """Type (PyTorch's name for it), shape and bytes of a tensor in a file; `refused` says why it cannot be read."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    refused: str | None = None


class Description(NamedTuple):
    """What a file holds: its format, the metadata of whoever wrote it, and its tensors by name."""

    format: str
    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]


def describe(f: Any) -> Description:
    """Names, types and shapes in a file that `load` reads, without reading the tensors. Raises what `load` raises."""
    with open_contents(f) as contents:
        tensors = {name: _info(stored) for name, stored in contents.arrays.items()}
        return Description(contents.format, contents.metadata, tensors)


@contextlib.contextmanager
def open_contents(f: Any, mapped: bool = True) -> Iterator[Contents]:
    """The contents of a file, a folder of shards or a binary object; its arrays can be read until the block ends."""
    with contextlib.ExitStack() as stack:
        path = None if hasattr(f, "read") else find_checkpoint(Path(f))
        if path is not None and path.name.endswith(INDEX):
            yield _open_shards(path, mapped, stack)
        else:
            yield _open_file(f if path is None else path, mapped, stack)


def _open_file(f: Any, mapped: bool, stack: contextlib.ExitStack) -> Contents:
    source = stack.enter_context(Source(f, mapped))
    label = source.label
    state: Any
    metadata: dict[str, str] = {}
    if bytes(source.view()[: len(SIGNATURE)]) == SIGNATURE:
        keras = KerasFile(io.BytesIO(source.view()) if hasattr(f, "read") else f, label, source.size)
        stack.callback(keras.close)
        state, metadata = keras.read()
        kind = "Keras"
    elif looks_like_zip(source):
        state, kind = read_zip(source)
    elif looks_like_legacy(source):
        state, kind = read_legacy(source), "PyTorch before 1.6"
    elif looks_like_safetensors(source):
        arrays, metadata = read_safetensors(source)
        (state, metadata), kind = unflatten(arrays, metadata, label), "safetensors"
    else:
        raise _unknown(source)
    return Contents(label, kind, state, arrays_of(state, label), metadata)


def _open_shards(index: Path, mapped: bool, stack: contextlib.ExitStack) -> Contents:
    """The state that several files hold together; each is opened once."""
    shards, about = read_index(index)
    arrays: dict[str, Any] = {}
    kinds = set()
    for name, wanted in shards.items():
        path = index.with_name(name)
        if not path.exists():
            raise SerializationError(f"'{index.name}' names the shard {shown(name)}, which is missing: download it too")
        shard = _open_file(path, mapped, stack)
        kinds.add(shard.format)
        # A shard is one flat dictionary; names with dots are its keys.
        held = shard.state if isinstance(shard.state, dict) else {}
        for key in wanted:
            if not isinstance(held.get(key), Stored | Refused):
                raise SerializationError(
                    f"shard {shown(name)} has no tensor {shown(key)}, which '{index.name}' says it has"
                )
            arrays[key] = held[key]
    metadata = {key: str(value) for key, value in about.items()}
    state, metadata = unflatten(arrays, metadata, index.name)
    kind = " and ".join(sorted(kinds)) or "safetensors"
    return Contents(index.name, f"{kind} in {len(shards)} shards", state, arrays_of(state, index.name), metadata)


def _info(stored: Stored | Refused) -> TensorInfo:
    if isinstance(stored, Refused):
        return TensorInfo("", (), 0, stored.reason)
    known = FROM_NUMPY.get(stored.dtype)
    return TensorInfo(known.name if known else stored.dtype.name, stored.shape, stored.nbytes)


def _unknown(source: Source) -> SerializationError:
    head = bytes(source.view()[:512])
    if not source.size:
        what = "it is empty; copy or download it again"
    elif head.startswith(b"version https://git-lfs"):
        what = "it is only Git LFS's pointer to the file; fetch the file itself with 'git lfs pull'"
    elif head.lstrip()[:1] == b"<":
        what = "it is a web page; download the file itself"
    elif source.size < 16:
        what = f"it is truncated: it has only {source.size} bytes; copy or download it again"
    elif head[:1] == b"\x80":
        what = "it is a pickle but none that torch.save wrote; read it where it was made and save a state_dict()"
    else:
        what = "it is no safetensors, PyTorch, TorchScript or Keras 2 file, or it is damaged"
    return SerializationError(f"'{source.label}' cannot be read: {what}")
