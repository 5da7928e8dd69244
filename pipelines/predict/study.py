"""One study from file to results: read, checked, segmented, written, read back."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.card import RESEARCH_USE, file_hash
from pipelines.errors import InputError, PipelineError, UsageError
from pipelines.events import EventLog
from pipelines.predict.model import Model
from pipelines.predict.qc import check_input
from pipelines.predict.segment import segment
from pipelines.versions import device, versions

if TYPE_CHECKING:
    from medimg import Volume

FORMATS = ("nifti", "dicom-seg", "report")
FILE_NAMES = {"nifti": "segmentation.nii.gz", "dicom-seg": "segmentation.dcm", "report": "report.html"}


@dataclass(frozen=True)
class StudyResult:
    """What became of one study; the same stands in `result.json`."""

    folder: Path
    image: "Volume"
    labels: "Volume"
    warnings: tuple[str, ...]
    record: dict[str, Any]

    @property
    def outputs(self) -> dict[str, Path]:
        """Format -> file."""
        return {name: self.folder / entry["file"] for name, entry in self.record["outputs"].items()}


def predict_study(
    model: Model,
    source: Path,
    folder: Path,
    case: str,
    formats: Sequence[str] | None = None,
    series: str | None = None,
    reference: "Volume | None" = None,
    agreement: dict[str, dict[str, float]] | None = None,
    events: EventLog | None = None,
) -> StudyResult:
    """Segment one study and write its results into `folder`.

    `formats` defaults to all that fit the source (DICOM SEG needs a DICOM source). Raises medimg.ImageError where
    the source cannot be read and UsageError where a format does not fit it.
    """
    import medimg
    from medimg import transforms

    events = events or EventLog()
    clock = _Clock()
    events.write("read", message=f"reading {case}")
    if not source.exists():
        raise InputError(f"{source} does not exist")
    image = _with_units(medimg.read(source, series=series), model)
    wanted = choose_formats(formats, image)
    warnings = check_input(transforms.orient(image, "RAS"), model.card.fingerprint)
    clock.stop("read")
    for warning in warnings:
        events.write("check", message=warning, warning=True)
    events.write("segment", message="segmenting")
    labels = segment(model, image, lambda step, total: events.write("segment", step, total, f"window {step}/{total}"))
    clock.stop("segment")
    record = _record(model, image, labels, case, warnings)
    if agreement is not None:
        record["agreement"] = agreement
    events.write("write", message="writing results")
    result = StudyResult(folder, image, labels, warnings, record)
    _write(result, model, wanted, clock)
    record["seconds"] = clock.seconds
    write_json(folder / "result.json", record)
    events.write("done", 1, 1, f"{case} done", volumes_ml=record["volumes_ml"])
    return result


def choose_formats(formats: Sequence[str] | None, image: "Volume") -> tuple[str, ...]:
    """The formats to write, in a fixed order. Raises UsageError for a DICOM SEG of what is not DICOM."""
    dicom = image.provenance.format == "dicom"
    if formats is None:
        return tuple(name for name in FORMATS if dicom or name != "dicom-seg")
    if "dicom-seg" in formats and not dicom:
        raise UsageError("a DICOM SEG refers to DICOM images, and this study is none: leave out --format dicom-seg")
    return tuple(name for name in FORMATS if name in formats)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    from framework.core.files import atomic_write

    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _with_units(image: "Volume", model: Model) -> "Volume":
    """Where a file does not say what its values are (NIfTI), they are taken for those of the training images."""
    known = {item.units for item in model.card.fingerprint.images}
    if image.units != "unknown" or len(known) != 1:
        return image
    units = known.pop()
    return replace(image, units=units).with_notes(f"The file does not say what its values are; taken for {units}.")


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now


def _record(model: Model, image: "Volume", labels: "Volume", case: str, warnings: tuple[str, ...]) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(labels.array.reshape(-1), minlength=max(model.card.labels.values()) + 1)
    source = image.provenance
    return {
        "notice": RESEARCH_USE,
        "case": case,
        "input": {
            "sha256": source.sha256,
            "format": source.format,
            "modality": source.modality,
            "units": image.units,
            "shape": list(image.shape),
            "spacing_mm": [round(step, 6) for step in image.spacing],
            "axes": image.axcodes,
            "notes": list(source.notes),
        },
        "warnings": list(warnings),
        "labels": dict(model.card.labels),
        "volumes_ml": {
            name: round(int(counts[value]) * labels.voxel_volume_ml, 3) for name, value in model.card.labels.items()
        },
        "model": {
            "name": model.card.name,
            "weights_sha256": model.card.weights_sha256,
            "config_sha256": model.card.config_sha256,
            "seed": model.card.seed,
        },
        "versions": versions(),
        "device": device(),
        "outputs": {},
    }


def _write(result: StudyResult, model: Model, formats: Sequence[str], clock: _Clock) -> None:
    from medimg import export

    for name in formats:
        path = result.folder / FILE_NAMES[name]
        if name == "nifti":
            export.write_nifti_labels(path, result.labels, model.card.labels)
            _read_back(path, result.labels)
        elif name == "dicom-seg":
            export.write_dicom_seg(path, result.image, result.labels, model.card.labels)
        else:
            export.write_report(path, result.image, result.labels, model.card.labels, result.record)
        result.record["outputs"][name] = {"file": path.name, "sha256": file_hash(path)}
        clock.stop(f"write_{name}")


def _read_back(path: Path, labels: "Volume") -> None:
    import medimg
    import numpy as np

    written = medimg.read(path)
    if not written.same_grid(labels) or not np.array_equal(written.array, labels.array):
        raise PipelineError(f"{path} does not read back as it was written; the disk or a library is at fault")
