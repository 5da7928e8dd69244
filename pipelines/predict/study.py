"""One study from file to results: read, checked, segmented, written, read back."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.card import RESEARCH_USE, file_hash
from pipelines.errors import InputError, UsageError
from pipelines.events import EventLog
from pipelines.predict.model import Model
from pipelines.predict.qc import check_input
from pipelines.predict.report import Comparison, report_data
from pipelines.predict.segment import Doubt, Segmentation, nearest_voxel, segment
from pipelines.versions import device, versions

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume

FORMATS = ("nifti", "dicom-seg", "report")
FILE_NAMES = {"nifti": "segmentation.nii.gz", "dicom-seg": "segmentation.dcm", "report": "report.html"}


@dataclass(frozen=True)
class Study:
    """A study that was read and looked over."""

    case: str
    image: "Volume"
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class StudyResult:
    """What became of one study; `record` is what stands in `result.json`."""

    folder: Path
    image: "Volume"
    labels: "Volume"
    record: dict[str, Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        """How the input differs from the training images."""
        return tuple(self.record["warnings"])

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
    events: EventLog | None = None,
    resume: bool = False,
) -> StudyResult:
    """Segment one study and write its results into `folder`.

    `formats` defaults to all that fit the source (DICOM SEG needs a DICOM source). With `resume`, results that are
    there already, whole, of the same input, model and version, are handed back. Raises medimg.ImageError where the
    source cannot be read and UsageError where a format does not fit it.
    """
    events = events or EventLog()
    study = read_study(model, source, case, series, events)
    wanted = choose_formats(formats, study.image)
    earlier = earlier_result(model, study, folder, wanted) if resume else None
    if earlier is not None:
        events.write("done", 1, 1, f"{case} was done before", volumes_ml=earlier.record["volumes_ml"])
        return earlier
    begin = time.perf_counter()
    segmentation = segment_study(model, study, events)
    seconds = {"read": study.seconds, "segment": round(time.perf_counter() - begin, 3)}
    return write_results(model, study, segmentation, folder, formats, seconds, events=events)


def read_study(
    model: Model, source: Path, case: str, series: str | None = None, events: EventLog | None = None
) -> Study:
    """Read a study and compare it with the model's training images."""
    import medimg
    from medimg import transforms

    events = events or EventLog()
    begin = time.perf_counter()
    events.write("read", message=f"reading {case}")
    if not source.exists():
        raise InputError(f"{source} does not exist")
    image = _with_numbers(_with_units(medimg.read(source, series=series), model))
    warnings = check_input(transforms.orient(image, "RAS"), model.card.fingerprint)
    for warning in warnings:
        events.write("check", message=warning, warning=True)
    return Study(case, image, warnings, round(time.perf_counter() - begin, 3))


def segment_study(
    model: Model, study: Study, events: EventLog | None = None, settled: "np.ndarray[Any, Any] | None" = None
) -> Segmentation:
    """Segment a study, with progress as events; `settled` as in `segment`."""
    events = events or EventLog()
    events.write("segment", message="segmenting")

    def tell(done: int, total: int) -> None:
        events.write("segment", done, total, f"window {done} of {total}")

    return segment(model, study.image, tell, settled)


def write_results(
    model: Model,
    study: Study,
    segmentation: Segmentation,
    folder: Path,
    formats: Sequence[str] | None = None,
    seconds: dict[str, float] | None = None,
    comparison: Comparison | None = None,
    notes: Sequence[str] = (),
    events: EventLog | None = None,
) -> StudyResult:
    """Write a label map in the formats asked for, with `result.json`; every file is whole or absent.

    `notes` say what else a reader must know of these labels.
    """
    events = events or EventLog()
    events.write("write", message="writing results")
    labels = segmentation.labels
    record = _record(model, study, segmentation)
    record["notes"] = list(notes)
    record["seconds"] = dict(seconds or {})
    if comparison is not None:
        record["agreement"] = {
            "with": comparison.name,
            "dice": _rounded(comparison.agreement),
            "floor": _rounded(comparison.floor),
            "others": {name: _rounded(values) for name, values in comparison.others.items()},
        }
    result = StudyResult(folder, study.image, labels, record)
    for name in choose_formats(formats, study.image):
        if name == "dicom-seg" and not labels.array.any():
            record["warnings"].append("nothing was found, so there is no DICOM SEG: it cannot be empty")
            continue
        begin = time.perf_counter()
        path = _write(name, result, model, comparison)
        record["outputs"][name] = {"file": path.name, "sha256": file_hash(path)}
        record["seconds"][f"write {name}"] = round(time.perf_counter() - begin, 3)
    write_json(folder / "result.json", record)
    events.write("done", 1, 1, f"{study.case} done", volumes_ml=record["volumes_ml"])
    return result


