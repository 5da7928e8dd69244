"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from framework.core.tensor import Tensor
from framework.nn.modules.module import Module

_ABSENT: Any = object()


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The module's output with tensors by dotted name in the place of its own parameters and buffers.

    Gradients flow to the given tensors, and the module is afterwards as it was. What a forward writes to a buffer lands
    in the given dict. `args` that is no tuple is one argument. With `tie_weights` a tensor that the module holds under
    several names is replaced under all of them; with `strict` the names must be exactly the module's.
    """
    named = _one_dict(parameter_and_buffer_dicts)
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with replaced(module, named, tie_weights, strict):
        return module(*args, **(kwargs or {}))


@contextmanager
def replaced(module: Module, named: dict[str, Any], tie_weights: bool = True, strict: bool = False) -> Iterator[None]:
    """The module with the named tensors in the place of its own, within a `with` block."""
    given = _tied(module, named) if tie_weights else dict(named)
    if strict:
        _check_names(module, given)
    original: dict[str, Any] = {}
    try:
        for name, tensor in given.items():
            original[name] = _swap(module, name, tensor)
        yield
    finally:
        after = {name: _swap(module, name, tensor) for name, tensor in reversed(original.items())}
        named.update((name, after[name]) for name in named if name in after)


def _one_dict(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}"
        )
    if not all(isinstance(part, dict) for part in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    repeated = [name for name, count in Counter(name for part in dicts for name in part).items() if count > 1]
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {name: tensor for part in dicts for name, tensor in part.items()}


def _names(module: Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _tied(module: Module, named: dict[str, Any]) -> dict[str, Any]:
    """`named`, with a value for every further name of a tensor that it replaces."""
    groups: dict[int, list[str]] = {}
    for name, tensor in _names(module).items():
        groups.setdefault(id(tensor), []).append(name)
    result = dict(named)
    for names in groups.values():
        values = [named[name] for name in names if name in named]
        if len(names) == 1 or not values:
            continue
        if any(value is not values[0] for value in values):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                "Consider using tie_weights=False"
            )
        result.update((name, values[0]) for name in names)
    return result


def _check_names(module: Module, given: dict[str, Any]) -> None:
    own = _names(module)
    problems = []
    for label, names in (
        ("Unexpected", [name for name in given if name not in own]),
        ("Missing", [name for name in own if name not in given]),
    ):
        if names:
            problems.append(f"{label} key(s): {', '.join(map(repr, sorted(names)))}.")
    if problems:
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(problems))


def _swap(module: Module, path: str, tensor: Any) -> Any:
    """Put a tensor (or nothing) where `path` points, and return what was there."""
    parent, _, name = path.rpartition(".")
    owner = module.get_submodule(parent)
    if tensor is not None and tensor is not _ABSENT and not isinstance(tensor, Tensor):
        raise TypeError(f"{tensor} is not an instance of Tensor")
    tables: tuple[dict[str, Any], ...] = owner._parameters, owner._buffers
    for table in tables:
        if name in table:
            before: Any = table[name]
            table[name] = tensor
            return before
    # Past registration, and past a parametrization of this name: its property gives way to what stands here.
    before = owner.__dict__.get(name, _ABSENT)
    if before is not _ABSENT and before is not None and not isinstance(before, Tensor):
        raise TypeError(f"attribute `{name}`: {before} is not an instance of Tensor")
    if tensor is _ABSENT:
        owner.__dict__.pop(name, None)
    else:
        owner.__dict__[name] = tensor
    return before
