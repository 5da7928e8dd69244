"""Progress of a job as JSON lines, for the app and for whoever watches a run folder."""

import json
import time
from pathlib import Path
from typing import Any


class EventLog:
    """Appends events `{"time", "stage", "step", "total", "message", ...}` to files, one object a line.

    A line is written with one call on a file opened for appending, so readers never see half an event.
    """

    def __init__(self, *paths: Path | None) -> None:
        self._paths = [path for path in paths if path is not None]
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, stage: str, step: int = 0, total: int = 0, message: str = "", **details: Any) -> None:
        """Append one event; `step` of `total` counts within the stage."""
        event = {"time": round(time.time(), 3), "stage": stage, "step": step, "total": total, "message": message}
        line = json.dumps({**event, **details}, ensure_ascii=False) + "\n"
        for path in self._paths:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
