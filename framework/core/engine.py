"""The engine: carries gradients from outputs back to leaves.

Nodes are processed in descending order of their sequence number. An operation is recorded after the operations
that made its inputs, so when a node's turn comes everything that used its outputs has been processed, and its
gradient is complete: no pass over the graph is needed beforehand.
"""

import itertools
import threading
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from framework.core.modes import ALLOW_NAN, ANOMALY, AUTOCAST, GRAD, PROFILE, modes
from framework.core.node import Node, exclusively_held
from framework.core.observer import observer
from framework.core.quiet import SILENT, hush, restore

Edge = tuple[Any, int]
_SMALL = 1 << 14  # bytes up to which a new array is cheaper than finding out whether the old one is free


class Task:
    """One backward pass, for hooks that ask what it will run: its number and where it starts."""

    __slots__ = ("_reached", "number", "roots", "useful")

    _numbers = itertools.count()

    def __init__(self, roots: list[Any]) -> None:
        self.number = next(Task._numbers)
        self.roots = roots
        self.useful: set[Any] | None = None
        self._reached: set[Any] | None = None

    def will_run(self, node: Any) -> bool:
        """Whether a gradient will reach this node."""
        if self._reached is None:
            self._reached = set(self.roots)
            stack = list(self.roots)
            while stack:
                for edge in stack.pop().edges:
                    if edge is not None and edge[0] not in self._reached:
                        self._reached.add(edge[0])
                        stack.append(edge[0])
        return node in self._reached and (self.useful is None or node in self.useful)


class _Current(threading.local):
    task: Task | None = None


current = _Current()  # the backward pass that this thread is in, innermost


def run(
    roots: Iterable[tuple[Edge, Any]],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Edge] | None = None,
    accumulate: bool = True,
) -> list[Any] | None:
    """Propagate the roots' gradients (arrays, or Tensors under `create_graph`).

    With `inputs`, only nodes on the way to them run; their gradients are returned (None where there is no way),
    or accumulated when `accumulate` is set.
    """
    before, outer = modes.flags, current.task
    modes.flags = (before | GRAD if create_graph else before & ~GRAD) & ~AUTOCAST
    roots = list(roots)
    current.task = Task([edge[0] for edge, _ in roots])
    token = hush(SILENT)
    try:
        return _run(roots, retain_graph, create_graph, inputs, accumulate)
    finally:
        restore(token)
        modes.flags = before
        current.task = outer


