"""Label maps as DICOM Segmentation objects that refer to the images they were made from."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from framework.core.files import atomic_write
from framework.version import __version__
from medimg.errors import ImageError
from medimg.export.labels import checked_labels, onto_grid
from medimg.export.seg_proof import prove_segmentation
from medimg.io.quiet import quiet
from medimg.structures import PRIVATE_SCHEME, Code, structure
from medimg.volume import Volume

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom import Dataset

_SERIES_NUMBER = 9000
# What the modules that a SEG copies from its source require to be there, though it may be empty (type 2).
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class ModelInfo:
    """The algorithm that made a label map, as its DICOM SEG names it."""

    name: str
    version: str
    weights_sha256: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Further settings that say how the result came about."""


def write_dicom_seg(
    labels: Volume,
    path: str | os.PathLike[str],
    source: Volume,
    names: Mapping[int, str],
    model: ModelInfo,
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
    created: datetime | None = None,
    omit_empty_frames: bool = True,
) -> Path:
    """Write a label map as one DICOM SEG object on the grid of `source`.

    Args:
        labels: label map with the voxels of `source`; its axes may be permuted or reversed, its grid may not differ.
        source: the image as `medimg.read` gave it, from DICOM. The object refers to each of its images by UID.
        names: structure names (`medimg.structures`) by label number. Segments are numbered from 1 in the order of the
            labels that occur; each one's description holds its name and its label number.
        model: what made the labels; it goes into the algorithm identification of every segment.
        kind: BINARY, which every viewer reads, or LABELMAP (DICOM 2024d, smaller).
        created: date of the content. None takes the source's own series date, so that the same input gives the same
            bytes; it is then not the date of the segmentation.
        omit_empty_frames: leave out the slices of a segment that hold none of it. Some converters give a smaller
            volume where slices are missing; False keeps all.

    The file takes its name only after it has been read back, frame by frame and without highdicom: every label has the
    same voxels at the same places, and its centre of mass lies within 0.001 mm. UIDs are derived from the content.

    Raises ImageError where the grids differ, a label has no name, nothing is labelled, the source is not DICOM, or
    the proof fails.
    """
    from medimg.io.dicom import source_datasets

    array, present = checked_labels(labels, names)
    if not present:
        raise ImageError("No voxel is labelled, and a DICOM SEG without a segment is not allowed; write NIfTI instead.")
    on_source = onto_grid(replace(labels, array=array), source)
    with quiet():
        datasets = [_completed(dataset, source) for dataset in source_datasets(source)]
    segments = np.searchsorted([0, *present], on_source).astype(array.dtype)
    identity = _Identity.of(source, on_source, names, model, kind, created)
    with quiet():
        seg = _build(
            _frames(segments, source, datasets), datasets, present, names, model, kind, identity, omit_empty_frames
        )
        _fix_what_differs_each_time(seg, identity)
    target = Path(path)
    with atomic_write(target, "w+b") as file:
        seg.save_as(file)
        file.flush()
        file.seek(0)
        prove_segmentation(file, segments, source, labels, present)
    return target


@dataclass(frozen=True)
class _Identity:
    """UIDs and date of an object, all from what it holds."""

    digest: str
    created: datetime | None

    @classmethod
    def of(
        cls,
        source: Volume,
        array: NDArray[Any],
        names: Mapping[int, str],
        model: ModelInfo,
        kind: str,
        created: datetime | None,
    ) -> "_Identity":
        digest = hashlib.sha256()
        said = (
            [item.sop_instance_uid for item in source.provenance.slices],
            sorted(names.items()),
            (model.name, model.version, model.weights_sha256, sorted(model.parameters.items())),
            (kind, array.shape, array.dtype.str, str(created), __version__),
        )
        digest.update(repr(said).encode())
        digest.update(array.tobytes())
        return cls(digest.hexdigest(), created)

    def uid(self, role: str) -> str:
        """A UID for one role in the object, the same each time."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=["voxhelix", self.digest, role]))


def _completed(dataset: "Dataset", source: Volume) -> "Dataset":
    """The header with the attributes that highdicom copies and that files may lack or hold badly."""
    from pydicom.uid import generate_uid
    from pydicom.valuerep import DA, TM

    if "NumberOfFrames" not in dataset:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            if not dataset.get(keyword):
                raise ImageError(f"The source images do not say where they lie ({keyword} is missing): no SEG can.")
    for keyword in _MAY_BE_EMPTY:
        if dataset.get(keyword) is None:
            setattr(dataset, keyword, "")
    for keyword, parse in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        try:
            parse(str(dataset.get(keyword)))
        except ValueError:
            setattr(dataset, keyword, "")
    if dataset.PatientSex not in ("M", "F", "O"):
        dataset.PatientSex = ""
    if not dataset.get("FrameOfReferenceUID"):
        entropy = ["voxhelix", source.provenance.sha256 or dataset.SeriesInstanceUID, "frame of reference"]
        dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=entropy)
    return dataset


def _frames(segments: NDArray[Any], source: Volume, datasets: "Sequence[Dataset]") -> NDArray[Any]:
    """Segment numbers (frames, rows, columns) in the order of the source's images, or of its frames."""
    columns, rows, slices = segments.shape
    first = datasets[0]
    if (columns, rows) != (int(first.Columns), int(first.Rows)) or slices != len(source.provenance.slices):
        raise ImageError(
            f"The source volume is {columns}x{rows}x{slices} voxels and its images are {first.Columns}x{first.Rows}, "
            f"{len(source.provenance.slices)} slices: give the volume as it was read, before it was cropped or turned."
        )
    by_slice = np.ascontiguousarray(segments.transpose(2, 1, 0))
    if "NumberOfFrames" not in first:
        return by_slice
    frames = np.zeros((int(first.NumberOfFrames), rows, columns), dtype=segments.dtype)
    for plane, item in zip(by_slice, source.provenance.slices):
        frames[item.frame or 0] = plane
    return frames


