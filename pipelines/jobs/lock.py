"""A lock between processes: whoever holds the file holds it until it lets go or dies."""

import os
import time
from pathlib import Path
from types import TracebackType


class FileLock:
    """An exclusive lock on `path`. The system releases it when the holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, timeout: float) -> bool:
        """Try for `timeout` seconds; tell whether the lock is held now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() >= end:
                os.close(descriptor)
                return False
            time.sleep(0.01)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "FileLock":
        if not self.acquire(timeout=10.0):
            raise TimeoutError(f"{self._path}: another process has held this lock for 10 seconds")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
