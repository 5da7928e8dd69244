"""The thread's modes as bits of one integer, so that an operation tests them all with one comparison."""

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

GRAD = 1  # record derivatives
INFERENCE = 2  # tensors made now can never enter a graph
ANOMALY = 4  # remember where each node was made; refuse NaN gradients
AUTOCAST = 8  # operations compute in the type that the region and their class say
PROFILE = 16  # operations are shown to an observer
WATCHED = AUTOCAST | PROFILE
ALLOW_NAN = 32  # within anomaly mode: NaN gradients pass
PACKING = 64  # arrays saved for backward go through hooks (autograd.graph.saved_tensors_hooks)
VMAP = 128  # inside vmap: arguments may be batched

F = TypeVar("F", bound=Callable[..., Any])


class _Modes(threading.local):
    flags = GRAD


modes = _Modes()


class _Mode:
    """Base of the context managers that set and clear bits; each is also a decorator."""

    _set = 0
    _clear = 0

    def __init__(self) -> None:
        self._previous: list[int] = []

    def __enter__(self) -> Self:
        self._previous.append(modes.flags)
        modes.flags = (modes.flags & ~self._clear) | self._set
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        own = self._set | self._clear  # other bits may have changed inside: a profile that began stays on
        modes.flags = modes.flags & ~own | self._previous.pop() & own

    def __call__(self, function: F) -> F:
        kind = type(self)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with kind():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _Decorating(type):
    """Lets `@no_grad` stand without parentheses, as in torch."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and callable(args[0]):
            return super().__call__()(args[0])
        return super().__call__(*args, **kwargs)


class no_grad(_Mode, metaclass=_Decorating):  # noqa: N801
    """Record nothing inside: results do not require gradients."""

    _clear = GRAD


class enable_grad(_Mode, metaclass=_Decorating):  # noqa: N801
    """Record again, inside a `no_grad`."""

    _set = GRAD


class inference_mode(_Mode, metaclass=_Decorating):  # noqa: N801
    """Like `no_grad`; tensors made inside can never require gradients."""

    _set = INFERENCE
    _clear = GRAD


class detect_anomaly(_Mode, metaclass=_Decorating):  # noqa: N801
    """Name the forward line of a failing derivative and (`check_nan`) refuse a NaN gradient, at some cost in speed."""

    _set = ANOMALY

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__()
        self._set, self._clear = (ANOMALY, ALLOW_NAN) if check_nan else (ANOMALY | ALLOW_NAN, 0)

    def __call__(self, function: F) -> F:
        check_nan = not self._set & ALLOW_NAN

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with detect_anomaly(check_nan):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class set_detect_anomaly:  # noqa: N801
    """Anomaly mode on or off by a flag; acts at once and, as a context manager, is undone at the end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = modes.flags
        wanted = (ANOMALY | (0 if check_nan else ALLOW_NAN)) if mode else 0
        modes.flags = modes.flags & ~(ANOMALY | ALLOW_NAN) | wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        modes.flags = modes.flags & ~(ANOMALY | ALLOW_NAN) | self._before & (ANOMALY | ALLOW_NAN)


class set_grad_enabled(_Mode):  # noqa: N801
    """Record or not, by a flag; acts at once and, as a context manager or decorator, is undone at the end."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = mode
        self._before = modes.flags
        modes.flags = modes.flags | GRAD if mode else modes.flags & ~GRAD

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        modes.flags = modes.flags & ~GRAD | self._before & GRAD

    def __call__(self, function: F) -> F:
        modes.flags = modes.flags & ~GRAD | self._before & GRAD
        mode = self._mode

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(mode):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def is_grad_enabled() -> bool:
    """Whether operations of this thread record derivatives."""
    return bool(modes.flags & GRAD)


def is_anomaly_enabled() -> bool:
    """Whether this thread is inside `detect_anomaly`."""
    return bool(modes.flags & ANOMALY)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether this thread is inside `detect_anomaly` and NaN gradients are refused."""
    return modes.flags & (ANOMALY | ALLOW_NAN) == ANOMALY


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return bool(modes.flags & INFERENCE)
