"""Jobs: commands of this package run as processes of their own, one heavy one at a time.

A job is a folder (`job.json`, `events.jsonl`, `log.txt`, `outputs/`). Whoever can read the folder can follow the
job, so it outlives the page, the browser and the server that started it.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "Job": "pipelines.jobs.record",
    "JobState": "pipelines.jobs.record",
    "JobStore": "pipelines.jobs.store",
    "JobError": "pipelines.jobs.store",
    "Progress": "pipelines.jobs.progress",
}

__all__ = ["Job", "JobError", "JobState", "JobStore", "Progress"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
