"""What can go wrong for a user, and the exit code each kind ends the command with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `voxhelix`; they are part of the interface and stay as they are."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    BAD_INPUT = 3
    SOME_CASES_FAILED = 8
    INTERRUPTED = 130


class PipelineError(Exception):
    """A mistake that one sentence explains; no traceback is shown for it."""

    exit_code: ExitCode = ExitCode.FAILURE


class UsageError(PipelineError):
    """The command line asks for something that cannot be done."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError, ValueError):
    """A configuration is wrong; the message names key, file and line, and what is allowed."""


class InputError(PipelineError, ValueError):
    """A file that was handed in cannot be used; the message says which, why and what to do."""

    exit_code = ExitCode.BAD_INPUT


class ModelError(InputError):
    """A model folder is incomplete, damaged or does not fit this version."""


class Interrupted(PipelineError):
    """The work was stopped on request (Ctrl-C or SIGTERM) and left in a state that resumes."""

    exit_code = ExitCode.INTERRUPTED
