"""What a finished segmentation left in its job folder (`pipelines.predict` writes it)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.viewer import ShownStructure
from medimg.structures import structure

_DOWNLOADS = {
    "nifti": ("Label map (NIfTI)", "segmentation.nii.gz", "application/gzip"),
    "dicom-seg": ("DICOM SEG", "segmentation.dcm", "application/dicom"),
    "report": ("Report (HTML)", "report.html", "text/html"),
}


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
    def downloads(self) -> list[Download]:
        """The files that may be saved, in a fixed order."""
        found = []
        for kind, (label, file_name, mime) in _DOWNLOADS.items():
            entry = self.record["outputs"].get(kind)
            if entry and (self.folder / entry["file"]).exists():
                found.append(Download(label, self.folder / entry["file"], f"voxhelix_{file_name}", mime))
        return found


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
