"""Stopping a run on request without losing work."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class StopRequest:
    """While active, the first Ctrl-C or SIGTERM sets `asked` instead of raising; a second Ctrl-C raises at once.

    `signal` is the number of the signal that came. Only the main thread can catch signals; elsewhere nothing happens.
    """

    def __init__(self) -> None:
        self.asked = False
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.signal = True, number


class TrainingStopped(SystemExit):
    """A run ended on request, with its checkpoint written. Uncaught it ends the program as the signal would have.

    `path` is the checkpoint (None where checkpoints are switched off); str() says how to resume, as was printed.
    """

    def __init__(self, message: str, path: Any = None, number: int | None = None) -> None:
        super().__init__(128 + number if number is not None else 1)
        self.message, self.path = message, path

    def __str__(self) -> str:
        return self.message
