"""The recorded graph: hooks on what it saves and on its nodes, and what it holds in memory."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np

from framework.core.engine import current
from framework.core.node import AccumulateGrad, Node, RemovableHandle
from framework.core.saved import hooks, pop, push
from framework.core.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "nodes",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_bytes",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:  # noqa: N801
    """Inside, every tensor that is saved for backward is replaced by `pack_hook(tensor)`.

    `unpack_hook` is given the packed object when backward needs the tensor, and returns one of equal value. The
    innermost pair applies. What the hooks compute themselves is not packed.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> Self:
        if _disabled.message is not None:
            raise RuntimeError(_disabled.message)
        push((self.pack_hook, self.unpack_hook))
        return self

    def __exit__(self, *exception: Any) -> None:
        pop()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Inside, tensors saved for backward are kept in the host's memory, and go back to their device for backward.

    `pin_memory` is accepted as in torch; copies are synchronous either way.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: (tensor.device, tensor.cpu()), lambda packed: packed[1].to(packed[0]))


class disable_saved_tensors_hooks:  # noqa: N801
    """Inside, entering `saved_tensors_hooks` raises a RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        self._message = error_message

    def __enter__(self) -> Self:
        self._before = _disabled.message
        if hooks.pairs and hooks.pairs[-1] is not None:
            raise RuntimeError(self._message)
        _disabled.message = self._message
        return self

    def __exit__(self, *exception: Any) -> None:
        _disabled.message = self._before


class _Disabled(threading.local):
    message: str | None = None


_disabled = _Disabled()


class GradientEdge(tuple[Node, int]):
    """Where a tensor's gradient goes: (`node`, `output_nr`)."""

    @property
    def node(self) -> Node:
        return self[0]

    @property
    def output_nr(self) -> int:
        return self[1]


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph to which the gradient of a tensor flows; RuntimeError when it needs none."""
    if tensor._edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(tensor._edge)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a write to the memory of tensors that was made without this package knowing of it."""
    for each in [tensor] if isinstance(tensor, Tensor) else tensor:
        each._shared().version += 1


def register_multi_grad_hook(
    tensors: Sequence[Tensor],
    fn: Callable[[Any], None],
    *,
    mode: Literal["all", "any"] = "all",
) -> "MultiHandle":
    """Call `fn` once a backward pass: with all gradients of `tensors` when the last is there, or with the first.

    In mode "all" `fn` receives a list in the order of the tensors, None where the pass sends no gradient; in mode
    "any" the first gradient alone.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    group = _Group(list(tensors), fn, mode)
    return MultiHandle([tensor.register_hook(group.hook(number)) for number, tensor in enumerate(tensors)])


class MultiHandle:
    """Takes the hooks of `register_multi_grad_hook` out again."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Take the hooks out."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "MultiHandle":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


class _Group:
    """What has arrived so far, by backward pass."""

    def __init__(self, tensors: list[Tensor], function: Callable[[Any], None], mode: str) -> None:
        self._nodes = [get_gradient_edge(tensor).node for tensor in tensors]
        self._function = function
        self._mode = mode
        self._lock = threading.Lock()
        self._arrived: dict[int, list[Any]] = {}  # pass -> [how many are still missing, gradients]
        self._last_task = -1

    def hook(self, number: int) -> Callable[[Tensor], None]:
        def arrive(grad: Tensor) -> None:
            task = current.task
            assert task is not None
            with self._lock:
                if self._mode == "any":
                    first = task.number != self._last_task
                    self._last_task = task.number
                else:
                    if task.number not in self._arrived:
                        missing = sum(task.will_run(node) for node in self._nodes)
                        self._arrived[task.number] = [missing, [None] * len(self._nodes)]
                    state = self._arrived[task.number]
                    state[0] -= 1
                    state[1][number] = grad
                    first = state[0] == 0
                    if first:
                        del self._arrived[task.number]
            if first:
                self._function(grad if self._mode == "any" else state[1])

        return arrive


def nodes(*outputs: Tensor) -> Iterator[Node]:
    """All nodes of the graph behind tensors, each once, nearest first."""
    stack = [tensor._edge[0] for tensor in outputs if tensor._edge is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])


def saved_bytes(*outputs: Tensor) -> int:
    """The bytes of memory that the graph behind tensors keeps for backward, leaves not counted.

    Memory that several nodes keep, or that views of one array share, counts once; what `saved_tensors_hooks` packed
    is not counted.
    """
    leaves = set()
    owners: dict[int, Any] = {}
    for node in nodes(*outputs):
        if isinstance(node, AccumulateGrad):
            leaf = node.variable()
            if leaf is not None:
                leaves.add(id(_owner(leaf._data)))
            continue
        for array in _arrays(node):
            owner = _owner(array)
            owners[id(owner)] = owner
    return sum(owner.nbytes for key, owner in owners.items() if key not in leaves)


def _arrays(node: Node) -> Iterator[Any]:
    context = getattr(node, "context", None)
    held: Any = dict(node.saved or ()) if context is None else {}
    for value in held.values():
        for item in value if isinstance(value, list) else (value,):
            if hasattr(item, "nbytes") and not isinstance(item, np.generic):
                yield item
    for kept in () if context is None else context._saved or ():
        if kept is not None and isinstance(kept._held, Tensor):
            yield kept._held._data
    for value in getattr(node, "attrs", {}).values():  # masks of dropout, places of indexing
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, np.ndarray):
                yield item


def _owner(array: Any) -> Any:
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array
