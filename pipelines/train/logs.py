"""Where a training run tells how it goes: terminal, CSV, TensorBoard, events.jsonl."""

import csv
import io
import math
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from framework.training.loggers.events import ScalarWriter
from pipelines.events import EventLog

CSV_NAME = "log.csv"


class TrainingLog:
    """One context for all the logs of a run; `start` is the iteration it begins or goes on at.

    After a kill the files may be ahead of the checkpoint; what lies beyond `start` is taken back, so a resumed run
    leaves the same table as an uninterrupted one.
    """

    def __init__(
        self, folder: Path, events: EventLog, start: int, total: int, structures: list[str], quiet: bool = False
    ) -> None:
        self._events = events
        self._total = total
        self._csv = folder / CSV_NAME
        self._columns = ["iteration", "lr", "loss", *(f"agreement_{name}" for name in structures)]
        _trim_csv(self._csv, start, self._columns)
        self._tensorboard = ScalarWriter(folder / "tensorboard", purge_step=start + 1 if start else None)
        self._display = make_display(start, total, quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tensorboard.close()
        self._display.close()

    def step(self, iteration: int, loss: float, lr: float, seconds: float) -> None:
        """After every iteration: the terminal."""
        self._display.show(iteration, loss, lr, seconds)

    def record(self, iteration: int, loss: float, lr: float, seconds: float, agreement: dict[str, float]) -> None:
        """Every `log_every` iterations: the files. `loss` is the mean since the last record."""
        row = {"iteration": iteration, "lr": f"{lr:.8g}", "loss": f"{loss:.8g}"}
        row |= {f"agreement_{name}": f"{value:.6g}" for name, value in agreement.items()}
        with self._csv.open("a", newline="", encoding="utf-8") as file:
            file.write(_csv_line([row.get(column, "") for column in self._columns]))
        known = {f"agreement/{name}": value for name, value in agreement.items() if not math.isnan(value)}
        self._tensorboard.add(iteration, loss=loss, lr=lr, **known)
        left = round(seconds * (self._total - iteration), 1)
        message = f"loss {loss:.3f}, {_clock(left)} left"
        self._events.write(
            "train", iteration, self._total, message, loss=round(loss, 6), lr=lr, seconds_left=left, **_known(agreement)
        )
        self._display.note(iteration, loss, lr, agreement)


def make_display(start: int, total: int, quiet: bool) -> "_Silent":
    """A bar where a person watches, lines for a log, nothing when quiet."""
    if quiet:
        return _Silent()
    return _Bar(start, total) if sys.stderr.isatty() else _Lines(total)


class _Silent:
    """No display."""

    def show(self, iteration: int, loss: float, lr: float, seconds: float) -> None: ...

    def note(self, iteration: int, loss: float, lr: float, agreement: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class _Lines(_Silent):
    """One line every ten seconds, for logs and pipes."""

    def __init__(self, total: int) -> None:
        self._total, self._last = total, 0.0

    def show(self, iteration: int, loss: float, lr: float, seconds: float) -> None:
        now = time.monotonic()
        if now - self._last < 10 and iteration != self._total:
            return
        self._last = now
        left = _clock(seconds * (self._total - iteration))
        print(f"iteration {iteration}/{self._total}, loss {loss:.3f}, lr {lr:.2g}, {left} left", file=sys.stderr)


class _Bar(_Silent):
    """A rich progress bar."""

    def __init__(self, start: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._total = total
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("train", total=total, completed=start, state="")
        self._progress.start()

    def show(self, iteration: int, loss: float, lr: float, seconds: float) -> None:
        left = _clock(seconds * (self._total - iteration))
        self._progress.update(self._task, completed=iteration, state=f"loss {loss:.3f}  lr {lr:.2g}  {left} left")

    def note(self, iteration: int, loss: float, lr: float, agreement: dict[str, float]) -> None:
        if agreement:
            shown = "  ".join(f"{name} {value:.2f}" for name, value in agreement.items() if not math.isnan(value))
            self._progress.console.print(f"{iteration:6d}  {shown}", style="dim", highlight=False)

    def close(self) -> None:
        self._progress.stop()


def _trim_csv(path: Path, start: int, columns: list[str]) -> None:
    """Keep the header and the rows up to iteration `start`."""
    from framework.core.files import atomic_write

    kept: list[list[str]] = []
    if start and path.exists():
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        kept = [row for row in rows[1:] if len(row) == len(columns) and int(row[0]) <= start]
    with atomic_write(path, "w", encoding="utf-8", newline="") as file:
        file.write("".join(_csv_line(row) for row in [columns, *kept]))


def _csv_line(values: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _known(agreement: dict[str, float]) -> dict[str, Any]:
    return {"agreement": {name: round(v, 4) for name, v in agreement.items() if not math.isnan(v)}} if agreement else {}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes}:{rest:02d}"
