"""`profile`: what ran, how long, and with how much memory, in a block or in chosen steps of a training."""

import enum
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from framework.core.device import cuda_is_available
from framework.core.files import atomic_write
from framework.core.observer import observer
from framework.profiler import averages, trace
from framework.profiler.averages import Averages
from framework.profiler.memory import Snapshot, memory_snapshot
from framework.profiler.recorder import Recorder, record_function


class ProfilerActivity(enum.Enum):
    """What to time: operations as the CPU runs them; with CUDA, each waits until the device has finished it."""

    CPU = 0
    CUDA = 1


class ProfilerAction(enum.Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """A schedule: after `skip_first` steps, cycles of `wait` idle, `warmup` discarded and `active` recorded steps.

    `repeat` cycles, 0 for as many as come; `skip_first_wait` other than 0 leaves out the first cycle's waiting.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), "
            f"active={active} (need > 0), repeat={repeat} (need >= 0), skip_first={skip_first} (need >= 0)."
        )
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step += (wait if skip_first_wait else 0) - skip_first
        if repeat and step >= repeat * cycle:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[["profile"], None]:
    """For `on_trace_ready`: writes each trace into a folder, under names that TensorBoard's profiler plugin finds."""

    def handler(prof: "profile") -> None:
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handler


class profile:  # noqa: N801
    """Records operations and derivatives of this thread, and spans of all threads, while the block runs.

    `record_shapes`: of inputs. `profile_memory`: bytes allocated and freed by each operation, and which operation made
    what lives (`memory_snapshot`). `with_stack`: the lines of code that called each. `with_flops`: of products and
    convolutions. With a `schedule`, call `step()` after each training step; `on_trace_ready(profile)` is called when
    recorded steps are complete. Nothing is slower when no profile records.

    >>> with framework.profiler.profile(record_shapes=True) as prof:
    ...     model(images).sum().backward()
    >>> print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[["profile"], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
    ) -> None:
        self.activities = set(activities) if activities is not None else {ProfilerActivity.CPU}
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        if ProfilerActivity.CUDA in self.activities and not cuda_is_available():
            warnings.warn("CUDA is not available, disabling CUDA profiling", stacklevel=2)
            self.activities.discard(ProfilerActivity.CUDA)
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_flops = with_stack, with_flops
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._recorder: Recorder | None = None
        self._span: record_function | None = None
        self._metadata: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; what the schedule says of step 0 counts from here."""
        self._turn(self._planned())

    def stop(self) -> None:
        """End; what was recorded and not yet handed out is complete now."""
        self._turn(ProfilerAction.NONE, ending=True)

    def step(self) -> None:
        """The next step begins."""
        self.step_num += 1
        self._turn(self._planned())

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> Averages:
        """A row for each operation, derivative and span; for each of its shapes or callers where asked for."""
        return averages.averaged(
            self._recorded().events, group_by_input_shape, group_by_stack_n, self.profile_memory, self.with_flops
        )

    def events(self) -> Averages:
        """A row for each call."""
        return averages.each(self._recorded().events, self.profile_memory, self.with_flops)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for ui.perfetto.dev or chrome://tracing; compressed where the name ends in .gz."""
        trace.write_trace(self._recorded(), path, self._metadata)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Write time by stack for flame graph tools; needs `with_stack`."""
        if metric not in ("self_cpu_time_total", "cpu_time_total"):
            raise ValueError(f"metric should be one of: self_cpu_time_total, cpu_time_total; got {metric}")
        whole = metric == "cpu_time_total"
        sums = averages.stacks(
            self._recorded().events, lambda event: (event.duration - (0 if whole else event.inside)) // 1000
        )
        with atomic_write(path, "w", encoding="utf-8") as file:
            file.writelines(f"{stack} {value}\n" for stack, value in sums.items())

    def memory_snapshot(self) -> Snapshot:
        """What is alive now and what was at the peak; see `framework.profiler.memory_snapshot`."""
        if not self.profile_memory:
            raise RuntimeError("profile(..., profile_memory=True) is needed to know what made which memory")
        return memory_snapshot()

    def add_metadata(self, key: str, value: str) -> None:
        """A line for the trace."""
        self._metadata[key] = value

    def __rich__(self) -> Any:
        return self.key_averages().rich()

    def _planned(self) -> ProfilerAction:
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)

    def _turn(self, action: ProfilerAction, ending: bool = False) -> None:
        """From what the last step was to what the next is to be."""
        before, self.current_action = self.current_action, action
        if self._span is not None:
            self._span.__exit__(None, None, None)
            self._span = None
        saved = before == ProfilerAction.RECORD_AND_SAVE
        went_on = before == action == ProfilerAction.WARMUP or (before in _RECORDING and action in _RECORDING)
        if not went_on or saved:
            self._end()
            if before in _RECORDING and self.on_trace_ready is not None:
                self.on_trace_ready(self)
            if action != ProfilerAction.NONE:
                self._begin()
        if action in _RECORDING and self.schedule is not None and not ending:
            self._span = record_function(f"ProfilerStep#{self.step_num}")
            self._span.__enter__()

    def _begin(self) -> None:
        synchronize = None
        if ProfilerActivity.CUDA in self.activities:
            import cupy

            synchronize = cupy.cuda.Device().synchronize
        recorder = Recorder(self.record_shapes, self.profile_memory, self.with_stack, self.with_flops, synchronize)
        recorder.install()
        self._recorder = recorder
        observer.tracker = recorder.tracker

    def _end(self) -> None:
        if self._recorder is not None and observer.recorder is self._recorder:
            self._recorder.remove()

    def _recorded(self) -> Recorder:
        if self._recorder is None:
            raise AssertionError("Profiler must be initialized before viewing what it recorded: nothing ran under it")
        return self._recorder
