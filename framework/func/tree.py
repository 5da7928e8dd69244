"""Nested tuples, lists and dictionaries of values, taken apart and put together again."""

from collections.abc import Callable
from typing import Any


class Structure:
    """The shape of a nest: `kind` None for a leaf, else how to rebuild it from its `parts`."""

    __slots__ = ("build", "count", "keys", "kind", "parts")

    def __init__(self, kind: Any, keys: Any, parts: "list[Structure]", build: Any) -> None:
        self.kind = kind
        self.keys = keys
        self.parts = parts
        self.build = build
        self.count: int = 1 if kind is None else sum(part.count for part in parts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Structure)
            and (self.kind, self.keys) == (other.kind, other.keys)
            and self.parts == other.parts
        )

    __hash__ = None  # type: ignore[assignment]


LEAF = Structure(None, None, [], None)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves in order, and the structure. None is a leaf."""
    opened = _open(tree)
    if opened is None:
        return [tree], LEAF
    keys, values, build = opened
    leaves: list[Any] = []
    parts = []
    for value in values:
        below, structure = flatten(value)
        leaves += below
        parts.append(structure)
    return leaves, Structure(type(tree), keys, parts, build)


def unflatten(leaves: list[Any], structure: Structure) -> Any:
    """The nest that `flatten` took apart, with other leaves."""
    if structure.kind is None:
        return leaves[0]
    values = []
    start = 0
    for part in structure.parts:
        values.append(unflatten(leaves[start : start + part.count], part))
        start += part.count
    return structure.build(values)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The nest with a function applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten([function(leaf) for leaf in leaves], structure)


def spread_prefix(prefix: Any, tree: Any) -> list[Any] | None:
    """For each leaf of `tree` the value that `prefix`, a nest of the same or a shallower shape, has for it.

    None where the two do not fit.
    """
    opened = _open(tree)
    if not isinstance(prefix, tuple | list | dict):
        return [prefix] * flatten(tree)[1].count
    below = _open(prefix)
    if opened is None or below is None or type(prefix) is not type(tree) or opened[0] != below[0]:
        return None
    result: list[Any] = []
    for one, other in zip(below[1], opened[1]):
        part = spread_prefix(one, other)
        if part is None:
            return None
        result += part
    return result


def _open(tree: Any) -> tuple[Any, list[Any], Callable[[list[Any]], Any]] | None:
    kind = type(tree)
    if isinstance(tree, dict):
        keys = list(tree)
        return keys, list(tree.values()), lambda values: kind(zip(keys, values))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return len(tree), list(tree), lambda values: kind(*values)
    if kind in (tuple, list):
        return len(tree), list(tree), kind
    return None
