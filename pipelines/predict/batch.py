"""Several studies: each on its own, a manifest line each, one bad study never stops the others."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import ExitCode, InputError, UsageError, explain
from pipelines.events import EventLog
from pipelines.predict.model import load_model
from pipelines.predict.study import FILE_NAMES, StudyResult, predict_study

MANIFEST = "manifest.jsonl"


def predict_studies(
    model_folder: Path,
    inputs: Sequence[Path],
    output: Path,
    formats: Sequence[str] | None = None,
    series: str | None = None,
    threads: int | None = None,
    events: Path | None = None,
    quiet: bool = False,
    resume: bool = False,
) -> int:
    """Segment studies into `output` (one study) or `output/CASE` (several); returns the exit code.

    `output/manifest.jsonl` gets one line a study: case, status ("ok" or "failed"), cause, warnings, outputs, seconds.
    With `resume`, studies whose results are there already are left out.
    """
    from pipelines.threads import use_threads

    use_threads(threads)
    if not inputs:
        raise UsageError("name at least one study")
    for path in inputs:
        if not path.exists() and len(inputs) == 1:
            raise InputError(f"{path} does not exist")
    log = EventLog(events)
    model = load_model(model_folder)
    names = case_names(inputs)
    rows: list[dict[str, Any]] = []
    for path, name in zip(inputs, names, strict=True):
        folder = output if len(inputs) == 1 else output / name
        begin = time.perf_counter()
        result: StudyResult | None = None
        error: Exception | None = None
        try:
            result = predict_study(model, path, folder, name, formats, series, log, resume)
            row = _row(result, output)
        except Exception as caught:
            error, row = caught, _failed_row(name, caught, log)
        rows.append({**row, "seconds": round(time.perf_counter() - begin, 3)})
        _write_manifest(output / MANIFEST, rows)
        if result is not None and not quiet:
            _show(result)
        if error is not None:
            if len(inputs) == 1:
                raise error
            print(f"{name}: {row['cause']}", file=sys.stderr)
    failed = sum(row["status"] == "failed" for row in rows)
    if not failed:
        return ExitCode.OK
    return ExitCode.BAD_INPUT if failed == len(rows) else ExitCode.SOME_CASES_FAILED


def case_names(inputs: Sequence[Path]) -> list[str]:
    """A name for every input: its file name without ending, numbered where two are the same."""
    names: list[str] = []
    for path in inputs:
        stem = path.resolve().name
        for ending in (".nii.gz", ".nii", ".nrrd", ".dcm", ".zip"):
            stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
        name, count = stem or "case", 1
        while name in names:
            count += 1
            name = f"{stem}_{count}"
        names.append(name)
    return names


def _row(result: StudyResult, output: Path) -> dict[str, Any]:
    """The manifest's line of a study that went well; files are named from the manifest's folder."""
    return {
        "case": result.record["case"],
        "status": "ok",
        "input_sha256": result.record["input"]["sha256"],
        "weights_sha256": result.record["model"]["weights_sha256"],
        "warnings": list(result.warnings),
        "volumes_ml": result.record["volumes_ml"],
        "outputs": {name: path.relative_to(output).as_posix() for name, path in result.outputs.items()},
    }


def _failed_row(name: str, error: Exception, log: EventLog) -> dict[str, Any]:
    cause, code = explain(error)
    log.write("failed", message=cause, error=cause)
    return {"case": name, "status": "failed", "cause": cause, "exit_code": int(code)}


def _write_manifest(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    from framework.core.files import atomic_write

    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _show(result: StudyResult) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for warning in result.warnings:
        console.print(f"Warning: {warning}", style="yellow", highlight=False)
    table = Table("structure", "volume (ml)", title=result.record["case"], caption="Research use only")
    table.columns[1].justify = "right"
    for name, volume in result.record["volumes_ml"].items():
        table.add_row(name, f"{volume:.1f}")
    console.print(table)
    for key in FILE_NAMES:
        if key in result.outputs:
            console.print(f"{key}: {result.outputs[key]}", highlight=False, soft_wrap=True)
