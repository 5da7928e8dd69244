"""This library under PyTorch's name, so that networks written for PyTorch import and run unchanged."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from framework.compat.torch_layout import LAYOUT, extras


@contextmanager
def as_torch() -> Iterator[types.ModuleType]:
    """Within the block `import torch`, in whatever is imported, gives this library.

        with framework.compat.as_torch():
            from vit_pytorch import ViT
        model = ViT(...)                 # a framework.nn.Module

    What was imported keeps working afterwards; code that imports torch late, inside its functions, must run within the
    block too. A name that this library lacks is an AttributeError or ImportError that says so. RuntimeError if PyTorch
    itself is loaded already: the two cannot stand under one name, and code would mix them.
    """
    present = sys.modules.get("torch")
    if isinstance(present, _Torch):  # a block within a block
        yield present
        return
    if present is not None:
        raise RuntimeError(
            "PyTorch is already imported in this process, and code would mix its tensors with these: use "
            "framework.compat.as_torch() in a process that has not imported it"
        )
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("torch")
    finally:
        if sys.meta_path:  # None while the interpreter ends
            sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name == "torch" or name.startswith("torch.")]:
            del sys.modules[name]


class _Torch(types.ModuleType):
    """A module under PyTorch's name that takes its names from this library's modules."""

    __path__: list[str] = []  # noqa: RUF012  (import reads it: a package without files)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute not in ("__version__", "__all__"):
            raise AttributeError(attribute)
        name = f"{self.__name__}.{attribute}"
        if name in LAYOUT:
            return _stand_in(name)  # not imported: this works after the block too
        own = extras(self.__name__)
        if attribute in own:
            return own[attribute]
        for module in _sources(self.__name__):
            if hasattr(module, attribute):
                return getattr(module, attribute)
        raise AttributeError(f"framework has nothing under the name {name}")

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *extras(self.__name__)}
        for module in _sources(self.__name__):
            names.update(dir(module))
        return sorted(names)


def _sources(name: str) -> Iterator[types.ModuleType]:
    for source in LAYOUT[name]:
        try:
            module = importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name != source:
                raise
            continue  # this part of the library is not built: its names are missing, like any other's
        yield module


@cache
def _stand_in(name: str) -> _Torch:
    return _Torch(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `torch` and all below it here, and never PyTorch's own files."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        if fullname not in LAYOUT:
            raise ModuleNotFoundError(f"framework has no module under the name {fullname}", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _stand_in(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run: names are looked up when asked for."""
