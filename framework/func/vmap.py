"""`vmap`: a function of one sample applied to a batch, without a loop."""

import functools
import itertools
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from framework.core import random
from framework.core.modes import VMAP, modes
from framework.core.tensor import Tensor
from framework.func.batched import BatchedArray
from framework.func.levels import add_batch_dim, levels_of, remove_batch_dim
from framework.func.tree import Structure, flatten, spread_prefix, unflatten

_levels = itertools.count(1)


class Frame(NamedTuple):
    """One running `vmap`."""

    level: int
    size: int
    randomness: str


class VmapInfo(NamedTuple):
    """What a Function's `vmap` is told."""

    batch_size: int
    randomness: str


class _Running(threading.local):
    frames: tuple[Frame, ...] = ()


_running = _Running()


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that applies `func` to every sample of its arguments and stacks the results, as torch.vmap.

    `in_dims` says which dimension of each argument holds the samples (None: the argument is the same for all), as one
    number or nested as the arguments are; `out_dims` where the samples go in the results. Random numbers inside are
    refused ("error"), drawn for each sample ("different"), or once for all ("same"). `chunk_size` samples are computed
    at once. Derivatives may be taken inside (`vmap(grad(f))` gives each sample's gradient) and outside.

    Operations are computed on whole batches by a rule each; one without a rule runs sample by sample.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, structure, size = _samples(func, in_dims, args)
        if chunk_size is None or chunk_size >= size:
            return _apply(func, leaves, dims, structure, size, out_dims, randomness, kwargs)
        return _in_chunks(func, leaves, dims, structure, size, out_dims, randomness, kwargs, chunk_size)

    return wrapped


def is_batched(value: Any) -> bool:
    """Whether a value is a tensor that stands for a batch inside a running vmap."""
    return isinstance(value, Tensor) and isinstance(value._data, BatchedArray)


def sample_by_sample(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function of tensors computed for each sample of the newest level among its arguments, and stacked."""
    from framework.ops.shape import stack

    leaves, structure = flatten((args, kwargs))
    levels = [max(levels_of(leaf).items()) for leaf in leaves if is_batched(leaf)]
    if not levels:
        return function(*args, **kwargs)
    level, size = max(levels)
    varies = [isinstance(leaf, Tensor) and level in levels_of(leaf) for leaf in leaves]
    wide = [remove_batch_dim(leaf, level, size) if here else leaf for leaf, here in zip(leaves, varies)]
    results = []
    for number in range(size):
        given, options = unflatten([leaf[number] if here else leaf for leaf, here in zip(wide, varies)], structure)
        results.append(flatten(function(*given, **options)))
    made = results[0][1]
    together = [
        add_batch_dim(stack(list(column)), level) if isinstance(column[0], Tensor) else column[0]
        for column in zip(*(each for each, _ in results))
    ]
    return unflatten(together, made)


def running_frames() -> tuple[Frame, ...]:
    """The vmaps that this thread is inside of, the outermost first."""
    return _running.frames


def apply_rule(function: Any, args: tuple[Any, ...]) -> Any:
    """A Function on batched tensors by its own `vmap`, which sees whole batches."""
    level, size = max(max(levels_of(arg).items()) for arg in args if is_batched(arg))
    randomness = next((frame.randomness for frame in _running.frames if frame.level == level), "error")
    given, in_dims = [], []
    for arg in args:
        here = isinstance(arg, Tensor) and level in levels_of(arg)
        given.append(remove_batch_dim(arg, level, size) if here else arg)
        in_dims.append(0 if here else None)
    answer = function.vmap(VmapInfo(size, randomness), tuple(in_dims), *given)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise RuntimeError(f"{function.__name__}.vmap: expected (outputs, out_dims)")
    outputs, out_dims = answer
    leaves, structure = flatten(outputs)
    places = spread_prefix(out_dims, outputs)
    if places is None:
        raise RuntimeError(f"{function.__name__}.vmap returned out_dims that do not fit its outputs")
    wrapped = [
        leaf if place is None or not isinstance(leaf, Tensor) else add_batch_dim(leaf.movedim(place, 0), level)
        for leaf, place in zip(leaves, places)
    ]
    return unflatten(wrapped, structure)


def _samples(func: Any, in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], list[int | None], Structure, int]:
    """The arguments' leaves, their batch dimensions, their structure, and the batch size."""
    name = getattr(func, "__name__", repr(func))
    if not isinstance(in_dims, int | tuple | list) or isinstance(in_dims, bool):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) "
            f"tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
            "vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, structure = flatten(args)
    dims = spread_prefix(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
    if dims is None:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the structure of inputs. "
            "in_dims must match the tree structure of inputs."
        )
    sizes = set()
    for number, (leaf, dim) in enumerate(zip(leaves, dims)):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an input but in_dim must be "
                "either an integer dimension or None."
            )
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an input but the input is of "
                f"type {type(leaf)}. We cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for some input, but that input is a "
                f"Tensor of dimensionality {leaf.ndim} so expected in_dim to satisfy -{leaf.ndim} <= in_dim < "
                f"{leaf.ndim}."
            )
        dims[number] = dim % leaf.ndim
        sizes.add(leaf.shape[dim])
    if not sizes:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one input must have a dimension to "
            "map over, but all in_dims are None"
        )
    if len(sizes) > 1:
        found = [leaf.shape[dim] for leaf, dim in zip(leaves, dims) if dim is not None]
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {found} for the "
            "mapped dimension"
        )
    return leaves, dims, structure, sizes.pop()


