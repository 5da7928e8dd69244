"""Workers that are processes. Arrays of their batches pass through shared memory and are not copied on arrival."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import time
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection, reduction
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from framework.backends.cpu.threads import set_num_threads
from framework.core.random import own_stream
from framework.data.fetch import Job, Outcome, Start, Worker
from framework.data.packing import pack, unpack
from framework.data.shared import Block, reserve

_START_METHODS = multiprocessing.get_all_start_methods()
_SHARING = os.name == "posix"  # elsewhere descriptors are not passed, and arrays go through the pipe
_ORPHAN_SECONDS = 5.0  # how often an idle worker looks whether the loader still lives
_END_SECONDS = 5.0  # how long a closing loader waits for items that are being read
_open: weakref.WeakSet[Any] = weakref.WeakSet()  # this process's ends of the pipes of all its workers


class Processes:
    """Worker processes, each with a pipe and a ring of blocks.

    A task names the block in which its batch is to be laid down. A block is free again when the last array in it is
    garbage; if a caller keeps more batches than a worker has blocks, further ones are copied out.
    """

    def __init__(self, job: Job, context: BaseContext | None, prefetch_factor: int) -> None:
        self._owner = os.getpid()
        context = context or multiprocessing.get_context("fork" if "fork" in _START_METHODS else None)
        self._most = prefetch_factor
        slots = prefetch_factor + 2  # one batch in the caller's hands, and the next one beside it
        self._blocks = slots * job.num_workers
        self._told = False
        self._members: list[_Member] = []
        try:
            for number in range(job.num_workers):
                self._members.append(_Member(context, job, number, slots))
        except BaseException:
            self.close()
            raise
        self._by_connection: dict[Any, _Member] = {member.connection: member for member in self._members}
        self._by_sentinel: dict[Any, _Member] = {member.process.sentinel: member for member in self._members}

    def begin(self, starts: Sequence[Start]) -> None:
        for member, start in zip(self._members, starts):
            member.send(start)
        while any(member.under_way for member in self._members):  # what the pass before no longer wants
            stale = self.receive(None)
            assert stale is not None
            self.drop(stale)

    def send(self, worker: int, number: int, indices: Any) -> None:
        member = self._members[worker]
        member.send((number, indices, member.free.popleft()))
        member.under_way += 1

    def receive(self, timeout: float | None) -> Outcome | None:
        """The next outcome of any worker, to be opened or dropped; None when there was none in time."""
        ready = connection.wait([*self._by_connection, *self._by_sentinel], timeout)
        for source in ready:
            if source in self._by_connection:
                return self._accept(self._by_connection[source])
        for source in ready:
            raise self._by_sentinel[source].death()
        return None

    def open(self, outcome: Outcome) -> Outcome:
        """The outcome with its value."""
        member, parcel = self._members[outcome.worker], outcome.value
        member.under_way -= 1
        source = None
        if not parcel.places:
            member.free.append(parcel.slot)
        elif len(member.free) >= self._most - member.under_way:  # enough blocks for all that may be asked for
            source = member.blocks[parcel.slot].bytes[:]  # an object of its own: it lives as long as the batch
            weakref.finalize(source, member.free.append, parcel.slot).atexit = False
        else:
            source = member.blocks[parcel.slot].bytes[: parcel.places[-1][1]].copy()
            member.free.append(parcel.slot)
        value = unpack(parcel.description, parcel.places, source)
        if outcome.kind == "error":
            error, text = value
            error.__cause__ = WorkerTraceback(text)
            value = error
        return outcome._replace(value=value)

    def drop(self, outcome: Outcome) -> None:
        """Nobody wants this outcome."""
        member = self._members[outcome.worker]
        member.under_way -= 1
        member.free.append(outcome.value.slot)

    def close(self) -> None:
        """End the workers: kindly, then firmly."""
        if os.getpid() != self._owner:
            return  # a copy of the loader in a process that was forked: the workers are not its own
        members, self._members = self._members, []
        for member in members:
            member.dismiss()
        end = time.monotonic() + _END_SECONDS
        for member in members:
            member.bury(max(end - time.monotonic(), 0))

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not end
            self.close()

    def _accept(self, member: _Member) -> Outcome:
        outcome = member.receive()
        size = outcome.value.size
        if size:
            block = member.blocks[outcome.value.slot] = member.receive_block(size)
            if block.in_file and not self._told:
                self._told = True
                warnings.warn(
                    f"batches of up to {size / 1e6:.0f} MB pass through files in TMPDIR, because {self._blocks} "
                    "buffers of that size would take more than half of the free memory",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return outcome


class _Parcel(NamedTuple):
    """A batch as it comes through the pipe."""

    description: bytes
    places: list[tuple[int, int]]  # of its arrays, in the block
    slot: int
    size: int  # of the block if it was made anew for this batch, and follows; else 0


class _Member:
    """A worker process as its loader sees it."""

    def __init__(self, context: BaseContext, job: Job, number: int, slots: int) -> None:
        self.connection, theirs = context.Pipe()
        _open.add(self.connection)
        self.free: deque[int] = deque(range(slots))
        self.under_way = 0  # tasks sent whose outcome was neither opened nor dropped
        self.blocks: dict[int, Block] = {}
        blocks = slots * job.num_workers
        self.process: Any = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, job, number, blocks), name=f"loader-{number}", daemon=True
        )
        with warnings.catch_warnings():
            # Since 3.12 Python warns of threads that hold locks while it forks; ours are made anew in the child.
            warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
            try:
                self.process.start()
            finally:
                theirs.close()

    def send(self, message: Any) -> None:
        # A worker that died is noticed when its batch is waited for: what it sent before is still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self.death() from None

    def receive_block(self, size: int) -> Block:
        try:
            descriptor = reduction.recv_handle(self.connection)
        except (EOFError, ConnectionResetError, RuntimeError):
            raise self.death() from None
        in_file: bool = self.receive()
        return Block(descriptor, size, in_file)

    def death(self) -> RuntimeError:
        """What to say of a worker that is gone."""
        self.process.join(1.0)
        code = self.process.exitcode
        who = f"DataLoader worker {self.process.name.rpartition('-')[2]} (pid {self.process.pid})"
        if code is None or code >= 0:
            return RuntimeError(f"{who} exited unexpectedly with exit code {code}")
        name = signal.strsignal(-code) or str(-code)
        hint = " The system kills processes so when memory runs out." if -code == 9 else ""
        return RuntimeError(f"{who} is killed by signal: {name}.{hint}")

    def dismiss(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            # Not `send`: a worker may be waiting for us to read, and then its pipe could be full.
            _send_if_room(self.connection)
        self.connection.close()

    def bury(self, seconds: float) -> None:
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(1.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class WorkerTraceback(Exception):  # noqa: N818 - it is the cause of an error, shown above it
    """The traceback of a worker process, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


