"""Traces in the trace-event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open."""

import gzip
import json
import os
from typing import Any

from framework.core.files import atomic_write
from framework.profiler.recorder import Event, Recorder

_CATEGORIES = {"op": "cpu_op", "backward": "cpu_op", "span": "user_annotation"}


def write_trace(recorder: Recorder, path: str | os.PathLike[str], metadata: dict[str, Any]) -> None:
    """Write all events; a name that ends in .gz is compressed."""
    text = json.dumps(trace_of(recorder, metadata), separators=(",", ":")).encode()
    with atomic_write(path) as file:
        file.write(gzip.compress(text, mtime=0) if str(path).endswith(".gz") else text)


def trace_of(recorder: Recorder, metadata: dict[str, Any]) -> dict[str, Any]:
    """The trace as a dictionary: complete events, arrows from operations to their derivatives, memory counters."""
    process = os.getpid()
    events: list[dict[str, Any]] = [_meta(process, 0, "process_name", f"voxhelix {process}")]
    events += [_meta(process, thread, "thread_name", name) for thread, name in recorder.threads.items()]
    events += [_complete(event, process, recorder) for event in recorder.events]
    events += _arrows(recorder, process)
    if recorder.tracker is not None:
        for time, size in recorder.tracker.timeline():
            row = {"ph": "C", "cat": "memory", "name": "memory of tensors", "pid": process, "tid": 0}
            events.append(row | {"ts": _at(time, recorder), "args": {"bytes": size}})
    return {"schemaVersion": 1, "displayTimeUnit": "ms", **metadata, "traceEvents": events}


def _at(time: int, recorder: Recorder) -> float:
    """Microseconds since the profile began."""
    return (time - recorder.started) / 1000


def _meta(process: int, thread: int, name: str, value: str) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": process, "tid": thread, "ts": 0, "args": {"name": value}}


def _complete(event: Event, process: int, recorder: Recorder) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if event.shapes:
        details |= {"Input Dims": event.shapes, "Input type": [_type_name(kind) for kind in event.types]}
    if event.sequence >= 0:
        details["Sequence number"] = event.sequence
    if event.flops:
        details["FLOPs"] = event.flops
    if recorder.tracker is not None:
        details["Bytes"] = event.memory
    if event.stack:
        details["Call stack"] = "\n".join(f"{file}({line}): {function}" for file, line, function in event.stack)
    return {
        "ph": "X",
        "cat": _CATEGORIES[event.kind],
        "name": event.name,
        "pid": process,
        "tid": event.thread,
        "ts": _at(event.start, recorder),
        "dur": event.duration / 1000,
        "args": details,
    }


def _type_name(kind: Any) -> str:
    return "" if kind is type(None) else kind.__name__ if isinstance(kind, type) else str(kind)


def _arrows(recorder: Recorder, process: int) -> list[dict[str, Any]]:
    """From the innermost operation that recorded a node to the node's derivative."""
    made = {event.sequence: event for event in recorder.events if event.kind == "op" and event.sequence >= 0}
    rows: list[dict[str, Any]] = []
    for event in recorder.events:
        source = made.get(event.sequence) if event.kind == "backward" else None
        if source is None:
            continue
        common = {"cat": "fwdbwd", "name": "fwdbwd", "pid": process, "id": event.sequence}
        rows.append(common | {"ph": "s", "tid": source.thread, "ts": _at(source.start, recorder)})
        rows.append(common | {"ph": "f", "bp": "e", "tid": event.thread, "ts": _at(event.start, recorder)})
    return rows
