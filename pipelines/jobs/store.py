"""The folder of jobs: hand one in, list them, follow one, stop one."""

import json
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.jobs import process
from pipelines.jobs.lock import FileLock
from pipelines.jobs.progress import Progress, read_log, read_progress
from pipelines.jobs.record import Job, JobState

# Cancelling must be over within 2 s: so long a process may take to stop by itself before it is killed.
_GRACE = 1.2


class JobError(ValueError):
    """There is no such job, or it cannot do what is asked."""


class JobStore:
    """Jobs under one folder. Any number of processes may hold a store of the same folder.

    Jobs run one at a time in the order of their coming, in a runner process (`pipelines.jobs.runner`) that is
    started when there is work, ends when there is none, and does not depend on the process that handed the job in.
    Folder names are random: neither a patient nor a study can be told from them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def submit(
        self,
        kind: str,
        title: str,
        command: Sequence[str],
        *,
        owner: str = "",
        context: Mapping[str, str] | None = None,
    ) -> Job:
        """Queue `command` (a program and its arguments) and return its job at once.

        `{job}` in an argument stands for the job's folder: results belong in `{job}/outputs`, progress events in
        `{job}/events.jsonl`.
        """
        job_id = secrets.token_hex(8)
        folder = self.folder / job_id
        (folder / "outputs").mkdir(parents=True)
        folder.chmod(0o700)
        arguments = tuple(str(argument).replace("{job}", str(folder)) for argument in command)
        job = Job(
            id=job_id,
            folder=folder,
            kind=kind,
            title=title,
            command=arguments,
            owner=owner,
            created=time.time(),
            context=dict(context or {}),
        ).write()
        self.start_runner()
        return job

    def get(self, job_id: str) -> Job:
        """The job as it stands now. Raises `JobError` where there is none of that id."""
        if not job_id.isalnum():
            raise JobError("This job id is not one of ours.")
        try:
            job = Job.read(self.folder / job_id)
        except (OSError, ValueError):
            raise JobError("This job no longer exists: its folder is gone or cannot be read.") from None
        return self._settle(job)

    def jobs(self, owner: str | None = None) -> list[Job]:
        """All jobs, or those of one owner, newest first. Folders that hold no readable job are passed over."""
        found = []
        for path in self.folder.glob("*/job.json"):
            try:
                job = Job.read(path.parent)
            except (OSError, ValueError):
                continue
            if owner is None or job.owner == owner:
                found.append(self._settle(job))
        return sorted(found, key=lambda job: (job.created, job.id), reverse=True)

    def waiting_before(self, job: Job) -> int:
        """How many jobs must end before this queued one starts."""
        return sum(1 for other in self.jobs() if not other.state.over and _order(other) < _order(job))

    def progress(self, job: Job) -> Progress:
        """The last thing the job said of its progress."""
        return read_progress(job.events)

    def log_tail(self, job: Job, lines: int = 40) -> list[str]:
        """The last lines that the job printed."""
        return read_log(job.log, lines)

    def cancel(self, job_id: str) -> Job:
        """Stop a job and everything it started, within 2 seconds. A job that is over stays as it is."""
        with self.changing():
            job = self.get(job_id)
            if job.state is JobState.QUEUED:
                return job.write(state=JobState.CANCELLED, ended=time.time())
            if job.state is not JobState.RUNNING:
                return job
            job.cancel_request.touch()
        if job.pid is not None and job.pid_started is not None:
            process.end_group(job.pid, job.pid_started, _GRACE)
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            job = Job.read(job.folder)
            if job.state.over:
                return job
            time.sleep(0.02)
        with self.changing():
            job = Job.read(job.folder)
            return job if job.state.over else job.write(state=JobState.CANCELLED, ended=time.time())

    def delete(self, job_id: str) -> None:
        """Remove a job that is over, with its outputs. Raises `JobError` for one that is not."""
        with self.changing():
            job = self.get(job_id)
            if not job.state.over:
                raise JobError("This job has not ended yet. Cancel it first.")
            shutil.rmtree(job.folder)

    def changing(self) -> FileLock:
        """To be held while a job's state is read and then written."""
        return FileLock(self.folder / ".lock")

    def start_runner(self) -> None:
        """Start a runner. One that finds another at work ends at once, so this may be called at any time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.jobs.runner", str(self.folder)]
        process.start_detached(command, self.folder / "runner.log", self.folder)

    def resume(self) -> None:
        """Start a runner if jobs wait and none is at work, as after a restart of the computer."""
        if not self.runner_is_alive() and any(job.state is JobState.QUEUED for job in self.jobs()):
            self.start_runner()

    def runner_is_alive(self) -> bool:
        """Whether a runner is at work."""
        try:
            runner = json.loads((self.folder / "runner.json").read_text(encoding="utf-8"))
            return process.is_alive(int(runner["pid"]), float(runner["pid_started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _settle(self, job: Job) -> Job:
        """Correct a state that nobody is left to correct: the process is gone, and so is its runner."""
        if job.state is not JobState.RUNNING or process.is_alive(job.pid, job.pid_started) or self.runner_is_alive():
            return job
        job = Job.read(job.folder)  # the runner may have written the end between the first reading and now
        if job.state is not JobState.RUNNING:
            return job
        if job.cancel_request.exists():
            return job.write(state=JobState.CANCELLED, ended=time.time())
        return job.write(
            state=JobState.INTERRUPTED,
            ended=time.time(),
            cause="The process is gone: the computer was restarted or somebody ended it. Start the job again.",
        )


def _order(job: Job) -> tuple[float, str]:
    return job.created, job.id