# -- in the worker's process -------------------------------------------------------------------------------------------


def _work(pipe: Any, job: Job, number: int, blocks: int) -> None:
    """The life of a worker process."""
    _settle()
    worker = Worker(job, number, own_process=True)
    ring = _Ring(pipe, blocks)
    parent = os.getppid()
    waiting: deque[Any] = deque()
    # The pipe is at its end, or broken, when the loader is gone: nothing is left to do then.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            while not waiting and not pipe.poll(_ORPHAN_SECONDS):
                if os.getppid() != parent:
                    return
            while pipe.poll(0):
                waiting.append(pipe.recv())
            if None in waiting:
                return
            task = waiting.popleft()
            if isinstance(task, Start):
                worker.begin(task)
                continue
            batch, indices, slot = task
            stale = any(isinstance(later, Start) for later in waiting)
            outcome = Outcome(-1, batch, number, "end", None) if stale else worker.make(batch, indices)
            ring.hand_over(outcome, slot)
            del task, indices, outcome


class _Ring:
    """The worker's side of its blocks."""

    def __init__(self, pipe: Any, count: int) -> None:
        self._pipe, self._count = pipe, count
        self._blocks: dict[int, Block] = {}
        self._fresh: tuple[int, bool] | None = None  # of a block just made: its descriptor, whether it is a file

    def hand_over(self, outcome: Outcome, slot: int) -> None:
        value: Any = None if outcome.kind == "end" else outcome.value
        try:
            parcel = self._pack(_sendable(value) if outcome.kind == "error" else value, slot)
        except Exception as failure:
            failure.add_note(f"while handing batch {outcome.number} over to the loader's process")
            outcome = outcome._replace(kind="error")
            parcel = self._pack(_sendable(failure), slot)
        self._pipe.send(outcome._replace(value=parcel))
        if self._fresh:
            (descriptor, in_file), self._fresh = self._fresh, None
            try:
                reduction.send_handle(self._pipe, descriptor, os.getppid())
            finally:
                os.close(descriptor)
            self._pipe.send(in_file)

    def _pack(self, value: Any, slot: int) -> _Parcel:
        description, places = pack(value, (lambda size: self._room(slot, size)) if _SHARING else None)
        return _Parcel(description, places, slot, self._blocks[slot].size if self._fresh else 0)

    def _room(self, slot: int, size: int) -> Any:
        """The block's bytes; a larger block where it is too small."""
        block = self._blocks.get(slot)
        if block is None or block.size < size:
            del block
            self._blocks.pop(slot, None)
            size += size // 4  # batches differ, and a new block costs more than a larger one
            size = -(-size // 65536) * 65536
            descriptor, in_file = reserve(size, self._count)
            self._fresh = descriptor, in_file
            block = self._blocks[slot] = Block(os.dup(descriptor), size, in_file)
        return block.bytes


def _settle() -> None:
    """Make this process a worker: no one else's pipes, signals or processors."""
    for pipe in list(_open):
        pipe.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loader's process, which ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    own_stream(None)
    set_num_threads(1)
    _calm_blas()


def _calm_blas() -> None:
    """One thread for NumPy's matrix products: there are as many workers as the user wants processors busy."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(str(path)).scipy_openblas_set_num_threads64_(1)


def _sendable(error: BaseException) -> tuple[BaseException, str]:
    """An exception, or what stands for one that cannot be sent, and its traceback."""
    text = "".join(traceback.format_exception(error))
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        substitute = RuntimeError(f"{type(error).__name__} in a worker process: {error}")
        for note in getattr(error, "__notes__", []):
            substitute.add_note(note)
        error = substitute
    return error, f"\n\n{text}"


def _send_if_room(pipe: Any) -> None:
    """Tell a worker to end, unless it is waiting for us to read and its pipe is full: it will find the pipe closed."""
    if hasattr(select, "poll"):
        room = select.poll()
        room.register(pipe.fileno(), select.POLLOUT)
        if not room.poll(0):
            return
    pipe.send(None)
