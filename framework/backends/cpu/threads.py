"""One persistent pool of threads that run compiled kernels without the GIL.

A kernel takes its jobs from a shared counter until none is left, so each thread makes one call. Which thread runs a job
never changes what the job computes: results are the same bytes on any number of threads.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np


def get_num_threads() -> int:
    """Threads that one kernel may use."""
    return _limit


def set_num_threads(count: int) -> None:
    """Let kernels use `count` threads, the caller's among them."""
    global _limit
    if count < 1:
        raise ValueError(f"set_num_threads: at least one thread is needed, got {count}")
    _limit = int(count)


def stay_alone() -> None:
    """Kernels called by this thread use no other: threads that load data leave the pool to training."""
    _local.alone = True


def run(kernel: Callable[..., Any], jobs: int, *arguments: Any, scratch: int = 0) -> None:
    """Call `kernel(counter, jobs, *arguments, scratch)` on as many threads as pay, each with its own scratch memory.

    While another caller uses the pool the kernel runs on the caller's thread alone: callers never wait for each other.
    """
    counter = np.zeros(8, np.int64)
    arguments = (counter.ctypes.data, jobs, *arguments)
    helpers = min(_limit, jobs) - 1
    if helpers <= 0 or _local.alone or not _busy.acquire(blocking=False):
        kernel(*arguments, _scratch(scratch))
        return
    errors: list[BaseException | None] = []
    try:
        while len(_workers) < helpers:
            _workers.append(_Worker())
        used = _workers[:helpers]
        for worker in used:
            worker.start(kernel, arguments, scratch)
        try:
            kernel(*arguments, _scratch(scratch))
        finally:  # arrays must outlive every thread that works on them
            errors += [worker.wait() for worker in used]
    finally:
        _busy.release()
    for error in errors:
        if error is not None:
            raise error


class _Worker:
    """A daemon thread that waits for kernels."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self.serve, name="voxhelix-kernel", daemon=True).start()

    def start(self, *task: Any) -> None:
        self.tasks.put(task)

    def wait(self) -> BaseException | None:
        error: BaseException | None = self.results.get()
        return error

    def serve(self) -> None:
        while True:
            kernel, arguments, scratch = self.tasks.get()
            try:
                kernel(*arguments, _scratch(scratch))
                self.results.put(None)
            except BaseException as error:
                self.results.put(error)


class _Thread(threading.local):
    memory: Any = None
    alone = False


def _scratch(size: int) -> int:
    """Address of `size` bytes of this thread's own, on a cache line."""
    held = _local.memory
    if held is None or held.nbytes < size + 64:
        held = _local.memory = np.empty(size + 64, np.uint8)
    start: int = held.ctypes.data
    return (start + 63) & ~63


def _available() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _after_fork() -> None:
    """A child has none of the parent's threads."""
    global _busy
    _workers.clear()
    _busy = threading.Lock()


_limit = _available()
_busy = threading.Lock()
_local = _Thread()
_workers: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