def _run(roots: Any, retain_graph: bool, create_graph: bool, inputs: Any, accumulate: bool) -> list[Any] | None:
    captured: dict[Edge, Any] = {}
    wanted = set(inputs) if inputs is not None else None
    needed = useful = None
    if inputs is not None:
        targets = {node for node, _ in inputs}
        needed = _on_the_way([edge[0] for edge, _ in roots], targets)
        useful = needed | targets
        current.task.useful = useful  # type: ignore[union-attr]
    pending: dict[int, list[Any]] = {}  # by sequence number: a node, and the gradient of each output so far
    leaves: dict[Any, list[Any]] = {}  # the same of leaves, whose turn comes last
    heap: list[int] = []
    anomaly = modes.flags & ANOMALY
    check_nan = anomaly and not modes.flags & ALLOW_NAN
    apply = observer.backward if modes.flags & PROFILE else _traced if anomaly else None
    plain = apply is None and not create_graph and inputs is None

    node: Any = None
    edges: Sequence[Any] = [edge for edge, _ in roots]
    results = [grad for _, grad in reversed(roots)]
    del roots
    while True:
        for edge in edges:  # each gradient leaves the list as it is sent, so that it can be reused or freed
            grad = results.pop()
            if edge is None or grad is None or (useful is not None and edge[0] not in useful):
                continue
            target, number = edge
            meta = target.meta
            shape, dtype = meta[number]
            array = grad._data if create_graph else grad
            if array.shape != shape or array.dtype is not dtype:
                grad = fit(grad, shape, dtype, node)
            array = None
            order = -target.sequence
            entry = pending.get(order) if order <= 0 else leaves.get(target)
            if entry is None:
                entry = [target, grad] if len(meta) == 1 else _entry(target, number, grad)
                if order <= 0:
                    pending[order] = entry
                    heappush(heap, order)
                else:
                    leaves[target] = entry
                continue
            number += 1
            present = entry[number]
            if present is None:
                entry[number] = grad
            elif (
                not create_graph
                and present.nbytes > _SMALL
                and exclusively_held(present, 2)  # by the entry, and `present` here
                and type(grad) is np.ndarray
            ):
                np.add(present, grad, out=present)
            else:
                entry[number] = present + grad
        grad = present = None
        if not heap:
            break
        entry = pending.pop(heappop(heap))
        node = entry[0]
        edges = node.edges
        if plain and type(node) is Node and len(entry) == 2:
            for cell, version in node.versions:
                if cell.version != version:
                    node.check_saved()
            saved = node.saved
            if saved is None:
                node.check_saved()
            results = node.op.derivative(node, entry.pop())
            if saved and not retain_graph:
                node.saved = saved = None
        else:
            grads = entry[1:]
            entry.clear()
            _attend(node, grads, wanted, captured, create_graph)
            if needed is not None and node not in needed:
                edges = ()
                continue
            arriving = None
            if node.node_hooks is not None:
                grads = _call_prehooks(node, grads, create_graph)
                arriving = tuple(grads)
            if apply is None:
                results = node.apply(grads, create_graph, useful)
            else:
                results = apply(node, grads, create_graph, useful)
            if not retain_graph:
                node.release()
            if arriving is not None:
                results = _call_node_hooks(node, results, arriving, create_graph)
            if check_nan:
                _refuse_nan(node, results)
            results.reverse()
            del grads, arriving
    for node, entry in leaves.items():
        grads = entry[1:]
        entry.clear()
        _attend(node, grads, wanted, captured, create_graph)
        if node.node_hooks is not None:
            grads = _call_prehooks(node, grads, create_graph)
        if accumulate and (wanted is None or (node, 0) in wanted):
            arriving = tuple(grads) if node.node_hooks else None
            grad = grads.pop()
            if grad is not None:
                owned = exclusively_held(grad, 1)  # asked by itself: a call's other arguments would hold it too
                node.accumulate(grad, owned, create_graph)
            del grad
            if arriving is not None:
                _call_node_hooks(node, [], arriving, create_graph)
    if inputs is None:
        return None
    return [captured.get(edge) for edge in inputs]


def _entry(target: Any, number: int, grad: Any) -> list[Any]:
    """A node of several outputs, and the first gradient that arrived for one of them."""
    entry = [target, *[None] * len(target.meta)]
    entry[number + 1] = grad
    return entry


def _attend(node: Any, grads: list[Any], wanted: Any, captured: dict[Edge, Any], create_graph: bool) -> None:
    """What a node's complete gradients are shown to before its derivative: hooks, the caller, retaining tensors."""
    if node.hooks is not None:
        _call_hooks(node, grads, create_graph)
    if wanted is not None:
        for number in range(len(grads)):
            if (node, number) in wanted:
                captured[node, number] = grads[number]
    if node.retained is not None:
        _retain(node, grads, create_graph)


def _traced(node: Any, grads: list[Any], create_graph: bool, useful: Any) -> list[Any]:
    """The node's derivative; an error in it also names the forward line."""
    try:
        return node.apply(grads, create_graph, useful)
    except Exception as error:
        if node.trace:
            error.add_note(f"The error was raised in the derivative {node.name()}, recorded at:\n{node.trace}")
        raise


