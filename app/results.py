"""What a finished segmentation left in its job folder (`pipelines.predict` writes it)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.viewer import ShownStructure
from app.workspace import Workspace
from medimg.structures import structure
from pipelines.jobs import JobState

_DOWNLOADS = {
    "nifti": ("Label map (NIfTI)", "segmentation.nii.gz", "application/gzip"),
    "dicom-seg": ("DICOM SEG", "segmentation.dcm", "application/dicom"),
    "report": ("Report (HTML)", "report.html", "text/html"),
}


@dataclass(frozen=True)
class StoredResult:
    """Where a result lies and which study it is of; `series` is the number chosen there, None where there is one."""

    key: str
    title: str
    created: float
    folder: Path
    study: str
    series: int | None


class ResultError(ValueError):
    """The result cannot be shown; the text is one sentence with a remedy."""


@dataclass(frozen=True)
class Download:
    """A file of the result with its name and type for the browser."""

    label: str
    path: Path
    file_name: str
    mime: str


@dataclass(frozen=True)
class SegmentationResult:
    """The record of one segmentation, `result.json`, and the files beside it."""

    folder: Path
    record: dict[str, Any]

    @property
    def labels(self) -> Path:
        """The label map on the grid of the study."""
        return self.folder / self.record["outputs"]["nifti"]["file"]

    @property
    def warnings(self) -> list[str]:
        """What the check of the input had to say."""
        return [str(text) for text in self.record.get("warnings", [])]

    @property
    def structures(self) -> list[ShownStructure]:
        """The structures of the model with name, colour and volume."""
        volumes = self.record["volumes_ml"]
        shown = []
        for name, value in self.record["labels"].items():
            known = structure(name)
            shown.append(ShownStructure(int(value), known.display, known.hex_colour, float(volumes[name])))
        return shown

    @property
    def agreement(self) -> dict[str, float | None]:
        """Dice with a reference by structure's display name; {} where there was none."""
        scores = self.record.get("agreement", {}).get("dice", {})
        return {structure(name).display: value for name, value in scores.items()}

    @property
    def reference(self) -> str:
        """What the agreement is with, in words."""
        return str(self.record.get("agreement", {}).get("with", ""))

    def belongs_to(self, sha256: str | None) -> bool:
        """Whether the study with that hash is the one that was segmented."""
        return sha256 is not None and self.record.get("input", {}).get("sha256") == sha256

    @property
    def downloads(self) -> list[Download]:
        """The files that may be saved, in a fixed order."""
        found = []
        for kind, (label, file_name, mime) in _DOWNLOADS.items():
            entry = self.record["outputs"].get(kind)
            if entry and (self.folder / entry["file"]).exists():
                found.append(Download(label, self.folder / entry["file"], f"voxhelix_{file_name}", mime))
        return found


def find_results(place: Workspace, owner: str) -> list[StoredResult]:
    """The results of an owner's jobs and of the demonstration, newest first."""
    found = []
    for job in place.jobs.jobs(owner):
        if job.kind == "predict" and job.state is JobState.FINISHED:
            number = job.context.get("series", "")
            series = int(number) if number else None
            study = job.context.get("study", "")
            found.append(StoredResult(job.id, job.title, job.created, job.outputs, study, series))
    for root in place.run_roots:
        for path in root.glob("*/study/result.json"):
            found.append(_of_demonstration(path))
    return sorted(found, key=lambda result: result.created, reverse=True)


def demonstration_key(folder: Path) -> str:
    """How the result of a demonstration run in `folder` is called in addresses."""
    return hashlib.sha256(str((folder / "study").resolve()).encode()).hexdigest()[:16]


def _of_demonstration(record: Path) -> StoredResult:
    """`voxhelix demo` finishes the contouring of the sample CT."""
    key = demonstration_key(record.parent.parent)
    title = "Demonstration: the sample's contouring finished"
    return StoredResult(key, title, record.stat().st_mtime, record.parent, "sample-ct-dicom", None)


def read_result(folder: Path) -> SegmentationResult:
    """The result in a job's output folder. Raises `ResultError` where there is none, or not a whole one."""
    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        result = SegmentationResult(folder, record)
        complete = result.labels.exists() and len(result.structures) > 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise ResultError("The result of this job is not complete on the disk. Run the segmentation again.")
    return result
