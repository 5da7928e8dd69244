"""Where a profiler is told of operations and derivatives; nobody listens unless the PROFILE mode is on."""

from collections.abc import Callable
from typing import Any


class Observer:
    """What the profiler installs: how to make a call, how to run a node's derivative, and itself."""

    call: Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any] | None = None
    backward: Callable[[Any, list[Any], bool, Any], list[Any]] | None = None
    recorder: Any = None
    tracker: Any = None  # of memory; it stays after the recorder has gone, until the next


observer = Observer()
