"""TorchScript archives: the tree of module objects in `data.pkl`, as the state dict of its root."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from framework.serialization.archive import Archive
from framework.serialization.errors import SerializationError, shown
from framework.serialization.stored import MAX_DEPTH, Refused, Stored, join
from framework.serialization.torch_objects import find
from framework.serialization.unpickle import Buildable, Callee

_MAX_MODULES = 100_000
_LISTS = re.compile(
    r"^class (\w+)\(Module\):\n +__parameters__ = \[([^\]\n]*)\]\n +__buffers__ = \[([^\]\n]*)\]", re.MULTILINE
)


class ScriptObject(Buildable):
    """An object of a class that the archive's own code defines: its attributes, and none of its code."""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.attributes: Any = None

    def build(self, state: Any) -> None:
        self.attributes = state


def find_in_script(module: str, name: str) -> Any:
    """What a name in a TorchScript archive stands for; classes of the archive become plain attribute trees."""
    full = f"{module}.{name}"
    if full.startswith("__torch__."):
        return Callee(full, lambda: ScriptObject(full))
    return _LIST_MAKERS.get(full) or find(module, name)


def state_of_script(root: Any, archive: Archive, prefix: str, label: str) -> OrderedDict[str, Stored | Refused]:
    """The parameters and buffers of a module tree, in the order and under the names of `state_dict()`."""
    if not isinstance(root, ScriptObject):
        raise SerializationError(f"'{label}' cannot be read: its TorchScript archive holds no module")
    walker = _Walker(archive, prefix, label)
    walker.walk(root, "", 0)
    return walker.found


class _Walker:
    """Collects the parameters and buffers of modules, as the archive's code declares them."""

    def __init__(self, archive: Archive, prefix: str, label: str) -> None:
        self.found: OrderedDict[str, Stored | Refused] = OrderedDict()
        self._archive, self._prefix, self._label = archive, prefix, label
        self._declared: dict[str, dict[str, list[str]]] = {}
        self._visits = 0

    def walk(self, module: ScriptObject, path: str, depth: int) -> None:
        """Take what the module and those within it own."""
        self._visits += 1
        if depth > MAX_DEPTH or self._visits > _MAX_MODULES:
            raise SerializationError(f"'{self._label}' was refused: its modules are nested too deep, or too many")
        if module.name.startswith("__torch__.torch.classes."):
            raise SerializationError(
                f"'{self._label}' cannot be read: {shown(path)} holds packed parameters of {shown(module.name)}; "
                "save the model before it is quantised"
            )
        attributes = module.attributes
        if not isinstance(attributes, dict):
            raise SerializationError(
                f"'{self._label}' cannot be read: {shown(path or 'its root')} has a state of its own making"
            )
        tensors = {name: value for name, value in attributes.items() if isinstance(value, Stored | Refused)}
        declared = self._names(module.name)
        for name in tensors if declared is None else [name for name in declared if name in tensors]:
            tensor = tensors[name]
            self.found[join(path, name)] = (
                replace(tensor, requires_grad=False) if isinstance(tensor, Stored) else tensor
            )
        for name, value in attributes.items():
            if isinstance(value, ScriptObject):
                self.walk(value, join(path, name), depth + 1)

    def _names(self, class_: str) -> list[str] | None:
        """Names of a class's parameters and buffers; None where the archive's code does not say."""
        path, _, name = class_.rpartition(".")
        if path not in self._declared:
            record = f"{self._prefix}code/{path.replace('.', '/')}.py"
            text = self._archive.text(record) if record in self._archive else ""
            self._declared[path] = {
                found: re.findall(r'"([^"]*)"', f"{parameters} {buffers}")
                for found, parameters, buffers in _LISTS.findall(text)
            }
        return self._declared[path].get(name)


_MAKERS: dict[str, Callable[..., Any]] = {
    "build_intlist": list,
    "build_doublelist": list,
    "build_boollist": list,
    "build_tensorlist": list,
    "restore_type_tag": lambda value, tag: value,
}
_LIST_MAKERS: dict[str, Callee] = {f"torch.jit._pickle.{name}": Callee(name, make) for name, make in _MAKERS.items()}
