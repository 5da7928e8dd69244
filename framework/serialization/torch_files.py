"""Files that torch.save wrote: a zip archive since PyTorch 1.6, before that pickles followed by raw storages."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.serialization.archive import Archive
from framework.serialization.errors import SerializationError, shown
from framework.serialization.source import Source
from framework.serialization.torch_objects import Storage, StorageClass, find, swapped
from framework.serialization.torchscript import find_in_script, state_of_script
from framework.serialization.unpickle import Unpickler

_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how a pickle spells torch's magic number
_LEGACY_VERSION = 1001


def looks_like_legacy(source: Source) -> bool:
    """Whether the file begins as torch.save began files before PyTorch 1.6."""
    head = bytes(source.view()[: 2 + len(_MAGIC)])
    return head[:1] == b"\x80" and head[2:] == _MAGIC


def read_zip(source: Source) -> tuple[Any, str]:
    """The nested state of a zip archive of PyTorch's, and which kind it is.

    The parameters and buffers of a TorchScript archive, under the names of its `state_dict()`.
    """
    archive = Archive(source)
    pickles = [name for name in archive.names() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise SerializationError(
            f"'{source.label}' cannot be read: it is a zip archive, but not one of PyTorch's (those hold one data.pkl)"
        )
    prefix = pickles[0].removesuffix("data.pkl")
    script = f"{prefix}constants.pkl" in archive
    place = _ZipStorages(source, archive, prefix)
    content = archive.read(pickles[0])
    machine = Unpickler(content, source.label, find_in_script if script else find, place)
    state = machine.load()
    return (state_of_script(state, archive, prefix, source.label), "TorchScript") if script else (state, "PyTorch")


class _ZipStorages:
    """The storages of an archive by the identifiers that stand for them in its pickle."""

    def __init__(self, source: Source, archive: Archive, prefix: str) -> None:
        order = f"{prefix}byteorder"
        self._big = order in archive and archive.read(order) == b"big"
        self._source, self._archive, self._prefix = source, archive, prefix
        self._known: dict[str, Storage] = {}

    def __call__(self, identifier: Any) -> Storage:
        key, class_, location, count = _storage_parts(identifier, 5)
        name = f"{self._prefix}data/{key}"
        begin, size = self._archive.place(name)
        nbytes = size if class_.type.dtype is None else count * _width(class_)
        if key not in self._known:
            if size != nbytes:
                raise SerializationError(
                    f"'{self._source.label}' is damaged: its record {shown(name)} has {size} bytes instead of "
                    f"{nbytes}; copy or download it again"
                )

            def fetch() -> np.ndarray[Any, Any]:
                raw = self._source.array(begin, nbytes)
                return raw if not self._big or class_.type.dtype is None else swapped(raw, class_.type.dtype)

            self._known[key] = Storage(class_.type, nbytes, location, fetch)
        return _again(self._known[key], class_, nbytes)


def read_legacy(source: Source) -> Any:
    """The nested state of a file of the older format."""
    storages = _LegacyStorages(source)
    machine = Unpickler(source.view(), source.label, find, storages)
    if machine.load() != 0x1950A86A20F9469CFC6C or machine.load() != _LEGACY_VERSION:
        raise SerializationError(f"'{source.label}' cannot be read: its version of PyTorch's older format is unknown")
    about = machine.load()
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise SerializationError(f"'{source.label}' cannot be read: a big-endian machine wrote it in the older format")
    state = machine.load()
    storages.find(machine.load(), machine.position)
    return state


class _LegacyStorages:
    """Storages that follow the pickles: where each begins is known only after all are named."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[str, Storage] = {}
        self._counts: dict[str, int] = {}
        self._begin: dict[str, int] = {}

    def __call__(self, identifier: Any) -> Storage:
        key, class_, location, count, part = _storage_parts(identifier, 6)
        nbytes = count * _width(class_)
        if key not in self._known:
            self._counts[key] = count
            self._known[key] = Storage(
                class_.type, nbytes, location, lambda: self._source.array(self._begin[key], nbytes)
            )
        whole = _again(self._known[key], class_, nbytes)
        if part is None:
            return whole
        _, offset, length = part  # a storage that is a piece of another
        begin, end = offset * _width(class_), (offset + length) * _width(class_)
        if not 0 <= begin <= end <= nbytes:
            raise ValueError("a part of a storage reaches beyond it")
        return Storage(class_.type, end - begin, location, lambda: whole.bytes[begin:end])

    def find(self, keys: Any, position: int) -> None:
        """Take note of where the storages are: for each its length in elements, then its bytes."""
        if not isinstance(keys, list) or set(keys) != self._known.keys() or len(keys) != len(self._known):
            raise SerializationError(
                f"'{self._source.label}' is damaged: its list of storages does not match its tensors; "
                "copy or download it again"
            )
        for key in keys:
            storage = self._known[key]
            count = int.from_bytes(self._source.read(position, 8), "little", signed=True)
            if count != self._counts[key]:
                raise SerializationError(
                    f"'{self._source.label}' is damaged: a storage has {count} elements instead of "
                    f"{self._counts[key]}; copy or download it again"
                )
            self._begin[key] = position + 8
            position += 8 + storage.nbytes
        self._source.read(position, 0)


def _storage_parts(identifier: Any, count: int) -> list[Any]:
    """Key, class, location, number of elements (and what follows) of a storage's identifier."""
    kind, class_, key, location, number, *rest = identifier
    if kind != "storage" or not isinstance(class_, StorageClass) or not isinstance(key, str):
        raise ValueError("only storages lie outside the pickle")
    if not isinstance(location, str) or type(number) is not int or not 0 <= number < 2**60 or len(rest) != count - 5:
        raise ValueError("a storage has a place and a length")
    return [key, class_, location, number, *rest]


def _width(class_: StorageClass) -> int:
    return _QUANTISED_WIDTHS.get(class_.name, 1) if class_.type.dtype is None else class_.type.dtype.itemsize


def _again(known: Storage, class_: StorageClass, nbytes: int) -> Storage:
    """The storage that a key already stands for; a second mention must be of the same size."""
    if known.nbytes != nbytes:
        raise ValueError("a storage has two sizes")
    if known.type == class_.type:
        return known
    return Storage(class_.type, nbytes, known.location, lambda: known.bytes)


_QUANTISED_WIDTHS = {"QInt32Storage": 4, "ComplexHalfStorage": 4}
