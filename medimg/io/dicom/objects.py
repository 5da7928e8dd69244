"""DICOM objects and the image planes in them, from their headers alone.

Single-frame objects hold one plane. Enhanced (multi-frame) objects describe each frame in the shared and per-frame
functional groups (PS3.3 C.7.6.16). Everything that is no grey-scale image is set aside with the reason.
"""

import hashlib
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medimg.errors import ImageError
from medimg.geometry import ORTHOGONAL_TOLERANCE
from medimg.io.quiet import quiet
from medimg.io.sources import Entry, Source, require_memory

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_NOT_IMAGES = {  # have rows and columns, but no picture of the patient in grey
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "radiotherapy dose",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
}
# Attributes that tell volumes of one series apart, in the order they are tried.
_TRAITS = {
    "EchoTime": "echo time {} ms",
    "EchoNumbers": "echo {}",
    "TemporalPositionIdentifier": "time point {}",
    "NominalPercentageOfCardiacPhase": "cardiac phase {} %",
    "TriggerTime": "trigger time {} ms",
    "DiffusionBValue": "b-value {}",
    "DiffusionGradientOrientation": "diffusion direction {}",
    "FrameReferenceTime": "frame time {} ms",
    "InversionTime": "inversion time {} ms",
    "KVP": "{} kV",
    "ConvolutionKernel": "kernel {}",
    "ImageType": "{}",
    "AcquisitionNumber": "acquisition {}",
    "AcquisitionTime": "acquired {}",
    "ContentTime": "content time {}",
}
_FRAME_TRAITS = (
    ("MREchoSequence", "EffectiveEchoTime", "echo time {} ms"),
    ("FrameContentSequence", "StackID", "stack {}"),
    ("FrameContentSequence", "TemporalPositionIndex", "time point {}"),
    ("MRDiffusionSequence", "DiffusionBValue", "b-value {}"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "trigger delay {} ms"),
    ("CTImageFrameTypeSequence", "FrameType", "{}"),
    ("MRImageFrameTypeSequence", "FrameType", "{}"),
)
_RESCALE_TYPES = {"HU", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}  # PS3.3 C.11.1.1.2, less "unspecified"
_PLACE_DIMENSIONS = {"ImagePositionPatient", "InStackPositionNumber", "StackID", "SliceLocation", "InstanceNumber"}

Vector = tuple[float, ...]
Look = Callable[[str, str], Any]


@dataclass(frozen=True, slots=True)
class Plane:
    """One image plane: where it lies (LPS mm) and how its stored numbers become values."""

    source: "ImageObject"
    frame: int | None
    position: Vector | None
    row_direction: Vector | None
    """Unit vector in which the column index grows."""
    column_direction: Vector | None
    """Unit vector in which the row index grows."""
    skew: float
    """How far the header's two directions were from unit vectors at right angles."""
    pixel_spacing: Vector | None
    """(between rows, between columns) in mm, as in DICOM."""
    thickness: float | None
    slope: float
    intercept: float
    units: str
    traits: tuple[tuple[str, str], ...]

    @property
    def is_placed(self) -> bool:
        """Whether the plane says where it lies in the patient."""
        return None not in (self.position, self.row_direction, self.column_direction, self.pixel_spacing)


@dataclass(frozen=True, eq=False)
class ImageObject:
    """One DICOM file (or zip member) with a grey-scale image."""

    entry: Entry
    sha256: str
    sop_instance_uid: str
    series_uid: str
    series_number: int | None
    modality: str
    description: str
    rows: int
    columns: int
    photometric: str
    frames: int
    is_localizer: bool
    oddities: int
    """Header values that do not keep to the standard."""
    uid_from_meta: bool
    planes: tuple[Plane, ...] = ()


@dataclass(frozen=True)
class SetAside:
    """A DICOM file that is not read as an image, and why."""

    entry: Entry
    reason: str
    """A noun, such as "structured report (dose)" or "colour image"."""
    modality: str = ""


def parse(source: Source, entry: Entry) -> ImageObject | SetAside:
    """Read the header of one DICOM file. Raises ImageError where it cannot be read at all."""
    data = source.read(entry)
    sha256 = hashlib.sha256(data).hexdigest()
    with quiet() as warnings:
        dataset = open_dataset(data, entry.name, pixels=False)
        entry = source.discreet(entry, _identifiers(dataset), f"file {sha256[:8]}")
        found = _describe(dataset, entry, sha256)
    if isinstance(found, SetAside):
        return found
    image, planes = found
    object.__setattr__(image, "oddities", len(warnings))
    object.__setattr__(image, "planes", planes)
    return image


def open_dataset(data: bytes, name: str, pixels: bool) -> "Dataset":
    """Parse the bytes of a DICOM file, with or without its pixel data. Call inside `quiet()`."""
    import pydicom

    _bound_deflated(data, name)
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=not pixels)
    except Exception as error:  # damaged bytes make pydicom raise almost anything; its words may quote the header
        raise ImageError(f"{name!r} is a damaged DICOM file ({type(error).__name__}); send or copy it again.") from None
    if len(dataset) == 0:
        raise ImageError(f"{name!r} is no DICOM file, or an empty or damaged one.")
    return dataset