def _apply(
    func: Any,
    leaves: list[Any],
    dims: list[int | None],
    structure: Structure,
    size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    level = next(_levels)
    batched = [
        leaf if dim is None else add_batch_dim(leaf if dim == 0 else leaf.movedim(dim, 0), level)
        for leaf, dim in zip(leaves, dims)
    ]
    before = _running.frames
    enter_frames((*before, Frame(level, size, randomness)))
    try:
        result = func(*unflatten(batched, structure), **kwargs)
    finally:
        enter_frames(before)
    outputs, made = flatten(result)
    places = spread_prefix(out_dims, result)
    name = getattr(func, "__name__", repr(func))
    if places is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of the "
            "outputs."
        )
    return unflatten([_taken_out(output, level, size, place, name) for output, place in zip(outputs, places)], made)


def _taken_out(output: Any, level: int, size: int, place: Any, name: str) -> Any:
    if not isinstance(output, Tensor):
        if place is None:
            return output
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(output)}. Did you mean to set "
            "out_dims= to None for output?"
        )
    if place is None:
        if level in levels_of(output):
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return output
    whole = remove_batch_dim(output, level, size)
    if not -whole.ndim <= place < whole.ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-whole.ndim}, {whole.ndim - 1}], but got {place})"
        )
    return whole if place == 0 else whole.movedim(0, place)


def _in_chunks(
    func: Any,
    leaves: list[Any],
    dims: list[int | None],
    structure: Structure,
    size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
    chunk_size: int,
) -> Any:
    from framework.ops.shape import cat

    state = random.default_generator.get_state()
    parts = []
    for start in range(0, size, chunk_size):
        length = min(chunk_size, size - start)
        if randomness == "same":
            random.default_generator.set_state(state)
        given = [leaf if dim is None else leaf.narrow(dim, start, length) for leaf, dim in zip(leaves, dims)]
        parts.append(_apply(func, given, dims, structure, length, out_dims, randomness, kwargs))
    pieces = [flatten(part) for part in parts]
    structure = pieces[0][1]
    places = spread_prefix(out_dims, parts[0])
    assert places is not None
    joined = [
        column[0] if place is None else cat(list(column), place)
        for column, place in zip(zip(*(leaves for leaves, _ in pieces)), places)
    ]
    return unflatten(joined, structure)


def enter_frames(frames: tuple[Frame, ...]) -> None:
    """Make these the running vmaps of this thread."""
    _running.frames = frames
    random.draws.spread = _spread_draw if frames else None
    modes.flags = modes.flags | VMAP if frames else modes.flags & ~VMAP


def _spread_draw(draw: Callable[[int], Any], count: int, together: bool) -> Any:
    """Random numbers for the samples of the running vmaps: refused, one set for each sample, or one for all.

    `together`: numbers for all samples may come from one draw.
    """
    frames = _running.frames
    if any(frame.randomness == "error" for frame in frames):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags on vmap or perform the randomness operation out of vmap"
        )
    apart = [frame for frame in frames if frame.randomness == "different"]
    random.draws.spread = None
    try:
        samples = math.prod(frame.size for frame in apart)
        numbers = draw(samples * count) if together else np.stack([draw(count) for _ in range(samples)])
    finally:
        random.draws.spread = _spread_draw
    array: Any = numbers.reshape((*(frame.size for frame in apart), count))
    for frame in apart:
        array = BatchedArray(array, frame.level)
    return array
