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


class OtherRunError(UsageError):
    """A run folder holds a run of another configuration or of other data."""


class ConfigError(UsageError, ValueError):
    """A configuration is wrong; the message names key, file and line, and what is allowed."""


class InputError(PipelineError, ValueError):
    """A file that was handed in cannot be used; the message says which, why and what to do."""

    exit_code = ExitCode.BAD_INPUT


class ModelError(InputError):
    """A model folder is incomplete, damaged or does not fit this version."""


class StoppedError(PipelineError):
    """The work was stopped on request (Ctrl-C or SIGTERM) and left in a state that resumes."""

    exit_code = ExitCode.INTERRUPTED


def explain(error: BaseException) -> tuple[str, int]:
    """What a user needs to know of an error, and the exit code it ends the command with."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        message = error.format_message().rstrip()
        return f"{message}{'' if message[-1:] in '.?!' else '.'} Try voxhelix --help.", ExitCode.USAGE
    if isinstance(error, PipelineError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "Stopped.", ExitCode.INTERRUPTED
    if _is_bad_file(error):
        return str(error), ExitCode.BAD_INPUT
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; a smaller patch_size or batch_size needs less.", ExitCode.FAILURE
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}.", ExitCode.FAILURE
    return (
        f"Something inside voxhelix failed ({type(error).__name__}: {error}). "
        "Run it again with --debug to see where; that output is what a bug report needs.",
        ExitCode.FAILURE,
    )


def _is_bad_file(error: BaseException) -> bool:
    from framework.serialization import SerializationError
    from medimg import ImageError

    return isinstance(error, ImageError | SerializationError)
