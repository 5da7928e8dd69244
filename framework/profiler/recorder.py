"""What a running profile writes down: an event for each operation, derivative and named span of its threads."""

import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self

from framework.core.modes import PROFILE, modes
from framework.core.node import AccumulateGrad
from framework.core.observer import observer
from framework.core.tensor import Tensor
from framework.profiler.flops import flops_of
from framework.profiler.memory import Tracker

Stack = tuple[tuple[str, int, str], ...]
FRAMES = 32  # of a stack that are kept, from the innermost
_INNER = tuple(f"{__file__.rpartition('profiler')[0]}{folder}" for folder in ("core", "ops", "profiler"))


class Event:
    """One operation ("op"), derivative ("backward") or span of the user ("span"), with times in nanoseconds.

    `inside` and `memory_inside` are the parts of its time and memory that its children account for; `sequence` is the
    number that joins an operation to its derivative; `memory` is bytes allocated less bytes freed, in bytes.
    """

    __slots__ = (
        "end",
        "flops",
        "inside",
        "kind",
        "memory",
        "memory_inside",
        "name",
        "parent",
        "sequence",
        "shapes",
        "stack",
        "start",
        "thread",
        "types",
    )

    def __init__(self, name: str, kind: str, thread: int, parent: "Event | None") -> None:
        self.name = name
        self.kind = kind
        self.thread = thread
        self.parent = parent
        self.inside = self.memory = self.memory_inside = self.flops = 0
        self.sequence = -1
        self.shapes: list[Any] = []
        self.types: list[Any] = []
        self.stack: Stack = ()
        self.start = self.end = 0

    @property
    def duration(self) -> int:
        """Nanoseconds from start to end."""
        return self.end - self.start


class _Local(threading.local):
    top: Event | None = None
    thread = 0


class Recorder:
    """Listens to operations while it is installed. Options as in `profile`."""

    def __init__(self, shapes: bool, memory: bool, stacks: bool, flops: bool, synchronize: Any = None) -> None:
        self.shapes, self.stacks, self.flops = shapes, stacks, flops
        self.synchronize: Callable[[], None] | None = synchronize
        self.tracker = Tracker() if memory else None
        self.events: list[Event] = []
        self.threads: dict[int, str] = {}
        self.started = perf_counter_ns()
        self.ended = 0
        self._local = _Local()

    def install(self) -> None:
        """Listen from now on, in this thread and in spans of others."""
        if observer.call is not None:
            raise RuntimeError("a profile is running already; one at a time can record")
        observer.call, observer.backward = self.call, self.backward
        observer.recorder = self
        modes.flags |= PROFILE

    def remove(self) -> None:
        """Listen no longer."""
        observer.call = observer.backward = observer.recorder = None
        modes.flags &= ~PROFILE
        self.ended = perf_counter_ns()
        if self.tracker is not None:
            self.tracker.close()

    def call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call as an event."""
        event = self.open(name, "op")
        if self.shapes:
            event.shapes, event.types = _shapes(args)
        if self.stacks:
            event.stack = _stack(sys._getframe(2))
        try:
            result = function(*args, **kwargs)
            if self.flops:
                event.flops = flops_of(name, args, result)
            if type(result) is Tensor and result._edge is not None and type(result._edge[0]) is not AccumulateGrad:
                event.sequence = result._edge[0].sequence
        finally:
            self.close(event)
        if self.tracker is not None:
            self.attribute(event, result, args)
        return result

    def backward(self, node: Any, grads: list[Any], create_graph: bool, useful: Any) -> list[Any]:
        """Run a node's derivative as an event."""
        event = self.open(node.name(), "backward")
        event.sequence = node.sequence
        if self.shapes:
            event.shapes, event.types = _shapes(grads)
        try:
            result: list[Any] = node.apply(grads, create_graph, useful)
        finally:
            self.close(event)
        if self.tracker is not None:
            self.attribute(event, result, grads)
        return result

    def open(self, name: str, kind: str) -> Event:
        """A new event inside the thread's innermost."""
        local = self._local
        thread = local.thread
        if not thread:
            thread = local.thread = threading.get_native_id()
            self.threads[thread] = threading.current_thread().name
        event = Event(name, kind, thread, local.top)
        local.top = event
        self.events.append(event)
        if self.tracker is not None:
            event.memory = -self.tracker.current
        event.start = perf_counter_ns()
        return event

    def close(self, event: Event) -> None:
        """The event is over."""
        if self.synchronize is not None:
            self.synchronize()
        event.end = perf_counter_ns()
        self._local.top = event.parent
        if event.parent is not None:
            event.parent.inside += event.end - event.start
        if self.tracker is not None:
            event.memory += self.tracker.current
            if event.parent is not None:
                event.parent.memory_inside += event.memory

    def attribute(self, event: Event, result: Any, given: Any) -> None:
        """Count what the event returned as its memory, unless it is known or a view of what was given."""
        assert self.tracker is not None
        added = self.tracker.add(result, event, given)
        if added:
            event.memory += added
            above = event.parent
            if above is not None:
                above.memory_inside += added


class record_function:  # noqa: N801
    """A named span, as context manager or decorator; it costs next to nothing while no profile records.

    Spans count in every thread: operations inside one are recorded though the profile was started in another thread.

    >>> with framework.profiler.record_function("augment"):
    ...     batch = augment(batch)
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name if args is None else f"{name}({args})"
        self._open: list[tuple[Recorder, Event, int]] = []

    def __enter__(self) -> Self:
        recorder: Recorder | None = observer.recorder
        if recorder is not None:
            self._open.append((recorder, recorder.open(self.name, "span"), modes.flags & PROFILE))
            modes.flags |= PROFILE
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._open:
            recorder, event, before = self._open.pop()
            recorder.close(event)
            modes.flags = modes.flags & ~PROFILE | before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import functools

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.name):
                return function(*args, **kwargs)

        return wrapped


def _shapes(values: Any) -> tuple[list[Any], list[Any]]:
    """Shapes and types of the tensors among the arguments; () and the Python type of others."""
    shapes: list[Any] = []
    types: list[Any] = []
    for value in values:
        array = value._data if type(value) is Tensor else getattr(value, "_data", value)
        kind = getattr(array, "dtype", None)
        if kind is not None:
            shapes.append(array.shape)
            types.append(kind)
        elif isinstance(value, list | tuple) and value and hasattr(value[0], "dtype"):
            inner = _shapes(value)
            shapes.append(inner[0])
            types.append(inner[1][0])
        else:
            shapes.append(())
            types.append(type(value))
    return shapes, types


def _stack(frame: Any) -> Stack:
    """(file, line, function) from the innermost frame outwards, without the library's own ops."""
    found: list[tuple[str, int, str]] = []
    while frame is not None and len(found) < FRAMES:
        code = frame.f_code
        if not code.co_filename.startswith(_INNER):
            found.append((code.co_filename, frame.f_lineno, code.co_qualname))
        frame = frame.f_back
    return tuple(found)