def earlier_result(model: Model, study: Study, folder: Path, formats: Sequence[str]) -> StudyResult | None:
    """The result in `folder` if it is whole and of this input, model, version and at least these formats."""
    import medimg

    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        same = (
            record["input"]["sha256"] == study.image.provenance.sha256
            and record["model"] == _model_record(model)
            and record["versions"]["voxhelix"] == versions()["voxhelix"]
            and {"nifti", *formats} <= record["outputs"].keys()
            and all(file_hash(folder / entry["file"]) == entry["sha256"] for entry in record["outputs"].values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not same:
        return None
    labels = medimg.read(folder / record["outputs"]["nifti"]["file"], units="label")
    return StudyResult(folder, study.image, labels, record)


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


def _with_numbers(image: "Volume") -> "Volume":
    """NaN and infinity, as some programs write outside the field of view, would spread through a whole window."""
    import numpy as np

    array = np.asarray(image.array)
    finite = np.isfinite(array)
    if finite.all():
        return image
    if not finite.any():
        raise InputError("the image holds no number at all, only NaN or infinity")
    lowest = array[finite].min()
    note = f"{int((~finite).sum())} voxels hold NaN or infinity; taken for the lowest value, {lowest:g}."
    return image.with_array(np.where(finite, array, lowest)).with_notes(note)


def _record(model: Model, study: Study, segmentation: Segmentation) -> dict[str, Any]:
    import numpy as np

    image, labels = study.image, segmentation.labels
    counts = np.bincount(labels.array.reshape(-1), minlength=max(model.card.labels.values()) + 1)
    source = image.provenance
    return {
        "notice": RESEARCH_USE,
        "case": study.case,
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
        "warnings": list(study.warnings),
        "labels": dict(model.card.labels),
        "volumes_ml": {
            name: round(int(counts[value]) * labels.voxel_volume_ml, 3) for name, value in model.card.labels.items()
        },
        "least_sure": [_place(doubt, image) for doubt in segmentation.doubts],
        "model": _model_record(model),
        "versions": versions(),
        "device": device(),
        "outputs": {},
    }


def _model_record(model: Model) -> dict[str, Any]:
    return {
        "name": model.card.name,
        "weights_sha256": model.card.weights_sha256,
        "config_sha256": model.card.config_sha256,
        "seed": model.card.seed,
    }


def _place(doubt: Doubt, image: "Volume") -> dict[str, Any]:
    """A doubt by the image's own voxel indices, from 0."""
    voxel = list(nearest_voxel(image, doubt.place))
    return {"structure": doubt.structure, "voxel": voxel, "probability": round(doubt.probability, 4)}


def _write(name: str, result: StudyResult, model: Model, comparison: Comparison | None) -> Path:
    """Write one format; the writers of label maps read back what they wrote."""
    from medimg import export

    path = result.folder / FILE_NAMES[name]
    names = {value: structure for structure, value in model.card.labels.items()}
    if name == "nifti":
        return export.write_nifti_labels(result.labels, path, names)
    if name == "report":
        data = report_data(model, result.image, result.labels, result.record, comparison)
        return export.write_report(path, data)
    info = export.ModelInfo(model.card.name, model.card.versions["voxhelix"], model.card.weights_sha256)
    return export.write_dicom_seg(result.labels, path, result.image, names, info)


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}