def text(dataset: "Dataset", keyword: str) -> str:
    """A value as text on one line, "" where it is missing or unreadable."""
    value = _value(dataset, keyword)
    if value is None:
        return ""
    joined = "\\".join(map(str, value)) if _is_several(value) else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in joined).split())


def numbers(dataset: "Dataset", keyword: str, count: int) -> Vector | None:
    """`count` finite numbers, or None where the value is missing, unreadable or of another length."""
    value = _value(dataset, keyword)
    if value is None:
        return None
    try:
        found = tuple(float(v) for v in (value if _is_several(value) else [value]))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and bool(np.isfinite(found).all()) else None


def number(dataset: "Dataset", keyword: str) -> float | None:
    """One finite number, or None."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def integer(dataset: "Dataset", keyword: str) -> int | None:
    """One whole number, or None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found.is_integer() else None


def _describe(dataset: "Dataset", entry: Entry, sha256: str) -> "tuple[ImageObject, tuple[Plane, ...]] | SetAside":
    sop_class, uid_from_meta = _sop_class(dataset)
    modality = text(dataset, "Modality")
    if sop_class in _NOT_IMAGES:
        return SetAside(entry, _NOT_IMAGES[sop_class], modality)
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    if not rows or not columns or rows < 1 or columns < 1:
        return SetAside(entry, _class_name(sop_class), modality)
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if (integer(dataset, "SamplesPerPixel") or 1) != 1 or not photometric.startswith("MONOCHROME"):
        return SetAside(entry, f"colour image ({photometric or 'unknown colour space'})", modality)
    if "MOSAIC" in text(dataset, "ImageType").upper():  # many slices tiled into one picture
        return SetAside(entry, "Siemens mosaic (export it as enhanced MR)", modality)
    frames = _frame_count(dataset, entry)
    instance = text(dataset, "SOPInstanceUID")
    if not instance:
        instance = text(getattr(dataset, "file_meta", dataset), "MediaStorageSOPInstanceUID")
        uid_from_meta = True
    image = ImageObject(
        entry=entry,
        sha256=sha256,
        sop_instance_uid=instance,
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=integer(dataset, "SeriesNumber"),
        modality=modality,
        description=text(dataset, "SeriesDescription")[:64],
        rows=rows,
        columns=columns,
        photometric=photometric,
        frames=frames,
        is_localizer="LOCALIZER" in text(dataset, "ImageType").upper(),
        oddities=0,
        uid_from_meta=uid_from_meta,
    )
    if _value(dataset, "PerFrameFunctionalGroupsSequence") is not None:
        return image, _enhanced_planes(dataset, image)
    return image, _plain_planes(dataset, image)


def _plain_planes(dataset: "Dataset", image: ImageObject) -> tuple[Plane, ...]:
    """The plane of a single-frame object; those of an old multi-frame object have no place of their own."""
    traits = [(label, text(dataset, keyword)) for keyword, label in _TRAITS.items()]
    several = image.frames > 1 or integer(dataset, "NumberOfFrames") is not None
    return tuple(
        _plane(
            image,
            frame if several else None,
            lambda _, keyword: _value(dataset, keyword),
            tuple((label, value) for label, value in traits if value),
            position=image.frames == 1,
        )
        for frame in range(image.frames)
    )


def _enhanced_planes(dataset: "Dataset", image: ImageObject) -> tuple[Plane, ...]:
    per_frame = list(_value(dataset, "PerFrameFunctionalGroupsSequence"))
    shared = _value(dataset, "SharedFunctionalGroupsSequence")
    if len(per_frame) != image.frames:
        raise ImageError(
            f"{image.entry.name!r} has {image.frames} frames and describes {len(per_frame)}; the file is damaged."
        )
    pointers = _dimension_names(dataset)
    planes = []
    for frame, groups in enumerate(per_frame):

        def look(sequence: str, keyword: str, groups: "Dataset" = groups) -> Any:
            for level in (groups, shared[0] if shared else None):
                items = _value(level, sequence) if level is not None else None
                value = _value(items[0], keyword) if items else None
                if value is not None:
                    return value
            return None

        traits = [(label, _as_text(look(sequence, keyword))) for sequence, keyword, label in _FRAME_TRAITS]
        indices = look("FrameContentSequence", "DimensionIndexValues")
        indices = list(indices) if _is_several(indices) else [indices]
        traits += [
            (f"{name} {{}}", _as_text(index))
            for name, index in zip(pointers, indices, strict=False)
            if name not in _PLACE_DIMENSIONS
        ]
        planes.append(_plane(image, frame, look, tuple((label, value) for label, value in traits if value), True))
    return tuple(planes)


