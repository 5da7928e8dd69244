"""Entry point: runs a command and turns whatever goes wrong into one sentence and an exit code."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from pipelines.cli.commands import app
from pipelines.errors import ExitCode, StoppedError, explain


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


def _show(sentence: str, code: int) -> None:
    """A panel where a person reads, a plain line where a program or a log does."""
    title = "Stopped" if code == StoppedError.exit_code else "Error"
    if not sys.stderr.isatty():
        print(f"{title}: {sentence}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    colour = "yellow" if title == "Stopped" else "red"
    Console(stderr=True).print(Panel(Text(sentence), title=title, title_align="left", border_style=colour))
