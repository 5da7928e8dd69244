"""What is kept for backward, when hooks pack it: `autograd.graph.saved_tensors_hooks` puts them here.

Without hooks a node holds its arrays itself; with hooks each array is handed to the innermost pair's `pack`, and
`unpack` gives it back when backward needs it.
"""

import threading
from collections.abc import Callable
from typing import Any

from framework.core.modes import PACKING, modes
from framework.core.node import FREED, Node

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class _Stack(threading.local):
    def __init__(self) -> None:
        self.pairs: list[Pair | None] = []  # None: hooks are set aside, as while a hook itself runs


hooks = _Stack()


def push(pair: Pair | None) -> None:
    """Make a pair (or, with None, no hooks at all) the innermost one of this thread."""
    hooks.pairs.append(pair)
    _set_flag()


def pop() -> None:
    """Undo the last `push`."""
    hooks.pairs.pop()
    _set_flag()


def _set_flag() -> None:
    active = bool(hooks.pairs) and hooks.pairs[-1] is not None
    modes.flags = modes.flags | PACKING if active else modes.flags & ~PACKING


class Packed:
    """One saved tensor in the form its `pack` hook gave it."""

    __slots__ = ("_unpack", "_what")

    def __init__(self, tensor: Any) -> None:
        pair = hooks.pairs[-1]
        assert pair is not None
        pack, self._unpack = pair
        self._what = _undisturbed(pack, tensor)

    def unpack(self) -> Any:
        """The tensor again; TypeError where the hook returned something else."""
        from framework.core.tensor import Tensor

        tensor = _undisturbed(self._unpack, self._what)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got {type(tensor).__name__}"
            )
        return tensor


def _undisturbed(hook: Callable[[Any], Any], argument: Any) -> Any:
    """A hook's own operations are not packed (they may record: a hook that computes keeps its history out)."""
    push(None)
    try:
        return hook(argument)
    finally:
        pop()


class PackedNode(Node):
    """A node whose saved arrays went through hooks; they come back while its derivative is computed."""

    __slots__ = ()

    def apply(self, grads: list[Any], create_graph: bool, useful: "set[Any] | None" = None) -> list[Any]:
        packed = self.saved
        if packed is None:
            raise RuntimeError(FREED)
        self.saved = {name: _restored(value) for name, value in packed.items()}
        try:
            return self.op.pull(self, grads, create_graph, useful)
        finally:
            self.saved = packed


def pack_arrays(saved: dict[str, Any]) -> dict[str, Any]:
    """A node's saved arrays, each packed by the innermost hooks; numbers stay."""
    from framework.core.tensor import Tensor

    def packed(value: Any) -> Any:
        if type(value) is list:
            return [packed(item) for item in value]
        return Packed(Tensor._wrap(value)) if hasattr(value, "dtype") else value

    return {name: packed(value) for name, value in saved.items()}


def _restored(value: Any) -> Any:
    if type(value) is list:
        return [_restored(item) for item in value]
    return value.unpack()._data if type(value) is Packed else value


class SavedTensor:
    """A tensor kept by an operation of the user's own: itself, with its write count, or packed by hooks.

    `place` is where it stands in the graph afterwards: its edge, or for an output (node, number) given on `get`.
    """

    __slots__ = ("_cell", "_edge", "_held", "_output", "_version")

    def __init__(self, tensor: Any, output: int | None = None) -> None:
        self._output = output
        self._edge = tensor._edge if output is None else None
        self._cell = None
        if modes.flags & PACKING:
            self._held = Packed(tensor.detach())
            return
        # an output holds its node, which holds this: keep its array alone, or neither would ever be freed
        self._held = tensor if output is None else tensor.detach()
        self._cell = tensor._shared()
        self._version = self._cell.version

    def get(self, node: Any, what: str) -> Any:
        """The tensor in its place in the graph; RuntimeError where it was written since it was saved."""
        from framework.core.tensor import Tensor

        if self._cell is not None and self._cell.version != self._version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor given to {what} is at version {self._cell.version}; expected version {self._version} instead"
            )
        held: Any = self._held
        if type(held) is not Packed and self._output is None:
            return held
        array = held.unpack()._data if type(held) is Packed else held._data
        return Tensor._wrap(array, self._edge if self._output is None else (node, self._output))
