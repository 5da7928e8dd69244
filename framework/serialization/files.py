"""Saving and loading: one file format to write, and those of others to read. Loading never runs code."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from framework.core.dtype import FROM_NUMPY
from framework.core.files import atomic_write
from framework.core.tensor import Tensor
from framework.serialization.contents import Contents, open_contents
from framework.serialization.errors import SerializationError
from framework.serialization.safetensors import write_safetensors
from framework.serialization.sharded import parse_size, write_sharded
from framework.serialization.stored import Refused, Stored, build
from framework.serialization.tree import flatten

FilePath = str | os.PathLike[str]


def save(
    obj: Any,
    f: FilePath | IO[bytes],
    metadata: Mapping[str, str] | None = None,
    *,
    max_shard_size: int | str | None = None,
) -> None:
    """Write nested state (of models, optimizers, schedules, plain values) as safetensors, whatever the file's name.

    `obj` may be a state dict, or dictionaries, lists and tuples of Tensors, Parameters, NumPy arrays and scalars,
    numbers, strings, bytes, None, shapes, types and devices, nested up to 100 deep. Each tensor stands in the file
    under its path ("model.encoder.0.weight"), so that every safetensors reader finds it; memory that stands in several
    places is written once. `metadata` are strings for the reader's information.

    The file is whole or absent, whatever happens meanwhile. With `max_shard_size` (bytes, or a text as "5GB") larger
    states are written as `NAME-00001-of-0000N.safetensors` beside `NAME.safetensors.index.json`, as Hugging Face does.

    Raises TypeError for values that a file cannot hold, SerializationError for types that safetensors lacks.
    """
    arrays, text = flatten(obj, metadata)
    if not isinstance(f, str | os.PathLike):
        if max_shard_size is not None:
            raise ValueError("shards need a path to lie at, not a file object")
        write_safetensors(f, arrays, text)
    elif max_shard_size is not None:
        write_sharded(Path(f), arrays, text, parse_size(max_shard_size))
    else:
        with atomic_write(f) as file:
            write_safetensors(file, arrays, text)


def load(
    f: FilePath | IO[bytes],
    map_location: Any = None,
    *,
    mmap: bool = True,
    names: Iterable[str] | None = None,
    weights_only: bool | None = None,
) -> Any:
    """What `save` wrote, or the tensors and plain values of a file of another library; the content decides which.

    Read are safetensors, PyTorch's `.pt` and `.pth` (of all versions since 0.4), the parameters and buffers of
    TorchScript archives, Hugging Face's shards (a folder or its `*.index.json`), and the weights of Keras 2 in `.h5`
    (with h5py installed). No code in a file is run: `weights_only`, which PyTorch's scripts pass, changes nothing.

    With `mmap` tensors lie on the file, copy-on-write: opening takes milliseconds, a page is read when first touched,
    and what is written to a tensor stays in memory. The file must then not be overwritten in place while they live
    (replacing it, as `save` does, is safe); `mmap=False` reads everything at once. Compressed, big-endian and badly
    aligned tensors, and those of `.h5`, are always read at once.

    `names` reads only these tensors (as `describe` lists them) and gives a dictionary of them. `map_location` is a
    device, a dictionary from saved to wanted ones, or a function of (tensor, saved device), as in PyTorch; tensors come
    to the CPU without it.

    Raises SerializationError for files that are damaged, hostile or of no known format, KeyError for missing names.
    """
    place = _Placement(map_location)
    with open_contents(f, mmap) as contents:
        if names is None:
            return build(contents.state, lambda path, stored: _value(path, stored, contents.label, place))
        return {name: _value(name, stored, contents.label, place) for name, stored in _choose(contents, names).items()}


def load_arrays(
    f: FilePath | IO[bytes], names: Iterable[str] | None = None, *, mmap: bool = False
) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors of any file that `load` reads, by name, as NumPy arrays, also of types that Tensors lack (float8)."""
    with open_contents(f, mmap) as contents:
        return {name: _array(name, stored, contents.label) for name, stored in _choose(contents, names).items()}


def _choose(contents: Contents, names: Iterable[str] | None) -> dict[str, Stored | Refused]:
    if names is None:
        return contents.arrays
    chosen = {}
    for name in names:
        if name not in contents.arrays:
            like = difflib.get_close_matches(str(name), contents.arrays, 1)
            hint = f"; did you mean '{like[0]}'?" if like else ""
            raise KeyError(f"'{contents.label}' has no tensor named '{name}'{hint}")
        chosen[name] = contents.arrays[name]
    return chosen


def _array(name: str, stored: Stored | Refused, label: str) -> np.ndarray[Any, Any]:
    if isinstance(stored, Refused):
        raise SerializationError(f"'{label}' cannot be read whole: tensor '{name}' {stored.reason}")
    return stored.read()


def _value(name: str, stored: Stored | Refused, label: str, place: Callable[[Tensor, str], Tensor]) -> Any:
    """The Tensor, Parameter, array or scalar for an array of a file."""
    array = _array(name, stored, label)
    assert isinstance(stored, Stored)
    if stored.kind == "array":
        return array
    if stored.kind == "scalar":
        return array[()]
    if array.dtype not in FROM_NUMPY:
        raise SerializationError(
            f"'{label}' cannot be read as tensors: '{name}' has type {array.dtype}; "
            "framework.serialization.load_arrays reads it as a NumPy array"
        )
    tensor = place(Tensor._make(array), stored.location)
    if stored.kind == "parameter":
        from framework.nn import Parameter

        return Parameter(tensor, stored.requires_grad)
    return tensor.requires_grad_() if stored.requires_grad else tensor


class _Placement:
    """Where tensors go: PyTorch's `map_location`."""

    def __init__(self, map_location: Any) -> None:
        self._wanted = map_location

    def __call__(self, tensor: Tensor, location: str) -> Tensor:
        wanted = self._wanted
        if isinstance(wanted, Mapping):
            wanted = wanted.get(location)
        elif callable(wanted):
            result = wanted(tensor, location)
            return tensor if result is None else result
        return tensor if wanted is None else tensor.to(wanted)