def fit(grad: Any, shape: tuple[int, ...], dtype: Any, node: Any = None) -> Any:
    """Bring a gradient to the shape (summing over broadcast dimensions) and type of what it belongs to."""
    from framework.core.dtype import dtype_of
    from framework.ops.reduce import sum_to_size

    array = getattr(grad, "_data", grad)
    if hasattr(array.shape, "levels") or hasattr(shape, "levels"):
        from framework.func.levels import fit_levels

        grad = fit_levels(grad, shape, node)
    if tuple(grad.shape) != tuple(shape):
        try:
            grad = sum_to_size(grad, shape)
        except RuntimeError:
            raise RuntimeError(
                f"Function {node.name() if node else 'backward'} returned an invalid gradient: got "
                f"{list(grad.shape)} but expected shape compatible with {list(shape)}"
            ) from None
    if type(grad) is np.ndarray or isinstance(grad, np.generic):
        return (
            grad
            if grad.dtype == dtype
            else (grad.real if grad.dtype.kind == "c" and dtype.kind != "c" else grad).astype(dtype)
        )
    wanted = dtype_of(dtype)
    if hasattr(grad, "_data"):
        if grad._data.dtype == dtype:
            return grad
        return (grad.real if grad.is_complex() and not wanted.is_complex else grad).to(wanted)
    return grad.astype(dtype) if grad.dtype != dtype else grad


def _on_the_way(roots: list[Any], targets: set[Any]) -> set[Any]:
    """The nodes from which a target can be reached, by a depth-first walk without recursion."""
    reaches: dict[Any, bool] = {}
    for root in roots:
        if root in reaches:
            continue
        reaches[root] = root in targets
        stack = [(root, iter(root.edges))]
        while stack:
            node, rest = stack[-1]
            for edge in rest:
                if edge is not None and edge[0] not in reaches:
                    reaches[edge[0]] = edge[0] in targets
                    stack.append((edge[0], iter(edge[0].edges)))
                    break
            else:
                stack.pop()
                if _leads(node, reaches):
                    reaches[node] = True
    return {node for node in reaches if _leads(node, reaches)}


def _leads(node: Any, reaches: dict[Any, bool]) -> bool:
    """Whether a node must run: something behind it is wanted (a target itself need not run)."""
    return any(edge is not None and reaches.get(edge[0], False) for edge in node.edges)


def _as_tensor(grad: Any, create_graph: bool) -> Any:
    from framework.core.tensor import Tensor

    return (
        grad
        if create_graph or grad is None
        else Tensor._wrap(np.asarray(grad) if isinstance(grad, np.generic) else grad)
    )


def _call_hooks(node: Any, grads: list[Any], create_graph: bool) -> None:
    """Tensor hooks: each may replace the gradient it is shown."""
    for number, hooks in node.hooks.items():
        for hook in tuple(hooks):
            if grads[number] is None:
                continue
            result = hook(_as_tensor(grads[number], create_graph))
            if result is not None:
                grads[number] = result if create_graph else result._data


def _call_prehooks(node: Any, grads: list[Any], create_graph: bool) -> list[Any]:
    for hook in tuple(node.prehooks or ()):
        replaced = hook(tuple(_as_tensor(grad, create_graph) for grad in grads))
        if replaced is not None:
            replaced = replaced if isinstance(replaced, tuple | list) else (replaced,)
            grads = [g if create_graph or g is None else g._data for g in replaced]
    return grads


def _call_node_hooks(node: Any, results: list[Any], arriving: tuple[Any, ...], create_graph: bool) -> list[Any]:
    outputs = tuple(_as_tensor(grad, create_graph) for grad in arriving)
    for hook in tuple(node.node_hooks):
        replaced = hook(tuple(_as_tensor(grad, create_graph) for grad in results), outputs)
        if replaced is not None:
            replaced = replaced if isinstance(replaced, tuple | list) else (replaced,)
            results = [g if create_graph or g is None else g._data for g in replaced]
    return results


def _retain(node: Any, grads: list[Any], create_graph: bool) -> None:
    for number, reference in node.retained.items():
        tensor = reference()
        if tensor is not None and grads[number] is not None:
            tensor._accumulate(grads[number], False, create_graph)


def _refuse_nan(node: Any, results: list[Any]) -> None:
    for number, grad in enumerate(results):
        if grad is None:
            continue
        array = getattr(grad, "_data", grad)
        if array.dtype.kind in "fcV" and np.isnan(array).any():
            where = f" The operation was recorded at:\n{node.trace}" if node.trace else ""
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.{where}")
