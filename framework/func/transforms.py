"""Functions made into their derivatives, as torch.func has them: they nest in one another and in `vmap`.

Every transformation differentiates on the graph that running its function records. Forward mode is made of two reverse
passes: the derivative of `u -> vjp(u)`, which is linear, applied to the tangent. That is possible because every
derivative rule is itself made of differentiable operations; it costs about as much as two backward passes, and no
operation needs a second rule.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from framework.autograd.backward import grad as autograd_grad
from framework.core.device import array_module
from framework.core.modes import GRAD, enable_grad, modes
from framework.core.node import AccumulateGrad, Node, sequence
from framework.core.tensor import Tensor
from framework.func.levels import expand_batch, levels_of
from framework.func.tree import Structure, flatten, tree_map, unflatten
from framework.func.vmap import running_frames, vmap

Argnums = int | tuple[int, ...]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that computes the gradient of a scalar `func` with respect to the arguments `argnums`.

    With `has_aux`, `func` returns (scalar, anything else), and the result is (gradient, anything else).
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """As `grad`; the result is (gradient, value), or with `has_aux` (gradient, (value, anything else))."""

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _Level() as level:
            chosen = _chosen(args, argnums)
            entered = [level.enter(part, "grad") for part in chosen]
            output = func(*_replaced(args, argnums, entered), **kwargs)
            aux = None
            if has_aux:
                output, aux = _with_aux(output, "grad_and_value")
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a tensor, got type {type(output).__name__}"
                )
            if output.ndim:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            leaves, structure = flatten(entered)
            found = level.pull([output], leaves, [None])
            gradients = unflatten(found, structure)
        value, aux = level.left((output, aux))
        result = gradients[0] if isinstance(argnums, int) else tuple(gradients)
        return (result, (value, aux)) if has_aux else (result, value)

    return wrapped


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(`func(*primals)`, a function of its cotangents): vector-Jacobian products, any number of times.

    The returned function takes as many cotangents as `func` has outputs, or one shaped as the output, and returns a
    tuple with the product for each primal. With `has_aux` a third result is what `func` returned besides.
    """
    with _Level() as level:
        entered = tuple(level.enter(primal, "vjp") for primal in primals)
        output = func(*entered)
        aux = None
        if has_aux:
            output, aux = _with_aux(output, "vjp")
        outputs, made = _outputs(output, "vjp")
        leaves, structure = flatten(entered)
    result, aux = level.left((output, aux))

    def pull(*cotangents: Any) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        if len(cotangents) == 1 and made.kind is tuple and made.count == 1 and isinstance(given, Tensor):
            given = (given,)
        weights, form = flatten(given)
        if len(weights) != len(outputs) or (form.kind is None) != (made.kind is None):
            raise RuntimeError(
                f"vjp_fn: expected cotangents of the structure of the output ({made.count} tensors), got {form.count}"
            )
        found = level.pull(outputs, leaves, weights)
        return unflatten(found, structure)

    return (result, pull, aux) if has_aux else (result, pull)


def linearize(func: Callable[..., Any], *primals: Any) -> Any:
    """(`func(*primals)`, a function of tangents): Jacobian-vector products, at one backward pass each."""
    output, push, _ = _linearized(func, primals, False)
    return output, push


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """(`func(*primals)`, the Jacobian-vector product with `tangents`), and with `has_aux` what it returned besides.

    `strict` raises where an output does not depend on the primals; otherwise its tangent is zero.
    """
    if not isinstance(primals, tuple) or not primals:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call "
            "f(*primals), with at least one primal."
        )
    if flatten(primals)[1] != flatten(tangents)[1]:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure."
        )
    output, push, aux = _linearized(func, primals, has_aux, strict)
    tangent = push(*tangents)
    return (output, tangent, aux) if has_aux else (output, tangent)


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """The Jacobian of `func` by reverse mode: for each output, of shape (*output, *input).

    One backward pass for all output elements together, by `vmap` (`chunk_size` of them at once): the way for more
    inputs than outputs.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = tuple(_chosen(args, argnums))
        result = vjp(lambda *parts: func(*_replaced(args, argnums, parts), **kwargs), *chosen, has_aux=has_aux)
        output, pull = result[:2]
        outputs, made = _outputs(output, "jacrev")
        rows = []
        for number, each in enumerate(outputs):
            columns = _rows(pull, outputs, made, number, chunk_size)
            shape = tuple(each.shape)
            shaped = tree_map(functools.partial(_as_matrix, shape), columns)
            rows.append(shaped[0] if isinstance(argnums, int) else shaped)
        jacobian = unflatten(rows, made)
        return (jacobian, result[2]) if has_aux else jacobian

    return wrapped


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The Jacobian of `func` by forward mode: as `jacrev`, the way for more outputs than inputs.

    `chunk_size` input elements are dealt with at once. `randomness` is accepted as in torch: `func` runs once.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = tuple(_chosen(args, argnums))
        output, push, aux = _linearized(
            lambda *parts: func(*_replaced(args, argnums, parts), **kwargs), chosen, has_aux
        )
        inputs, structure = flatten(chosen)
        outputs, made = _outputs(output, "jacfwd")
        columns = []
        for number, each in enumerate(inputs):
            basis = unit_vectors(each)
            zeros = [Tensor._wrap(array_module(other._data).zeros_like(other._data)) for other in inputs]

            def tangent(direction: Any, number: int = number, zeros: Any = zeros) -> Any:
                parts = [direction if place == number else zero for place, zero in enumerate(zeros)]
                return push(*unflatten(parts, structure))

            pushed = flatten(vmap(tangent, chunk_size=chunk_size)(basis))[0]
            columns.append([part.movedim(0, -1).reshape((*part.shape[1:], *each.shape)) for part in pushed])
        rows = [unflatten([column[number] for column in columns], structure) for number in range(len(outputs))]
        jacobian = unflatten([row[0] if isinstance(argnums, int) else row for row in rows], made)
        return (jacobian, aux) if has_aux else jacobian

    return wrapped


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The second derivatives of `func`: `jacfwd(jacrev(func))`."""
    return jacfwd(jacrev(func, argnums), argnums)


