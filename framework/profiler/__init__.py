"""Time and memory of operations, under PyTorch's names."""

from framework.profiler.memory import Block, Snapshot, memory_snapshot
from framework.profiler.profile import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    schedule,
    tensorboard_trace_handler,
)
from framework.profiler.recorder import record_function

__all__ = [
    "Block",
    "ProfilerAction",
    "ProfilerActivity",
    "Snapshot",
    "memory_snapshot",
    "profile",
    "record_function",
    "schedule",
    "tensorboard_trace_handler",
]
