"""Starting, recognising and ending the processes of jobs."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

import pipelines

# The packages may be run from a checkout: a child must find them wherever it is started.
_PACKAGES = Path(pipelines.__file__).resolve().parent.parent
# The system derives start times from the boot time, which moves a little when the clock is set.
_START_TOLERANCE = 2.0


def start(command: Sequence[str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` as the leader of a process group of its own; its output goes to `log`."""
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Plain text in the log: no colours, no cursor movements, nothing held back in a buffer.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    environment.update(TERM="dumb", COLUMNS="100")
    flags = int(getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))  # Windows only
    with open(log, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
            creationflags=flags,
        )


def start_detached(command: Sequence[str], log: Path, folder: Path) -> int:
    """Start a process that outlives this one, and return its number."""
    process = start(command, log, folder)
    # Somebody has to collect the exit status while this process lives, or the child stays behind as a zombie.
    threading.Thread(target=process.wait, name=f"wait-{process.pid}", daemon=True).start()
    return process.pid


def started_at(pid: int) -> float | None:
    """When the system started process `pid`, or None when there is no such process."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_alive(pid: int | None, pid_started: float | None) -> bool:
    """Whether that very process still runs; another one that was given its number does not count."""
    if pid is None or pid_started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - pid_started) < _START_TOLERANCE
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_group(pid: int, pid_started: float, grace: float) -> None:
    """End process `pid`, its group and its descendants: ask first, insist after `grace` seconds.

    Nothing is done when the number has passed to another process.
    """
    if not is_alive(pid, pid_started):
        return
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return
    _signal_group(pid, family, signal.SIGTERM)
    end = time.monotonic() + grace
    while time.monotonic() < end and any(_runs(member) for member in family):
        time.sleep(0.02)
    # A child may have been born since; its group names it, its parent may be gone.
    for member in list(family):
        with contextlib.suppress(psutil.Error):
            family.extend(child for child in member.children(recursive=True) if child not in family)
    if any(_runs(member) for member in family):
        _signal_group(pid, family, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal_group(pid: int, family: list[psutil.Process], number: signal.Signals) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
    for member in family:
        with contextlib.suppress(psutil.Error):
            if _runs(member):
                member.send_signal(number)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
