"""Entry point: runs a command and turns whatever goes wrong into one sentence and an exit code."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from pipelines.cli.commands import app
from pipelines.errors import ExitCode, Interrupted, PipelineError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `voxhelix` with the given arguments (default: those of the process) and end the process.

    `--debug` may stand anywhere and shows the traceback of an error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        result = app([part for part in given if part != "--debug"], prog_name="voxhelix", standalone_mode=False)
    except SystemExit:
        raise
    except BaseException as error:
        if debug:
            import traceback

            traceback.print_exc()
        sentence, code = explain(error)
        _show(sentence, code)
        sys.exit(code)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def explain(error: BaseException) -> tuple[str, int]:
    """What a user needs to know of an error, and the exit code it ends the command with."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return f"{error.format_message()} Try voxhelix --help.", ExitCode.USAGE
    if isinstance(error, PipelineError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "Stopped.", ExitCode.INTERRUPTED
    if _is_image_error(error):
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


def _is_image_error(error: BaseException) -> bool:
    from medimg import ImageError

    return isinstance(error, ImageError)


def _show(sentence: str, code: int) -> None:
    """A panel where a person reads, a plain line where a program or a log does."""
    title = "Stopped" if code == Interrupted.exit_code else "Error"
    if not sys.stderr.isatty():
        print(f"{title}: {sentence}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    colour = "yellow" if title == "Stopped" else "red"
    Console(stderr=True).print(Panel(Text(sentence), title=title, title_align="left", border_style=colour))
