"""The process that runs queued jobs, first come first served: `python -m pipelines.jobs.runner FOLDER`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from framework.core.files import atomic_write
from pipelines.jobs import process
from pipelines.jobs.lock import FileLock
from pipelines.jobs.progress import failure_cause
from pipelines.jobs.record import Job, JobState
from pipelines.jobs.store import JobStore

_POLL = 0.05


def run(folder: Path) -> None:
    """Run what is queued under `folder` and return when nothing is left or another runner is at work."""
    store = JobStore(folder)
    lock = FileLock(folder / "runner.lock")
    # A job that comes just as the runner gives up its lock would find no runner; hence the second look at the queue.
    while _queued(store):
        if not lock.acquire(timeout=0.5):
            return
        try:
            _announce(folder)
            _wait_for_orphans(store)
            while waiting := _queued(store):
                _run_one(store, waiting[0])
        finally:
            (folder / "runner.json").unlink(missing_ok=True)
            lock.release()


def _run_one(store: JobStore, job: Job) -> None:
    with store.changing():
        job = Job.read(job.folder)
        if job.state is not JobState.QUEUED:
            return
        try:
            child = process.start(job.command, job.log, job.folder)
        except OSError as error:
            job.write(state=JobState.FAILED, ended=time.time(), cause=f"The program could not be started: {error}.")
            return
        job = job.write(
            state=JobState.RUNNING, started=time.time(), pid=child.pid, pid_started=process.started_at(child.pid)
        )
    code = _wait(child)
    with store.changing():
        job = Job.read(job.folder)
        if job.state.over:
            return
        end = {"ended": time.time(), "exit_code": code}
        if job.cancel_request.exists():
            job.write(state=JobState.CANCELLED, **end)
        elif code == 0:
            job.write(state=JobState.FINISHED, **end)
        else:
            job.write(state=JobState.FAILED, cause=failure_cause(code, job.events, job.log), **end)


def _wait(child: subprocess.Popen[bytes]) -> int:
    while (code := child.poll()) is None:
        time.sleep(_POLL)
    return code


def _wait_for_orphans(store: JobStore) -> None:
    """A runner that was killed may have left its job behind; two heavy jobs never run at once."""
    while any(job.state is JobState.RUNNING and process.is_alive(job.pid, job.pid_started) for job in store.jobs()):
        time.sleep(_POLL * 4)
    for job in store.jobs():
        if job.state is JobState.RUNNING:
            cause = "The process ended after its supervisor was killed, so its result is not known. Start it again."
            job.write(state=JobState.INTERRUPTED, ended=time.time(), cause=cause)


def _queued(store: JobStore) -> list[Job]:
    waiting = [job for job in store.jobs() if job.state is JobState.QUEUED]
    return sorted(waiting, key=lambda job: (job.created, job.id))


def _announce(folder: Path) -> None:
    with atomic_write(folder / "runner.json", "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "pid_started": process.started_at(os.getpid())}, file)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
