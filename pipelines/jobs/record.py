"""What is known of one job, and its file `job.json`."""

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from framework.core.files import atomic_write


class JobState(StrEnum):
    """Where a job stands. It only ever moves down this list."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Job:
    """One job as last written to its folder. Times are seconds since the epoch.

    `pid` alone does not name a process, since the system gives numbers out again; `pid` with `pid_started` does.
    `context` holds what the caller needs to find its way back from the result (ids, never a patient's data).
    """

    id: str
    folder: Path
    kind: str
    title: str
    command: tuple[str, ...]
    owner: str = ""
    state: JobState = JobState.QUEUED
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    pid_started: float | None = None
    exit_code: int | None = None
    cause: str = ""
    context: dict[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> Path:
        """The folder that the job's results are written to."""
        return self.folder / "outputs"

    @property
    def events(self) -> Path:
        """The file of progress events, one JSON object a line."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.folder / "log.txt"

    @property
    def cancel_request(self) -> Path:
        """Exists once somebody has asked for the job to stop."""
        return self.folder / "cancel"

    def seconds(self, now: float) -> float:
        """How long the job has run, or ran."""
        if self.started is None:
            return 0.0
        return max(0.0, (self.ended if self.ended is not None else now) - self.started)

    def write(self, **changes: Any) -> "Job":
        """Store the job with `changes` applied, and return it so."""
        job = replace(self, **changes)
        values = asdict(job)
        del values["folder"]
        with atomic_write(job.folder / "job.json", "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
        return job

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read the job in `folder`. Raises `FileNotFoundError` or `ValueError` where there is none to be read."""
        values = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("id") != folder.name:
            raise ValueError(f"{folder / 'job.json'}: does not describe the job of this folder")
        values["command"] = tuple(values["command"])
        values["state"] = JobState(values["state"])
        try:
            return cls(folder=folder, **values)
        except TypeError as error:
            raise ValueError(f"{folder / 'job.json'}: written by another version ({error})") from None
