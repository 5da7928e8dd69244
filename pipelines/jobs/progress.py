"""What a job says of itself: its last progress event, its log, and why it failed."""

import json
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_KNOWN = {"time", "stage", "step", "total", "message"}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Progress:
    """The last event of a job: stage and message are words, `step` of `total` counts, metrics are numbers."""

    stage: str = ""
    step: int = 0
    total: int = 0
    message: str = ""
    time: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Between 0 and 1; 0 where the stage cannot count its steps."""
        return min(1.0, max(0.0, self.step / self.total)) if self.total > 0 else 0.0


def read_progress(events: Path) -> Progress:
    """The last whole event in the file; an empty one when nothing has been said yet."""
    for event in reversed(read_events(events)):
        if "stage" in event or "message" in event:
            return _progress(event)
    return Progress()


def read_events(events: Path, limit: int = _TAIL_BYTES) -> list[dict[str, Any]]:
    """The events in the last `limit` bytes, oldest first. A line still being written is left out."""
    found = []
    for line in _tail(events, limit):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def read_log(log: Path, lines: int = 40) -> list[str]:
    """The last lines of a log, without colours and overwritten progress bars."""
    cleaned = (_ESCAPES.sub("", line).split("\r")[-1].rstrip() for line in _tail(log, _TAIL_BYTES))
    return [line for line in cleaned if line.strip()][-lines:]


def failure_cause(exit_code: int, events: Path, log: Path) -> str:
    """One sentence on why a process ended with `exit_code`: the event it left, its last line, or its signal."""
    for event in reversed(read_events(events)):
        if event.get("error"):
            return str(event["error"])
    if exit_code < 0:
        if -exit_code == getattr(signal, "SIGKILL", 9):
            return (
                "The system ended the process, most likely because memory ran out. "
                "Close other programs or choose a smaller study, then start it again."
            )
        return f"The process crashed ({_signal_name(-exit_code)}). The log below has its last words."
    lines = read_log(log)
    for line in reversed(lines):
        text = line.strip(" │╭╮╰╯─")
        if text:
            return text.removeprefix("Error: ")
    return f"The process ended with exit code {exit_code} and said nothing."


def _progress(event: dict[str, Any]) -> Progress:
    return Progress(
        stage=str(event.get("stage") or ""),
        step=_count(event.get("step")),
        total=_count(event.get("total")),
        message=str(event.get("message") or ""),
        time=_seconds(event.get("time")),
        metrics={key: value for key, value in event.items() if key not in _KNOWN},
    )


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _seconds(value: object) -> float:
    """Events may carry a number or an ISO time."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        from datetime import datetime

        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return 0.0
    return 0.0


def _tail(path: Path, limit: int) -> list[str]:
    """Whole lines at the end of a text file that may be growing or absent."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read()
    except OSError:
        return []
    lines = data.decode("utf-8", "replace").split("\n")
    return lines[1:] if size > limit else lines


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
