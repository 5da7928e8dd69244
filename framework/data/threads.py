"""Workers that make batches in the caller's own process: none (the caller itself), or threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

from framework.backends.cpu.threads import stay_alone
from framework.data.fetch import Job, Outcome, Start, Worker

_JOIN_SECONDS = 10.0  # how long a closing loader waits for items that are being read


class _Local:
    """Batches that are where the caller is."""

    def open(self, outcome: Outcome) -> Outcome:
        return outcome

    def drop(self, outcome: Outcome) -> None:
        pass


class Inline(_Local):
    """The caller makes each batch when it asks for it."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job, -1)
        self._tasks: deque[tuple[int, Any]] = deque()

    def begin(self, starts: Sequence[Start]) -> None:
        self._tasks.clear()
        self._worker.begin(starts[0])

    def send(self, worker: int, number: int, indices: Any) -> None:
        self._tasks.append((number, indices))

    def receive(self, timeout: float | None) -> Outcome:
        return self._worker.make(*self._tasks.popleft())

    def close(self) -> None:
        self._tasks.clear()


class Threads(_Local):
    """Worker threads. They know only their queues, so that a loader that is dropped can close them."""

    def __init__(self, job: Job) -> None:
        self._results: SimpleQueue[Outcome] = SimpleQueue()
        self._tasks: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(job.num_workers)]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=_work,
                args=(Worker(job, number), tasks, self._results, self._stop),
                name=f"loader-{number}",
                daemon=True,
            )
            for number, tasks in enumerate(self._tasks)
        ]
        for thread in self._threads:
            thread.start()

    def begin(self, starts: Sequence[Start]) -> None:
        for tasks, start in zip(self._tasks, starts):
            with contextlib.suppress(Empty):  # batches that an earlier pass no longer wants
                while True:
                    tasks.get_nowait()
            tasks.put(start)

    def send(self, worker: int, number: int, indices: Any) -> None:
        self._tasks[worker].put((number, indices))

    def receive(self, timeout: float | None) -> Outcome | None:
        """The next outcome of any worker; None when there was none in time."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            # In slices, because on Windows a wait without an end cannot be interrupted by Ctrl-C.
            left = 1.0 if end is None else end - time.monotonic()
            try:
                return self._results.get(timeout=max(min(left, 1.0), 0.0))
            except Empty:
                if end is not None and time.monotonic() >= end:
                    return None

    def close(self) -> None:
        """Stop the workers; items that are being read are waited for."""
        self._stop.set()
        for tasks in self._tasks:
            tasks.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)
        self._threads = []

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not end
            self.close()


def _work(worker: Worker, tasks: SimpleQueue[Any], results: SimpleQueue[Outcome], stop: threading.Event) -> None:
    """The life of a worker thread."""
    stay_alone()
    while (task := tasks.get()) is not None and not stop.is_set():
        if isinstance(task, Start):
            worker.begin(task)
        else:
            results.put(worker.make(*task))
        del task
