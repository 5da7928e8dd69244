"""`backward` and `grad`: what a user asks of the engine."""

from typing import Any

from framework.core.device import array_module
from framework.core.engine import run
from framework.core.modes import VMAP, modes
from framework.core.node import ZeroDerivative
from framework.core.tensor import Tensor


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate into the leaves the gradients of `tensors`, each weighted by its `grad_tensors` (1 for scalars)."""
    if modes.flags & VMAP:
        raise RuntimeError(
            "backward() called inside vmap. This is not supported, please use framework.func.grad or "
            "framework.func.vjp instead, or call backward() outside of it."
        )
    outputs = _as_list(tensors)
    roots = _roots(outputs, _as_list(grad_tensors, len(outputs)), create_graph)
    wanted = None
    if inputs is not None:
        leaves = _as_list(inputs)
        if not leaves:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
        wanted = [_edge_of(leaf) for leaf in leaves]
    run(roots, create_graph if retain_graph is None else retain_graph, create_graph, wanted)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` (weighted by `grad_outputs`) with respect to `inputs`; nothing is accumulated.

    With `create_graph`, every gradient has a place in the graph: one that does not depend on the inputs has zero
    derivatives, where torch says so for some operations (relu) and raises for others (sum).
    """
    results = _as_list(outputs)
    sources = _as_list(inputs)
    edges = [_edge_of(source) for source in sources]
    roots = _roots(results, _as_list(grad_outputs, len(results)), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = run(roots, keep, create_graph, edges, accumulate=False)
    assert found is not None
    allowed = materialize_grads if allow_unused is None else allow_unused
    answer: list[Tensor | None] = []
    for number, (source, gradient) in enumerate(zip(sources, found)):
        if gradient is None:
            if not allowed:
                raise RuntimeError(
                    f"One of the differentiated Tensors (number {number}) appears to not have been used in the graph. "
                    "Set allow_unused=True if this is the desired behavior."
                )
            answer.append(
                Tensor._wrap(array_module(source._data).zeros_like(source._data)) if materialize_grads else None
            )
        else:
            if not create_graph:
                gradient = Tensor._wrap(gradient)
            elif gradient._edge is None:
                gradient = Tensor._wrap(gradient._data, (ZeroDerivative(gradient._data, tuple(edges)), 0))
            answer.append(gradient)
    return tuple(answer)


def _as_list(value: Any, count: int = 1) -> list[Any]:
    if value is None:
        return [None] * count
    if isinstance(value, Tensor):
        return [value]
    return list(value)


def _edge_of(tensor: Tensor) -> Any:
    if tensor._edge is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return tensor._edge


def _roots(outputs: list[Any], weights: list[Any], create_graph: bool) -> list[tuple[Any, Any]]:
    """The places where the backward pass starts, with the gradient each starts with."""
    if len(outputs) != len(weights):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(weights)} gradients")
    roots = []
    for number, (output, weight) in enumerate(zip(outputs, weights)):
        if output._edge is None:
            raise RuntimeError(f"element {number} of tensors does not require grad and does not have a grad_fn")
        if weight is None:
            data = output._data
            if data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            weight = Tensor._wrap(array_module(data).ones(data.shape, data.dtype))
        elif not isinstance(weight, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(weight).__name__}")
        if tuple(weight._data.shape) != tuple(output._data.shape):
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{number}] has a shape of {list(weight.shape)} and output[{number}] "
                "has a shape "
                f"of {list(output.shape)}."
            )
        if weight._data.dtype != output._data.dtype:
            weight = weight.to(output.dtype)
        if hasattr(output._data, "level"):
            from framework.func.levels import fit_levels

            weight = fit_levels(weight, output._data.shape, None)
        roots.append((output._edge, weight if create_graph else weight._data))
    return roots
