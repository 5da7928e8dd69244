"""Autocast: the type in which an operation computes inside `framework.autocast`, said where it is made.

A class is given to `op(autocast=...)` for a record, or by `@operation(autocast=...)` to a function made of records:

    "lower"     in the region's type (bfloat16, float16): products of matrices, convolutions
    "float32"   in float32: losses, norms, exponentials, where PyTorch does not trust sixteen bits
    "widest"    in the widest type among its tensors: concatenation
    "refused"   not at all; the error says what to use instead

PyTorch's lists differ between devices, so a class may be given for one alone: "cpu:float32", "cpu:float32 cuda:lower".
Only floating tensors other than float64 on a device whose region is on are cast. In-place operations and those with
`out=` never are, nor is one that is told its `dtype`.
"""

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.dtype import FLOATING, FROM_NUMPY, bfloat16, float16, float32
from framework.core.modes import GRAD, VMAP, WATCHED, modes
from framework.core.node import AccumulateGrad
from framework.core.tensor import Tensor

CLASSES = ("lower", "float32", "widest", "refused")
DEVICES = ("cpu", "cuda")


class Casting(threading.local):
    """What this thread's regions ask for."""

    def __init__(self) -> None:
        self.enabled = dict.fromkeys(DEVICES, False)
        self.dtype: dict[str, Any] = {"cpu": bfloat16, "cuda": float16}
        self.cache_enabled = True
        self.depth = 0  # regions around this one; leaving the outermost empties the cache
        self.cache: dict[int, tuple[Any, ...]] = {}


casting = Casting()


class Policy:
    """The class of an operation on each device, None where its tensors stay as they are."""

    __slots__ = ("cpu", "cuda")

    def __init__(self, text: str) -> None:
        self.cpu: str | None = None
        self.cuda: str | None = None
        for part in text.split():
            places, colon, name = part.rpartition(":")
            if name not in CLASSES or (colon and places not in DEVICES):
                raise ValueError(f"autocast class '{part}': give one of {', '.join(CLASSES)}, or cpu:... or cuda:...")
            for place in (places,) if colon else DEVICES:
                setattr(self, place, name)


def operation(*, autocast: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the function is one operation for autocast and the profiler, though it is composed of several.

    Its class counts, and no operation that it is made of is cast by its own.
    """
    policy = Policy(autocast)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            if modes.flags & (WATCHED | VMAP):
                from framework.core.watch import watched

                return watched(name, policy, function, args, kwargs)
            return function(*args, **kwargs)

        called.autocast = policy  # type: ignore[attr-defined]
        return called

    return decorate


def cast_arguments(
    name: str, policy: Policy, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in the type that the policy asks for in this thread's regions."""
    if kwargs.get("out") is not None or kwargs.get("dtype") is not None:
        return args, kwargs
    tensors = [value for value in _flat((*args, *kwargs.values())) if _eligible(value)]
    for place in DEVICES:
        chosen = getattr(policy, place)
        here = [tensor for tensor in tensors if _place(tensor) == place]
        if not casting.enabled[place] or chosen is None or not here:
            continue
        if chosen == "refused":
            raise RuntimeError(_REFUSED.get(name, f"{name} is unsafe to autocast"))
        wanted = _wanted(chosen, here, place)
        if any(tensor._data.dtype != wanted for tensor in here):
            args = tuple(_cast(value, wanted, place) for value in args)
            kwargs = {key: _cast(value, wanted, place) for key, value in kwargs.items()}
    return args, kwargs


def cast_to(value: Any, dtype: Any, place: str) -> Any:
    """Eligible tensors in nested tuples, lists and dictionaries, in another type."""
    if isinstance(value, dict):
        return {cast_to(key, dtype, place): cast_to(each, dtype, place) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(cast_to(each, dtype, place) for each in value)
    return _cast(value, dtype.numpy_dtype, place)


_REFUSED = {
    "binary_cross_entropy": (
        "binary_cross_entropy and BCELoss are unsafe to autocast.\nMany models use a sigmoid layer right before the "
        "binary cross entropy layer. In this case, combine the two layers using binary_cross_entropy_with_logits or "
        "BCEWithLogitsLoss: these are safe to autocast."
    )
}


def _flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, tuple | list):
            yield from value
        else:
            yield value


def _place(tensor: Tensor) -> str:
    return "cpu" if type(tensor._data) is np.ndarray else tensor.device.type


def _eligible(value: Any) -> bool:
    if not isinstance(value, Tensor):
        return False
    kind = FROM_NUMPY.get(value._data.dtype)
    return kind is not None and kind.category == FLOATING and value._data.dtype != np.float64


def _wanted(chosen: str, tensors: list[Tensor], place: str) -> Any:
    lower = casting.dtype[place].numpy_dtype
    if chosen == "lower":
        return lower
    if chosen == "float32" or any(tensor._data.dtype != lower for tensor in tensors):
        return float32.numpy_dtype
    return lower


def _cast(value: Any, wanted: Any, place: str) -> Any:
    """The tensor (or those in a sequence) in the wanted type; of a float32 leaf, the cast that is kept for it."""
    if isinstance(value, tuple | list):
        return [_cast(each, wanted, place) for each in value] if any(map(_eligible, value)) else value
    if not _eligible(value) or value._data.dtype == wanted or _place(value) != place:
        return value
    from framework.ops.elementwise import to_dtype

    edge: Any = value._edge
    kept = edge is not None and type(edge[0]) is AccumulateGrad and value._data.dtype == np.float32
    if not kept or value._view is not None or not casting.cache_enabled or wanted == np.float32:
        return to_dtype(value, wanted)
    found = casting.cache.get(id(value))
    if found is not None:
        owner, *state, result = found
        current = owner() is value and state[0] is value._data and state[1:] == [value._shared().version, wanted]
        if current and (result._edge is not None or not modes.flags & GRAD):  # one cast unrecorded serves no recording
            return result
    result = to_dtype(value, wanted)
    casting.cache[id(value)] = (weakref.ref(value), value._data, value._shared().version, wanted, result)
    return result
