"""Hooks of modules: removable handles and the identity nodes that watch gradients."""

from __future__ import annotations

import copy
import itertools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from framework.core.tensor import Tensor

if TYPE_CHECKING:
    pass

_hook_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook away again. Also a context manager."""

    def __init__(self, hooks: OrderedDict[int, Any], *extra: Any) -> None:
        self.id = next(_hook_ids)
        self._hooks = weakref.ref(hooks)
        self._extra = extra

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)
        for flags in self._extra:
            flags.discard(self.id)

    def __deepcopy__(self, memo: dict[int, Any]) -> RemovableHandle:
        """A handle of the copied hooks, where a module is copied with its handles."""
        copied: RemovableHandle = object.__new__(type(self))
        copied.id = self.id
        hooks = self._hooks()
        copied._hooks = weakref.ref(OrderedDict() if hooks is None else copy.deepcopy(hooks, memo))
        copied._extra = copy.deepcopy(self._extra, memo)
        return copied

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add_hook(
    hooks: OrderedDict[int, Any],
    hook: Callable[..., Any],
    *flags: tuple[set[int], bool],
    prepend: bool = False,
) -> RemovableHandle:
    """Store `hook`, put its id into each flag set whose condition holds, and return its handle."""
    handle = RemovableHandle(hooks, *(ids for ids, _ in flags))
    hooks[handle.id] = hook
    for ids, wanted in flags:
        if wanted:
            ids.add(handle.id)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class BackwardWatch:
    """Runs a module's full backward hooks for one call of its forward.

    Inputs and outputs pass through identity nodes. Their backward sees exactly the gradients of this call, also
    where a tensor is used elsewhere as well.
    """

    def __init__(self, module: Any, hooks: Sequence[Callable], pre_hooks: Sequence[Callable]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.input_positions: list[int] = []
        self.n_inputs = 0
        self.n_outputs = 0
        self.output_positions: list[int] = []

    def watch_inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Pass the tensors among `inputs` that need a gradient through one identity node."""
        self.n_inputs = len(inputs)
        positions = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.input_positions = positions
        if not positions or not self.hooks:
            return inputs
        return _through(inputs, positions, self._inputs_done)

    def watch_outputs(self, output: Any) -> Any:
        """Pass the tensors of `output` (a tensor, tuple or list) through one identity node."""
        single = isinstance(output, Tensor)
        outputs = (output,) if single else output
        if not isinstance(outputs, (tuple, list)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(output)}",
                stacklevel=4,
            )
            return output
        positions = [i for i, x in enumerate(outputs) if isinstance(x, Tensor) and x.requires_grad]
        if not positions:
            return output
        self.n_outputs, self.output_positions = len(outputs), positions
        watched = _through(tuple(outputs), positions, self._outputs_done)
        return watched[0] if single else type(outputs)(watched)

    def _outputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_outputs = _spread(grads, self.output_positions, self.n_outputs)
        for hook in self.pre_hooks:
            result = hook(self.module, grad_outputs)
            if result is not None:
                grad_outputs = _as_tuple(result, self.n_outputs, "a full backward pre-hook")
        self.grad_outputs = grad_outputs
        if not self.input_positions:
            for hook in self.hooks:
                if hook(self.module, (None,) * self.n_inputs, grad_outputs) is not None:
                    raise RuntimeError("a backward hook returned gradients for inputs that need none")
        return tuple(grad_outputs[i] for i in self.output_positions)

    def _inputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:  # no gradient reached the module's outputs: there is nothing to watch
            return grads
        grad_inputs = _spread(grads, self.input_positions, self.n_inputs)
        for hook in self.hooks:
            result = hook(self.module, grad_inputs, self.grad_outputs)
            if result is not None:
                grad_inputs = _as_tuple(result, self.n_inputs, "a full backward hook")
        self.grad_outputs = None
        return tuple(grad_inputs[i] for i in self.input_positions)


def _through(values: tuple[Any, ...], positions: list[int], done: Callable) -> tuple[Any, ...]:
    from framework.autograd import Function

    class Watch(Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
            ctx.set_materialize_grads(False)
            return tuple(x.view_as(x) for x in tensors)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            return done(grads)

    watched = Watch.apply(*(values[i] for i in positions))
    result = list(values)
    for position, value in zip(positions, watched if isinstance(watched, tuple) else (watched,)):
        result[position] = value
    return tuple(result)


def _spread(values: tuple[Any, ...], positions: list[int], length: int) -> tuple[Any, ...]:
    result: list[Any] = [None] * length
    for position, value in zip(positions, values):
        result[position] = value
    return tuple(result)


def _as_tuple(result: Any, length: int, what: str) -> tuple[Any, ...]:
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != length:
        raise RuntimeError(f"{what} returned {len(result)} gradients, expected {length}")
    return result