def _build(
    frames: NDArray[Any],
    datasets: "Sequence[Dataset]",
    present: Sequence[int],
    names: Mapping[int, str],
    model: ModelInfo,
    kind: str,
    identity: _Identity,
    omit_empty_frames: bool,
) -> "Segmentation":
    import highdicom
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    described = [
        _segment(number, label, names[label], model, datasets[0]) for number, label in enumerate(present, start=1)
    ]
    private = CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME, name="voxhelix structures", responsible_organization="voxhelix"
    )
    date, time = _when(datasets[0], identity.created)
    return highdicom.seg.Segmentation(
        source_images=datasets,
        pixel_array=frames,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=identity.uid("series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=identity.uid("instance"),
        instance_number=1,
        manufacturer="voxhelix",
        manufacturer_model_name=model.name[:64],
        software_versions=f"voxhelix {__version__}",
        device_serial_number=model.weights_sha256[:16] or "none",
        content_label="SEGMENTATION",
        content_description="Research use only",
        content_creator_name="voxhelix^",
        series_description=f"{model.name[:42]} (research use only)",
        content_date=date,
        content_time=time,
        series_date=date,
        series_time=time,
        content_qualification="RESEARCH",
        coding_schemes=[private],
        omit_empty_frames=omit_empty_frames,
        transfer_syntax_uid=ExplicitVRLittleEndian if kind == "BINARY" else RLELossless,
    )


def _segment(number: int, label: int, name: str, model: ModelInfo, dataset: "Dataset") -> "SegmentDescription":
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    known = structure(name)
    parameters = {**({"weights_sha256": model.weights_sha256} if model.weights_sha256 else {}), **model.parameters}
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=known.display[:64],
        segmented_property_category=_coded(known.category),
        segmented_property_type=_coded(known.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=model.name[:64],
            family=codes.DCM.ArtificialIntelligence,
            version=model.version[:64],
            source="voxhelix",
            parameters=parameters or None,
        ),
        tracking_id=f"{name[:40]} (voxhelix)",
        # One structure of one patient keeps its tracking UID in every segmentation of the same frame of reference.
        tracking_uid=str(generate_uid(entropy_srcs=["voxhelix", str(dataset.FrameOfReferenceUID), name])),
        anatomic_regions=[_coded(known.region)] if known.region else None,
        display_color=highdicom.color.CIELabColor.from_dicom_value(known.cielab),
    )
    description.SegmentDescription = f"{name} (label {label})"
    if known.side:
        if known.region:
            description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_coded(known.side)]
        else:
            item = description.SegmentedPropertyTypeCodeSequence[0]
            item.SegmentedPropertyTypeModifierCodeSequence = [_coded(known.side)]
    return description


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def _when(dataset: "Dataset", created: datetime | None) -> tuple[Any, Any]:
    """Date and time of the content: as given, else the source's, else the start of 1970."""
    from pydicom.valuerep import DA, TM

    if created is not None:
        return DA(created.date()), TM(created.time().replace(microsecond=0))
    for kind in ("Series", "Study", "Content"):
        try:
            date, time = DA(str(dataset.get(f"{kind}Date") or "")), TM(str(dataset.get(f"{kind}Time") or ""))
        except ValueError:
            continue
        if date:
            return date, time or TM("000000")
    return DA("19700101"), TM("000000")


def _fix_what_differs_each_time(seg: "Segmentation", identity: _Identity) -> None:
    """highdicom takes the clock for dates of creation, and a random UID for the dimensions."""
    from pydicom.valuerep import DT

    seg.InstanceCreationDate, seg.InstanceCreationTime = seg.ContentDate, seg.ContentTime
    # The last item is highdicom's own; those before it are copied from the source.
    contributed = DT(f"{seg.ContentDate:%Y%m%d}{seg.ContentTime:%H%M%S}")
    seg.ContributingEquipmentSequence[-1].ContributionDateTime = contributed
    dimensions = identity.uid("dimensions")
    for item in (*seg.DimensionOrganizationSequence, *seg.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = dimensions
