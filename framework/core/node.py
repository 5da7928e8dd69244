"""Nodes of the graph that running operations leave behind, and what flows back through them."""

import itertools
import sys
import threading
import weakref
from typing import Any

import numpy as np

sequence = itertools.count()
_accumulating = threading.Lock()
_BORROWS = sys.version_info >= (3, 14) or sys.implementation.name != "cpython"
FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time."
)


class Cell:
    """What all tensors on the same memory share: how often it was written, and which of them are views."""

    __slots__ = ("version", "views")

    def __init__(self) -> None:
        self.version = 0
        self.views: list[weakref.ref[Any]] | None = None


class Node:
    """One recorded operation.

    `edges` holds, for each input, the (node, output number) its gradient goes to, or None; `meta` the
    (shape, NumPy dtype) of each output; `saved` and `versions` the arrays kept for the derivative and the
    write counts they must still have; `attrs` the operation's other arguments.
    """

    __slots__ = ("__dict__", "__weakref__", "attrs", "edges", "meta", "op", "saved", "sequence", "versions")

    hooks: "dict[int, list[Any]] | None" = None  # on the gradient of an output, by its number
    node_hooks: "list[Any] | None" = None  # on the node as a whole: (grad_inputs, grad_outputs)
    prehooks: "list[Any] | None" = None  # before the node: (grad_outputs); where there are some, node_hooks is a list
    trace: str | None = None  # the forward line, in anomaly mode
    retained: "dict[int, Any] | None" = None  # weak references to outputs that retain their gradient

    op: Any
    edges: tuple[Any, ...]
    meta: tuple[tuple[tuple[int, ...], Any], ...]
    saved: Any
    versions: Any
    attrs: Any
    sequence: int

    def name(self) -> str:
        """As torch's grad_fn.name(): `AddBackward0`."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(edge if edge is not None else (None, 0) for edge in self.edges)

    def apply(self, grads: list[Any], create_graph: bool, useful: "set[Any] | None" = None) -> list[Any]:
        """Gradients for `edges`, from those of the outputs (None stands for zeros).

        With `useful`, only those that go to its nodes are wanted; others are None.
        """
        return self.op.pull(self, grads, create_graph, useful)

    def release(self) -> None:
        """Drop what was saved; a second backward then says so."""
        if self.saved:
            self.saved = None

    def check_saved(self) -> None:
        """RuntimeError where a saved array was freed or written since it was saved."""
        if self.saved is None:
            raise RuntimeError(FREED)
        for cell, version in self.versions:
            if cell.version != version:
                where = f"; the operation was recorded at:\n{self.trace}" if self.trace else ""
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"a tensor saved by {self.name()} is at version {cell.version}; expected version {version} "
                    f"instead{where}"
                )

    def register_hook(self, hook: Any) -> "RemovableHandle":
        """Call `hook(grad_inputs, grad_outputs)` after this node's derivative; it may return other grad_inputs."""
        watch(self)
        if self.node_hooks is None:
            self.node_hooks = []
        return RemovableHandle(self.node_hooks, hook)

    def register_prehook(self, hook: Any) -> "RemovableHandle":
        """Call `hook(grad_outputs)` before this node's derivative; it may return other grad_outputs."""
        watch(self)
        if self.prehooks is None:
            self.prehooks = []
        if self.node_hooks is None:
            self.node_hooks = []
        return RemovableHandle(self.prehooks, hook)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary of the user's own."""
        return self.__dict__.setdefault("_metadata", {})

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class WatchedNode(Node):
    """A node that hooks or retaining tensors look at: the engine's short way is for nodes of class Node alone."""

    __slots__ = ()


def watch(node: Node) -> None:
    """Make a node one that is watched."""
    if type(node) is Node:
        node.__class__ = WatchedNode


class AccumulateGrad(Node):
    """The end of the road: adds what arrives to the `.grad` of a leaf."""

    __slots__ = ("variable",)

    post_hooks: "list[Any] | None" = None  # called with the leaf after its gradient was accumulated

    def __init__(self, variable: Any) -> None:
        self.variable = weakref.ref(variable)
        self.edges = ()
        self.sequence = -1
        self.saved = ()
        array = variable._data
        self.meta = ((array.shape, array.dtype),)

    def name(self) -> str:
        return "AccumulateGrad"

    def accumulate(self, grad: Any, owned: bool, create_graph: bool) -> None:
        """Add `grad` (array, or Tensor under create_graph) to the leaf's gradient; copied unless `owned`."""
        leaf = self.variable()
        if leaf is None:
            return
        with _accumulating:
            leaf._accumulate(grad, owned, create_graph)
        for hook in tuple(self.post_hooks or ()):
            hook(leaf)


class ZeroDerivative(Node):
    """Where a recorded gradient comes from that is constant: it has a place in the graph, and its derivative is 0.

    `edges` are those of the tensors that the gradient was asked for.
    """

    __slots__ = ()

    def __init__(self, gradient: Any, edges: tuple[Any, ...]) -> None:
        self.edges = edges
        self.sequence = next(sequence)
        self.saved = self.versions = ()
        self.meta = ((gradient.shape, gradient.dtype),)

    def name(self) -> str:
        return "ZeroDerivative"

    def apply(self, grads: list[Any], create_graph: bool, useful: "set[Any] | None" = None) -> list[Any]:
        from framework.core.device import array_module
        from framework.core.tensor import Tensor

        xp = array_module(grads[0]._data if create_graph else grads[0])
        zeros = [xp.zeros(*node.meta[number]) for node, number in self.edges]
        return [Tensor._wrap(each) for each in zeros] if create_graph else zeros


class RemovableHandle:
    """Returned by hook registrations; `remove()` takes the hook out again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook
        hooks.append(hook)

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


def exclusively_held(array: Any, holders: int) -> bool:
    """Whether nothing but `holders` known references keeps this array, so that it may be written or given away.

    Counting references is exact on CPython up to 3.13; later versions borrow them, and the answer is then no.
    """
    if _BORROWS or type(array) is not np.ndarray or sys.getrefcount(array) > holders + 2:
        return False
    if not array.flags.writeable or 0 in array.strides:
        return False
    base = array.base
    while isinstance(base, np.ndarray):
        if sys.getrefcount(base) > 3:  # the view, this frame, the argument
            return False
        base = base.base
    return True
