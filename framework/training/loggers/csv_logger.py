"""Metrics as one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from framework.core.files import atomic_write
from framework.training.loggers.logger import Logger


class CSVLogger(Logger):
    """Rows of step, epoch and metrics in `metrics.csv` of a folder; cells of metrics that a row has not are empty.

    A row is appended as it comes. When a metric appears for the first time the file is written anew, with its column.
    A fit that is not resumed begins a new table; validations and tests add to the one that is there.
    """

    def __init__(self, folder: str | Path, name: str = "metrics.csv") -> None:
        self.path = Path(folder) / name
        self._columns: list[str] | None = None  # not yet read
        self._rows = 0

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._columns, self._rows = [], 0

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        row = {"step": step, **metrics}
        columns, rows = self._header(), self._rows
        new = [name for name in row if name not in columns]
        if new:
            self._write([*columns, *new], self._read())
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_line(_cell(row.get(name, "")) for name in self._header()))
        self._rows = rows + 1

    def state_dict(self) -> dict[str, Any]:
        return {"columns": list(self._header()), "rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["columns"]:
            self._write(state_dict["columns"], self._read()[: state_dict["rows"]])
        else:
            self.start()

    def _header(self) -> list[str]:
        if self._columns is None:
            rows = self._read()
            self._columns, self._rows = list(rows[0]) if rows else [], len(rows)
        return self._columns

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            # A kill may have cut the last line.
            return [row for row in csv.DictReader(file) if None not in row.values()]

    def _write(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        with atomic_write(self.path, "w", encoding="utf-8", newline="") as file:
            file.write(_line(columns))
            file.writelines(_line(row.get(name, "") for name in columns) for row in rows)
        self._columns, self._rows = columns, len(rows)


def _cell(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
