"""Operations of the user's own, with their own derivative."""

import traceback
from typing import Any

import numpy as np

from framework.core.modes import ANOMALY, GRAD, modes, no_grad
from framework.core.node import FREED, Node, sequence
from framework.core.tensor import Tensor


class Context:
    """What `forward` hands to `backward`."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._saved: tuple[Tensor | None, ...] | None = ()
        self._versions: tuple[int, ...] = ()
        self._outputs: dict[int, int] = {}
        self._node: Any = None
        self._not_differentiable: set[int] = set()
        self.materialize_grads = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`, which finds them in `saved_tensors`."""
        self._saved = tensors
        self._versions = tuple(0 if tensor is None else tensor._shared().version for tensor in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._saved is None:
            raise RuntimeError(FREED)
        for tensor, version in zip(self._saved, self._versions):
            if tensor is not None and tensor._shared().version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    "a tensor "
                    f"given to save_for_backward is at version {tensor._shared().version}; expected version "
                    f"{version} instead"
                )
        return tuple(self._placed(tensor) for tensor in self._saved)

    def _placed(self, tensor: Tensor | None) -> Tensor | None:
        """A saved output in its place in the graph; other tensors as they are."""
        number = self._outputs.get(id(tensor))
        return tensor if tensor is None or number is None else Tensor._wrap(tensor._data, (self._node, number))

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs get no gradient."""
        self._not_differentiable.update(id(tensor) for tensor in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients of outputs arrive as zeros (the default) or None."""
        self.materialize_grads = value


class _FunctionNode(Node):
    """A node whose derivative is the user's `backward`."""

    __slots__ = ("context", "function", "kinds")

    context: Context
    function: Any
    kinds: tuple[bool, ...]

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def apply(self, grads: list[Any], create_graph: bool, useful: set[Any] | None = None) -> list[Any]:
        context = self.context
        incoming = []
        for grad, (shape, dtype) in zip(grads, self.meta):
            if grad is None and context.materialize_grads:
                grad = Tensor._wrap(np.zeros(shape, dtype))
            incoming.append(grad if grad is None or isinstance(grad, Tensor) else Tensor._wrap(grad))
        results = self.function.backward(context, *incoming)
        results = list(results) if isinstance(results, tuple | list) else [results]
        if len(results) != len(self.kinds):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.kinds)}, got "
                f"{len(results)})"
            )
        chosen = [result for result, is_tensor in zip(results, self.kinds) if is_tensor]
        return [grad if create_graph or grad is None else grad._data for grad in chosen]

    def release(self) -> None:
        self.context._saved = None


class Function:
    """Base of custom operations: subclasses give static `forward(ctx, ...)` and `backward(ctx, *grads)`."""

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; `ctx.save_for_backward` keeps what the derivative needs."""
        raise RuntimeError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients of all arguments of `forward` (None where there is none)."""
        raise RuntimeError("You must implement the backward function for custom autograd.Function.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the operation and record it."""
        context = Context()
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        context.needs_input_grad = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        with no_grad():
            outputs = cls.forward(context, *args)
        several = isinstance(outputs, tuple)
        results = list(outputs) if several else [outputs]
        if modes.flags & GRAD and any(context.needs_input_grad):
            node = object.__new__(_FunctionNode)
            node.op = None
            node.function = cls
            node.context = context
            node.kinds = tuple(isinstance(arg, Tensor) for arg in args)
            node.edges = tuple(tensor._edge for tensor in tensors)
            node.saved = node.versions = ()
            node.attrs = {}
            node.sequence = next(sequence)
            if modes.flags & ANOMALY:
                node.trace = "".join(traceback.format_stack()[:-1])
            kept = [result for result in results if isinstance(result, Tensor)]
            node.meta = tuple((result._data.shape, result._data.dtype) for result in kept)
            context._node = node
            inputs = {id(tensor) for tensor in tensors}
            number = 0
            for place, result in enumerate(results):
                if not isinstance(result, Tensor):
                    continue
                fresh = Tensor._wrap(result._data) if id(result) in inputs else result
                if id(result) not in context._not_differentiable and fresh._data.dtype.kind in "fcV":
                    fresh._edge = (node, number)
                    context._outputs[id(result)] = number
                results[place] = fresh
                number += 1
        return tuple(results) if several else results[0]