def _plane(
    image: ImageObject, frame: int | None, look: Look, traits: tuple[tuple[str, str], ...], position: bool
) -> Plane:
    place = _floats(look("PlanePositionSequence", "ImagePositionPatient"), 3) if position else None
    cosines = _floats(look("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _floats(look("PixelMeasuresSequence", "PixelSpacing"), 2)
    slope = _floats(look("PixelValueTransformationSequence", "RescaleSlope"), 1)
    intercept = _floats(look("PixelValueTransformationSequence", "RescaleIntercept"), 1)
    thickness = _floats(look("PixelMeasuresSequence", "SliceThickness"), 1)
    row, column, skew = _directions(cosines, image) if cosines else (None, None, 0.0)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    return Plane(
        source=image,
        frame=frame,
        position=place,
        row_direction=row,
        column_direction=column,
        skew=skew,
        pixel_spacing=spacing,
        thickness=thickness[0] if thickness and thickness[0] > 0 else None,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        units=_units(image.modality, slope, look),
        traits=traits,
    )


def _directions(cosines: Vector, image: ImageObject) -> tuple[Vector, Vector, float]:
    """The two directions made exactly unit and orthogonal, and how far they were from it."""
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    skew = max(abs(float(np.linalg.norm(row)) - 1), abs(float(np.linalg.norm(column)) - 1), abs(float(row @ column)))
    if skew > ORTHOGONAL_TOLERANCE:
        raise ImageError(
            f"{image.entry.name!r} has an image orientation that is no pair of unit vectors at right angles (off by "
            f"{skew:.2g}); the header is damaged."
        )
    # Both move by the same amount: no axis is favoured (symmetric orthogonalisation).
    left, _, right = np.linalg.svd(np.stack([row, column]), full_matrices=False)
    exact = left @ right
    return tuple(map(float, exact[0])), tuple(map(float, exact[1])), skew


def _units(modality: str, slope: Vector | None, look: Look) -> str:
    if modality == "PT":
        return _as_text(look("", "Units")) or "unknown"
    if slope is None:
        return "unknown"
    kind = _as_text(look("PixelValueTransformationSequence", "RescaleType"))
    if kind in _RESCALE_TYPES:
        return kind
    return "HU" if modality == "CT" and not kind else "unknown"


def _identifiers(dataset: "Dataset") -> set[str]:
    """Words, in lower case, that name the patient: people name files and folders by them."""
    words: set[str] = set()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "OtherPatientNames"):
        value = text(dataset, keyword).lower()
        words |= {value, *re.split(r"[^\w]+|_", value)}
    return {word for word in words if len(word) > 2}


def _sop_class(dataset: "Dataset") -> tuple[str, bool]:
    """SOP class, and whether it had to be taken from the file meta header."""
    stated = text(dataset, "SOPClassUID")
    return (
        (stated, False) if stated else (text(getattr(dataset, "file_meta", dataset), "MediaStorageSOPClassUID"), True)
    )


def _class_name(sop_class: str) -> str:
    """What an object without a picture is, in the standard's words."""
    from pydicom.uid import UID

    name = UID(sop_class).name if sop_class else ""
    if not name or name == sop_class:
        return "DICOM object without an image"
    return name.removesuffix(" Storage")


def _frame_count(dataset: "Dataset", entry: Entry) -> int:
    element = dataset.get_item("NumberOfFrames")
    if element is None or not element.value:
        return 1
    frames = integer(dataset, "NumberOfFrames")
    if frames is None or frames < 1:
        raise ImageError(f"{entry.name!r} does not say how many frames it has; the header is damaged.")
    return frames


def _dimension_names(dataset: "Dataset") -> list[str]:
    from pydicom.datadict import keyword_for_tag

    names = []
    for item in _value(dataset, "DimensionIndexSequence") or ():
        pointer = _value(item, "DimensionIndexPointer")
        names.append(keyword_for_tag(pointer) or "dimension" if pointer is not None else "dimension")
    return names


def _value(dataset: "Dataset", keyword: str) -> Any:
    """A value, or None where it is missing, empty or cannot be converted."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts on access and raises almost anything on a malformed value
        return None
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def _floats(value: Any, count: int) -> Vector | None:
    if value is None:
        return None
    try:
        found = tuple(float(v) for v in (value if _is_several(value) else [value]))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and bool(np.isfinite(found).all()) else None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if _is_several(value) else str(value).strip()


def _is_several(value: Any) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")


def _bound_deflated(data: bytes, name: str) -> None:
    """Refuse a deflated file that would unpack to more than the memory: pydicom unpacks it in one go."""
    if _DEFLATED not in data[:1024] or data[132:136] != b"\x02\x00\x00\x00":
        return
    body = data[144 + int.from_bytes(data[140:144], "little") :]
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while body:
            size += len(unpacker.decompress(body, 1 << 24))
            require_memory(2 * size, name)
            body = unpacker.unconsumed_tail
    except zlib.error:
        raise ImageError(f"{name!r} is damaged: its deflated content does not unpack.") from None
