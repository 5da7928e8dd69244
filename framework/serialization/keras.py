"""Weights of Keras 2 in HDF5: files of `model.save` and of `model.save_weights`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.dtype import FROM_NUMPY
from framework.serialization.errors import SerializationError, shown
from framework.serialization.stored import Stored

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_EXPANSION = 100  # compressed weights unpack to little more than their size
_MAX_ATTRIBUTE = 2**26


class KerasFile:
    """An open `.h5` file; its arrays are read on request, each into memory of its own."""

    def __init__(self, file: Any, label: str, size: int) -> None:
        try:
            import h5py
        except ImportError:
            raise SerializationError(
                f"'{label}' is an HDF5 file, and reading it needs h5py: pip install 'voxhelix[keras]'"
            ) from None
        self._h5py = h5py
        self._label, self._size = label, size
        try:
            self._file = h5py.File(file, "r")
        except (OSError, RuntimeError, ValueError) as error:
            raise self._damaged() from error

    def close(self) -> None:
        """Close the file; arrays that were read stay."""
        self._file.close()

    def read(self) -> tuple[dict[str, Stored], dict[str, str]]:
        """The weights by Keras's own names ("conv1d_1/kernel:0"), with the layer's before them where that is needed to
        tell them apart; and the versions that wrote them."""
        try:
            return self._read()
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, SerializationError):
                raise
            raise self._damaged() from error

    def _read(self) -> tuple[dict[str, Stored], dict[str, str]]:
        root = self._group(self._file, "model_weights") if "model_weights" in self._file else self._file
        if not any(name in root.attrs for name in ("layer_names", "layer_names0")):
            raise SerializationError(
                f"'{self._label}' cannot be read: it is an HDF5 file without the layers of Keras 2 (layer_names)"
            )
        weights = []
        for layer in self._names(root, "layer_names"):
            group = self._group(root, layer)
            weights += [(layer, name, self._dataset(group, name)) for name in self._names(group, "weight_names")]
        short = {name for _, name, _ in weights}
        arrays = {name if len(short) == len(weights) else f"{layer}/{name}": array for layer, name, array in weights}
        if len(arrays) != len(weights):
            raise SerializationError(f"'{self._label}' is damaged: a weight stands twice in it")
        about = {key: _text(root.attrs[key]) for key in ("keras_version", "backend") if key in root.attrs}
        return arrays, about

    def _names(self, group: Any, attribute: str) -> list[str]:
        """A list of names, which Keras cuts into numbered pieces where it is long."""
        pieces = [attribute] if attribute in group.attrs else []
        while f"{attribute}{len(pieces)}" in group.attrs:
            pieces.append(f"{attribute}{len(pieces)}")
        names: list[str] = []
        for piece in pieces:
            about = group.attrs.get_id(piece)
            if math.prod(about.shape) * about.dtype.itemsize > _MAX_ATTRIBUTE:
                raise SerializationError(f"'{self._label}' was refused: a list of names in it is too long")
            names += [_text(name) for name in np.asarray(group.attrs[piece]).reshape(-1).tolist()]
        return names

    def _group(self, parent: Any, name: str) -> Any:
        found = self._follow(parent, name)
        if not isinstance(found, self._h5py.Group):
            raise SerializationError(f"'{self._label}' is damaged: {shown(name)} in it is not a group")
        return found

    def _follow(self, parent: Any, name: str) -> Any:
        """What a name stands for, through hard links only: others may lead to other files."""
        for part in name.split("/"):
            if not isinstance(parent, self._h5py.Group) or part not in parent:
                raise SerializationError(f"'{self._label}' is damaged: it has no {shown(name)}")
            if not isinstance(parent.get(part, getlink=True), self._h5py.HardLink):
                raise SerializationError(
                    f"'{self._label}' was refused: {shown(name)} in it is a link, which may lead to another file"
                )
            parent = parent[part]
        return parent

    def _dataset(self, group: Any, name: str) -> Stored:
        found = self._follow(group, name)
        if (
            not isinstance(found, self._h5py.Dataset)
            or found.shape is None
            or found.dtype.newbyteorder("=") not in FROM_NUMPY
        ):
            raise SerializationError(f"'{self._label}' cannot be read: {shown(name)} in it is not an array of numbers")
        if found.is_virtual or found.external:
            raise SerializationError(f"'{self._label}' was refused: {shown(name)} in it lies in another file")
        nbytes = math.prod(found.shape) * found.dtype.itemsize
        if nbytes > _MAX_EXPANSION * self._size:
            raise SerializationError(
                f"'{self._label}' was refused: {shown(name)} in it unpacks to {nbytes} bytes, over "
                f"{_MAX_EXPANSION} times the size of the file"
            )
        return Stored(found.dtype.newbyteorder("="), tuple(found.shape), self._reader(found))

    def _reader(self, dataset: Any) -> Callable[[], np.ndarray[Any, Any]]:
        def read() -> np.ndarray[Any, Any]:
            array = np.empty(dataset.shape, dataset.dtype.newbyteorder("="))
            try:
                if array.size:
                    dataset.read_direct(array)
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                raise self._damaged() from error
            return array

        return read

    def _damaged(self) -> SerializationError:
        return SerializationError(f"'{self._label}' is truncated or damaged: copy or download it again")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