# -- levels -----------------------------------------------------------------------------------------------------------


class _Entry(Node):
    """Where a transformation takes hold of a tensor: the identity, from which its derivative is asked for."""

    __slots__ = ()

    def name(self) -> str:
        return "FuncEntryBackward"

    def apply(self, grads: list[Any], create_graph: bool, useful: "set[Any] | None" = None) -> list[Any]:
        return [grads[0] if self.edges[0] is not None else None]


class _Live(threading.local):
    def __init__(self) -> None:
        self.entries: set[Any] = set()  # of the transformations this thread is inside of


_live = _Live()


class _Level:
    """One transformation at work: recording is on inside, and results keep only the history they owe to outside."""

    def __init__(self) -> None:
        self._entries: list[Any] = []

    def __enter__(self) -> "_Level":
        self._records = bool(modes.flags & GRAD)
        self._inside = True
        self._mode = enable_grad()
        self._mode.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._inside = False
        _live.entries.difference_update(self._entries)
        self._mode.__exit__(None, None, None)

    def enter(self, tree: Any, name: str) -> Any:
        """The nest with each tensor at an entry of its own."""

        def taken(leaf: Any) -> Tensor:
            if not isinstance(leaf, Tensor):
                raise ValueError(
                    f"{name}: Expected the differentiated arguments to be Tensors, got {type(leaf).__name__}"
                )
            for frame in running_frames():  # inside vmap every sample has a derivative of its own
                if frame.level not in levels_of(leaf):
                    leaf = expand_batch(leaf, frame.level, frame.size)
            array = leaf._data
            if array.dtype.kind not in "fcV":
                raise RuntimeError(
                    f"{name}: only Tensors of floating point and complex dtype can require gradients, got {leaf.dtype}"
                )
            node = _Entry()
            node.edges = (leaf._edge if self._records else None,)
            node.meta = ((array.shape, array.dtype),)
            node.saved = node.versions = ()
            node.attrs = {}
            node.sequence = next(sequence)
            self._entries.append(node)
            _live.entries.add(node)
            result = Tensor._wrap(array, (node, 0))
            result._cell = leaf._shared()
            return result

        return tree_map(taken, tree)

    def pull(self, outputs: list[Tensor], inputs: list[Tensor], weights: Sequence[Any]) -> list[Tensor]:
        """The gradients of weighted outputs at the inputs; zeros where there is no way."""
        _live.entries.difference_update(self._entries)
        records = self._records if self._inside else modes.flags & GRAD
        sources = [*outputs, *(weight for weight in weights if weight is not None), *inputs]
        create_graph = bool(records) and any(_has_history(source) for source in sources)
        pairs = [(output, weight) for output, weight in zip(outputs, weights) if output._edge is not None]
        found: tuple[Any, ...] = (None,) * len(inputs)
        if pairs:
            found = autograd_grad(
                [output for output, _ in pairs],
                inputs,
                [weight for _, weight in pairs],
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
        return [
            Tensor._wrap(array_module(source._data).zeros_like(source._data)) if each is None else _pruned(each)
            for each, source in zip(found, inputs)
        ]

    def left(self, tree: Any) -> Any:
        """Results without the history that ends at this level."""
        return tree_map(lambda leaf: _pruned(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def _pruned(tensor: Tensor) -> Tensor:
    return tensor if tensor._edge is None or _has_history(tensor) else tensor.detach()


def _has_history(tensor: Tensor) -> bool:
    """Whether a tensor was computed from a leaf, or from what a transformation further out has taken hold of."""
    if tensor._edge is None:
        return False
    stack = [tensor._edge[0]]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if isinstance(node, AccumulateGrad) or node in _live.entries:
            return True
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return False


# -- pieces -----------------------------------------------------------------------------------------------------------


def _linearized(func: Callable[..., Any], primals: Any, has_aux: bool, strict: bool = False) -> Any:
    """(output, the function from tangents to the output's tangent, aux)."""
    with _Level() as level:
        entered = tuple(level.enter(primal, "jvp") for primal in primals)
        output = func(*entered)
        aux = None
        if has_aux:
            output, aux = _with_aux(output, "jvp")
        outputs, made = _outputs(output, "jvp")
        inputs, _ = flatten(entered)
        dummies = [level.enter(Tensor._wrap(np.zeros_like(each._data)), "jvp") for each in outputs]
        pairs = [(each, dummy) for each, dummy in zip(outputs, dummies) if each._edge is not None]
        if strict and len(pairs) < len(outputs):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not "
                "allowed with strict=True."
            )
        pulled: tuple[Any, ...] = (None,) * len(inputs)
        if pairs:
            pulled = autograd_grad(
                [each for each, _ in pairs],
                inputs,
                [dummy for _, dummy in pairs],
                retain_graph=True,
                create_graph=True,
                allow_unused=True,
            )
    result, aux = level.left((output, aux))

    def push(*tangents: Any) -> Any:
        """The output's tangent for one tangent a primal."""
        given = [leaf for tangent in tangents for leaf in flatten(tangent)[0]]
        if len(given) != len(inputs):
            raise RuntimeError(f"jvp_fn: expected {len(inputs)} tangents, got {len(given)}")
        for one, other in zip(given, inputs):
            if tuple(one.shape) != tuple(other.shape):
                raise RuntimeError(
                    f"jvp(f, primals, tangents): Expected primals and tangents to have the same shapes, got "
                    f"{list(other.shape)} and {list(one.shape)}"
                )
        ways = [(each, weight) for each, weight in zip(pulled, given) if each is not None]
        found = level.pull([each for each, _ in ways], dummies, [weight for _, weight in ways])
        return unflatten(found, made)

    return result, push, aux


def _chosen(args: tuple[Any, ...], argnums: Argnums) -> list[Any]:
    """The arguments to differentiate with respect to."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(numbers, tuple) or not numbers:
        raise RuntimeError(f"argnums must be an int or a non-empty tuple of ints, got {argnums}")
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
    if len({number % len(args) for number in numbers}) != len(numbers):
        raise RuntimeError(f"All elements of argnums must be unique, got argnums={argnums}")
    return [args[number] for number in numbers]


def _replaced(args: tuple[Any, ...], argnums: Argnums, parts: Sequence[Any]) -> list[Any]:
    result = list(args)
    for number, part in zip((argnums,) if isinstance(argnums, int) else argnums, parts):
        result[number] = part
    return result


def _with_aux(output: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(output, tuple) or len(output) != 2:
        raise RuntimeError(
            f"{name}(f)(*args): output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return output


def _outputs(output: Any, name: str) -> tuple[list[Tensor], Structure]:
    outputs, made = flatten(output)
    for each in outputs:
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"{name}(f, *primals): Expected f(*primals) to return only tensors, got unsupported type "
                f"{type(each).__name__}"
            )
    return outputs, made


def unit_vectors(tensor: Tensor) -> Tensor:
    """The unit vectors of a tensor's space: (elements, *shape)."""
    from framework.ops.ranges import eye

    count = tensor.numel()
    return eye(count, dtype=tensor.dtype, device=tensor.device).reshape((count, *tensor.shape))


def _as_matrix(shape: tuple[int, ...], rows: Tensor) -> Tensor:
    """(elements, *input) as (*shape, *input)."""
    return rows.reshape((*shape, *rows.shape[1:]))


def _rows(pull: Any, outputs: list[Tensor], made: Structure, number: int, chunk_size: int | None) -> Any:
    """The products of every unit cotangent of one output: (elements, *input) for each input."""
    zeros = [Tensor._wrap(array_module(each._data).zeros_like(each._data)) for each in outputs]

    def row(direction: Any) -> Any:
        parts = [direction if place == number else zero for place, zero in enumerate(zeros)]
        return pull(unflatten(parts, made))

    return vmap(row, chunk_size=chunk_size)(unit_vectors(outputs[number]))
