"""The way of an operation while autocast or a profiler is on: arguments cast, the call observed, as one operation."""

from collections.abc import Callable
from typing import Any

from framework.core.autocast import Policy, cast_arguments
from framework.core.modes import AUTOCAST, PROFILE, WATCHED, modes
from framework.core.observer import observer


def watched(
    name: str, policy: Policy | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`function(*args, **kwargs)` under this thread's modes; what it calls inside is cast no further."""
    flags = modes.flags
    if flags & AUTOCAST and policy is not None:
        args, kwargs = cast_arguments(name, policy, args, kwargs)
    modes.flags = flags & ~AUTOCAST
    try:
        if flags & PROFILE and observer.call is not None:
            return observer.call(name, function, args, kwargs)
        return function(*args, **kwargs)
    finally:
        modes.flags = flags


def watched_record(record: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A record's call; see `watched`."""
    flags = modes.flags
    if flags & AUTOCAST and record.autocast is not None:
        args, kwargs = cast_arguments(record.name, record.autocast, args, kwargs)
    modes.flags = flags & ~WATCHED
    try:
        if flags & PROFILE and observer.call is not None:
            return observer.call(record.name, _called(record), args, kwargs)
        return record.call(args, kwargs)
    finally:
        modes.flags = flags


def _called(record: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: record.call(args, kwargs)
