"""Checkpointing: a part of a computation keeps its inputs instead of what it computed, and runs again for backward.

Chen et al. 2016, "Training deep nets with sublinear memory cost". The way is torch's without re-entrance: what the part
saves for backward is replaced by placeholders (see `autograd.graph.saved_tensors_hooks`); the first that backward asks
for makes the part run again, in the modes and with the random numbers of the first time, until all are there.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from framework.core.autocast import casting
from framework.core.modes import PACKING, modes
from framework.core.node import AccumulateGrad
from framework.core.random import default_generator
from framework.core.saved import SavedTensor, pop, push
from framework.core.tensor import Tensor
from framework.func.tree import flatten, unflatten
from framework.func.vmap import enter_frames, running_frames

Contexts = tuple[contextlib.AbstractContextManager[Any], contextlib.AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed part did not save what the first one did."""


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] | None = None,
    determinism_check: str = "default",
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, of which only the inputs are kept for backward.

    Parts may be nested, and derivatives of any order go through. `preserve_rng_state`: the second run draws the same
    random numbers. `context_fn` makes two contexts, for the first and the second run. `early_stop`: the second run ends
    when all that was saved is there. With `determinism_check` "default" a CheckpointError says where the second run
    saved tensors of another number, shape or type; "none" trusts it. `use_reentrant=True` is refused: there is only
    the other way, torch's `use_reentrant=False`.
    """
    if use_reentrant:
        raise ValueError("checkpoint: use_reentrant=True is not there; use_reentrant=False does all that it did")
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    first, second = context_fn() if context_fn is not None else (contextlib.nullcontext(), contextlib.nullcontext())
    part = _Part(function, args, kwargs, second, determinism_check == "default", preserve_rng_state, early_stop)
    push((part.pack, part.unpack))
    try:
        with first:
            return function(*args, **kwargs)
    finally:
        pop()


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Modules or functions applied in turn, in `segments` parts, of which all but the last are checkpointed."""
    steps: Sequence[Any] = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(f"checkpoint_sequential: segments must be between 1 and {len(steps)}, got {segments}")

    def run(start: int, stop: int) -> Callable[[Any], Any]:
        def segment(value: Any) -> Any:
            for step in steps[start:stop]:
                value = step(value)
            return value

        return segment

    size = len(steps) // segments
    stop = 0
    for start in range(0, size * (segments - 1), size):
        stop = start + size
        input = checkpoint(run(start, stop), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return run(stop, len(steps))(input)


class _Complete(Exception):  # noqa: N818  not an error: the second run has saved all that is needed
    pass


class _Part:
    """One checkpointed call: its inputs, the modes it ran in, and what its second run saved."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: contextlib.AbstractContextManager[Any],
        checks: bool,
        preserve_rng_state: bool,
        early_stop: bool,
    ) -> None:
        self._function = function
        leaves, self._structure = flatten((args, kwargs))
        # saved like an operation's inputs: a checkpoint around this one packs them, and its second run gives them
        self._inputs = [
            (SavedTensor(leaf), leaf.requires_grad) if isinstance(leaf, Tensor) else leaf for leaf in leaves
        ]
        self._context = context
        self._checks = checks
        self._early_stop = early_stop
        self._flags = modes.flags & ~PACKING
        self._casting = dict(casting.enabled), dict(casting.dtype)
        self._frames = running_frames()
        self._random = default_generator.get_state() if preserve_rng_state else None
        self._saved: list[tuple[tuple[int, ...], Any]] = []  # shape and type of each
        self._recomputed: dict[int, Tensor] = {}
        self._lock = threading.RLock()

    def pack(self, tensor: Tensor) -> int:
        """A number in place of what the first run saves."""
        self._saved.append((tuple(tensor.shape), tensor.dtype))
        return len(self._saved) - 1

    def unpack(self, number: int) -> Tensor:
        """What was saved under a number; the part runs again where it is not there."""
        with self._lock:
            if number not in self._recomputed:
                self._run_again()
            return self._recomputed.pop(number)

    def _run_again(self) -> None:
        again: list[Tensor] = []

        def pack(tensor: Tensor) -> int:
            again.append(tensor.detach())
            if self._early_stop and len(again) == len(self._saved):
                raise _Complete
            return len(again) - 1

        args, kwargs = unflatten([self._restored(each) for each in self._inputs], self._structure)
        push((pack, lambda number: again[number]))
        try:
            with self._as_before(), self._context, contextlib.suppress(_Complete):
                self._function(*args, **kwargs)
        finally:
            pop()
        if len(again) != len(self._saved):
            raise CheckpointError(
                "checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self._saved)}\n"
                f"Number of tensors saved during recomputation: {len(again)}."
            )
        if self._checks:
            self._compare(again)
        self._recomputed = dict(enumerate(again))

    def _compare(self, again: list[Tensor]) -> None:
        differences = [
            f"tensor at position {number}:\nsaved metadata: shape {list(shape)}, {dtype}\n"
            f"recomputed metadata: shape {list(tensor.shape)}, {tensor.dtype}"
            for number, ((shape, dtype), tensor) in enumerate(zip(self._saved, again))
            if (shape, dtype) != (tuple(tensor.shape), tensor.dtype)
        ]
        if differences:
            raise CheckpointError(
                "checkpoint: Recomputed values for the following tensors have different metadata than during the "
                "forward pass.\n" + "\n".join(differences)
            )

    def _restored(self, kept: Any) -> Any:
        """An input again, cut from the graph: the second run only has to record as the first did."""
        if not (isinstance(kept, tuple) and isinstance(kept[0], SavedTensor)):
            return kept
        saved, requires_grad = kept
        tensor = saved.get(None, "checkpoint").detach()
        if requires_grad:
            tensor._edge = (AccumulateGrad(tensor), 0)
        return tensor

    @contextlib.contextmanager
    def _as_before(self) -> Iterator[None]:
        """The modes and the random stream of the first run; those of now come back afterwards."""
        flags, state = modes.flags, default_generator.get_state()
        enabled, dtypes, cached = casting.enabled, casting.dtype, casting.cache_enabled
        frames = running_frames()
        enter_frames(self._frames)
        modes.flags = self._flags | modes.flags & PACKING
        casting.enabled, casting.dtype = (dict(each) for each in self._casting)
        casting.cache_enabled = False  # casts of the first run went with its region
        if self._random is not None:
            default_generator.set_state(self._random)
        try:
            yield
        finally:
            enter_frames(frames)
            modes.flags = flags
            casting.enabled, casting.dtype, casting.cache_enabled = enabled, dtypes, cached
            if self._random is not None:
                default_generator.set_state(state)
