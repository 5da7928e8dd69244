"""Operations of the user's own, with their own derivative."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.modes import ANOMALY, GRAD, modes, no_grad
from framework.core.node import FREED, Node, sequence
from framework.core.saved import SavedTensor
from framework.core.tensor import Tensor
from framework.core.trace import forward_trace
from framework.core.views import check_writable, rebase


class Context:
    """What `forward` (or `setup_context`) hands to `backward` and `jvp`."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: tuple[SavedTensor | None, ...] | None = ()
        self._node: Any = None  # weak, once recorded: the node holds this context
        self._dirty: tuple[int, ...] = ()
        self._not_differentiable: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`, which finds them in `saved_tensors`."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but got a {type(tensor).__name__}")
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted for torch's scripts; forward-mode derivatives come from `backward`, so that nothing is kept."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._node is None:
            return self._to_save
        if self._saved is None:
            raise RuntimeError(FREED)
        return tuple(None if kept is None else kept.get(self._node(), "save_for_backward") for kept in self._saved)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These inputs were changed in place by `forward`, which returns them."""
        self._dirty = tuple(id(tensor) for tensor in tensors)

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
        while len(results) > len(self.kinds) and results[-1] is None:
            results.pop()  # torch too lets trailing None pass
        if len(results) != len(self.kinds):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.kinds)}, got "
                f"{len(results)})"
            )
        chosen = []
        for number, (result, is_tensor) in enumerate(zip(results, self.kinds)):
            if is_tensor:
                if result is not None and not isinstance(result, Tensor):
                    raise TypeError(
                        f"function {self.name()} returned a {type(result).__name__} at position {number}, but "
                        "expected a Tensor or None"
                    )
                chosen.append(result)
            elif result is not None:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different from None at position {number}, but the "
                    "corresponding forward input was not a Variable"
                )
        return [grad if create_graph or grad is None else grad._data for grad in chosen]

    def release(self) -> None:
        self.context._saved = None


class Function:
    """Base of custom operations: subclasses give static `forward` and `backward(ctx, *grads)`.

    `forward(ctx, *args)` may save what backward needs itself; or `forward(*args)` only computes, and
    `setup_context(ctx, inputs, output)` saves. Forward-mode derivatives are computed from `backward` (see
    `framework.func.jvp`), so a `jvp` is not asked for. Under `vmap` a Function made of this package's operations works
    as it is (`generate_vmap_rule` may be set, as in torch); one that leaves them, for NumPy say, gives a static
    `vmap(info, in_dims, *args)` that returns (outputs, out_dims).
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; `ctx.save_for_backward` keeps what the derivative needs."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save for backward what a `forward` without `ctx` used and made."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients of all arguments of `forward` (None where there is none)."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The operation on whole batches, for `vmap`: (outputs, where their batch dimensions are)."""
        raise NotImplementedError("vmap is not implemented.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the operation and record it."""
        if cls.vmap is not Function.vmap:
            from framework.func.vmap import apply_rule, is_batched

            if any(is_batched(arg) for arg in args):
                if cls.generate_vmap_rule:
                    raise RuntimeError(
                        f"{cls.__name__} has both generate_vmap_rule=True and a vmap staticmethod: give one of them"
                    )
                return apply_rule(cls, args)
        context = Context()
        context.needs_input_grad = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                outputs = cls.forward(context, *args)
            else:
                outputs = cls.forward(*args)
                cls.setup_context(context, args, outputs)
        several = isinstance(outputs, tuple)
        results = list(outputs) if several else [outputs]
        if modes.flags & GRAD and any(context.needs_input_grad):
            _record(cls, context, args, results)
        return tuple(results) if several else results[0]


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a `backward` that cannot itself be differentiated: a second derivative then says so."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        recording = bool(modes.flags & GRAD)
        with no_grad():
            results = backward(ctx, *grads)
        if not recording or not any(isinstance(grad, Tensor) and grad.requires_grad for grad in grads):
            return results
        several = isinstance(results, tuple)
        chosen = [
            _dead_end(each) if isinstance(each, Tensor) else each for each in (results if several else (results,))
        ]
        return tuple(chosen) if several else chosen[0]

    return wrapped


class _DeadEnd(Node):
    """Where the history of a once-differentiable gradient would begin."""

    __slots__ = ()

    def name(self) -> str:
        return "DelayedError"

    def apply(self, grads: list[Any], create_graph: bool, useful: set[Any] | None = None) -> list[Any]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def _dead_end(tensor: Tensor) -> Tensor:
    node = _DeadEnd()
    anchor = Tensor._wrap(np.zeros(())).requires_grad_()  # so that a search for leaves meets this node
    node.edges = (anchor._edge,)
    node.meta = ((tensor._data.shape, tensor._data.dtype),)
    node.saved = node.versions = ()
    node.sequence = next(sequence)
    return Tensor._wrap(tensor._data, (node, 0))


def _record(cls: Any, context: Context, args: tuple[Any, ...], results: list[Any]) -> None:
    """Put a node behind the differentiable outputs, in place of `results`, and keep what was saved."""
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
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
        node.trace = forward_trace()
    kept = [result for result in results if isinstance(result, Tensor)]
    node.meta = tuple((result._data.shape, result._data.dtype) for result in kept)
    inputs = {id(tensor) for tensor in tensors}
    numbers: dict[int, int] = {}
    placed: list[tuple[Tensor, Any]] = []
    for place, result in enumerate(results):
        if not isinstance(result, Tensor):
            continue
        number = len(placed)
        dirty = id(result) in context._dirty
        if dirty:
            check_writable(result)
        fresh = Tensor._wrap(result._data) if id(result) in inputs and not dirty else result
        differentiable = id(result) not in context._not_differentiable and fresh._data.dtype.kind in "fcV"
        if differentiable and (dirty or id(result) not in inputs):
            numbers[id(result)] = number
        placed.append((fresh, (node, number) if differentiable else None))
        results[place] = fresh
    # what was saved is packed first, while inputs still have their old places in the graph
    context._saved = tuple(
        None if tensor is None else SavedTensor(tensor, numbers.get(id(tensor))) for tensor in context._to_save
    )
    for tensor, edge in placed:
        if id(tensor) in context._dirty:
            rebase(tensor, edge)
        elif edge is not None:
            tensor._edge = edge
    context._to_save = ()
    context._node = weakref.ref(node)
