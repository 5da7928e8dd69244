"""Keeps what other libraries mutter from reaching the user: warnings, log lines, C libraries' stderr.

Their words may quote header values (a birth date that is no date, for instance), so they are counted, not repeated.
"""

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

_LIBRARIES = ("pydicom", "nibabel", "openjpeg", "pylibjpeg", "jpeg_ls", "PIL")
_warnings_lock = threading.RLock()
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Swallow Python warnings and log lines; yields the list of the warnings' texts (for counting)."""
    heard: list[str] = []
    # Warning filters are global to the process: two threads inside would restore each other's.
    with _warnings_lock, warnings.catch_warnings(record=True) as caught, _loggers_off():
        warnings.simplefilter("always")
        try:
            yield heard
        finally:
            heard.extend(str(warning.message) for warning in caught)


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Point file descriptor 2 at nothing: only for C libraries that print, and only while they run."""
    with _stderr_lock:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # no stderr at all (a service without one): nothing to silence
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(nothing)
            os.close(saved)


@contextlib.contextmanager
def _loggers_off() -> Iterator[None]:
    # Children too: a record of theirs goes to the root's handlers past a disabled parent.
    names = [name for name in list(logging.root.manager.loggerDict) if name.split(".")[0] in _LIBRARIES]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
