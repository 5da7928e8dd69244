"""Files of a DICOM study -> one chosen series -> a Volume."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medimg.errors import ImageError
from medimg.io.dicom.layout import lay_out, require_regular
from medimg.io.dicom.objects import ImageObject, Plane, SetAside, parse
from medimg.io.dicom.pixels import decode_planes, pixel_digest
from medimg.io.dicom.regular import resample_regular
from medimg.io.dicom.stacks import Stack, build_stacks, require_stack
from medimg.io.series import SeriesInfo, choose
from medimg.io.sources import Entry, Source
from medimg.volume import Provenance, SliceSource, Volume

_NO_PLACE = "image without a position in the patient"


@dataclass(frozen=True)
class _Study:
    """What a path holds: stacks that may be read, and what was set aside."""

    stacks: list[Stack]
    infos: tuple[SeriesInfo, ...]
    aside: list[SetAside]


def read_dicom(
    source: Source,
    entries: Sequence[Entry],
    series: int | str | None,
    resample_irregular: bool,
    assume_geometry: bool,
    units: str | None,
    beside: Sequence[str] = (),
) -> Volume:
    """Read one series of the DICOM files of a source; `beside` names images of other formats. See `medimg.read`."""
    study = _study(source, entries, assume_geometry, wanted_uid=series if isinstance(series, str) else None)
    if not study.stacks:
        raise ImageError(_no_image(source, study.aside))
    stack = study.stacks[choose(study.infos, series, repr(source.name))]
    require_stack(stack)
    layout = lay_out(stack)
    if not resample_irregular:
        require_regular(layout, f"Series of {len(stack.planes)} slices in {source.name!r}")
    values, pixel_notes = decode_planes(source, stack.planes)
    affine, slices = layout.affine, _slice_sources(stack)
    history: tuple[str, ...] = ()
    if layout.problem:
        values, affine = resample_regular(stack, layout, values)
        slices, history = (), ("interpolated onto a regular grid",)
    first = stack.first.source
    notes = [
        *source.notes,
        *stack.notes,
        *layout.notes,
        *pixel_notes,
        *_header_notes(stack),
        *_aside_notes(source, study, stack, beside),
    ]
    if layout.problem:
        notes.append(
            f"Interpolated onto a regular grid, because {layout.problem}; slices no longer match source images."
        )
    if source.is_single_file and first.frames == 1:
        notes.append("One file of a series; give its folder to read the whole.")
    return Volume(
        values.transpose(2, 1, 0),
        affine,
        units or stack.first.units,
        Provenance(
            path=source.path,
            format="dicom",
            sha256=_content_hash(stack.planes),
            modality=first.modality or None,
            series_uid=first.series_uid or None,
            slices=slices,
            notes=tuple(notes),
            history=history,
        ),
    )


def list_dicom(source: Source, entries: Sequence[Entry]) -> tuple[SeriesInfo, ...]:
    """The series of the DICOM files of a source, numbered as `read` takes them."""
    return _study(source, entries, assume_geometry=False, wanted_uid=None).infos


def _study(source: Source, entries: Sequence[Entry], assume_geometry: bool, wanted_uid: str | None) -> _Study:
    images, aside = _parse_all(source, entries)
    images, aside = _without_localizers(images, aside, wanted_uid)
    placed: list[Plane] = []
    for image in images:
        planes = list(image.planes)
        if not all(plane.is_placed for plane in planes):
            if not assume_geometry:
                aside.append(SetAside(image.entry, _NO_PLACE, image.modality))
                continue
            planes = _assume_place(planes)
        placed.extend(planes)
    stacks = build_stacks(placed, lambda plane: _digest(source, plane))
    stacks.sort(key=_listing_order)
    infos = tuple(_info(stack, number) for number, stack in enumerate(stacks, start=1))
    return _Study(stacks, infos, aside)


def _parse_all(source: Source, entries: Sequence[Entry]) -> tuple[list[ImageObject], list[SetAside]]:
    images: list[ImageObject] = []
    aside: list[SetAside] = []
    for entry in entries:
        try:
            found = parse(source, entry)
        except ImageError:
            if len(entries) == 1:
                raise
            found = SetAside(entry, "damaged file")
        if isinstance(found, SetAside):
            aside.append(found)
        else:
            images.append(found)
    return images, aside


def _digest(source: Source, plane: Plane) -> str:
    try:
        return pixel_digest(source, plane)
    except ImageError:  # a damaged file is a copy of nothing; reading its series will say what is wrong with it
        return f"damaged {plane.source.sha256}"


def _without_localizers(
    images: list[ImageObject], aside: list[SetAside], wanted_uid: str | None
) -> tuple[list[ImageObject], list[SetAside]]:
    """Localizers are read only by their own UID: a model shown one by accident would segment it all the same."""
    kept = []
    for image in images:
        if image.is_localizer and (wanted_uid is None or image.series_uid != wanted_uid):
            aside.append(SetAside(image.entry, "localizer", image.modality))
        else:
            kept.append(image)
    return kept, aside


def _assume_place(planes: list[Plane]) -> list[Plane]:
    """Planes of one object with what they lack filled in: an axial stack at the origin, in the order of its frames."""
    placed = []
    for k, plane in enumerate(planes):
        row = plane.row_direction or (1.0, 0.0, 0.0)
        column = plane.column_direction or (0.0, 1.0, 0.0)
        offset = np.cross(row, column) * k * (plane.thickness or 1.0)
        placed.append(
            replace(
                plane,
                position=plane.position or tuple(map(float, offset)),
                row_direction=row,
                column_direction=column,
                pixel_spacing=plane.pixel_spacing or (1.0, 1.0),
            )
        )
    return placed


def _listing_order(stack: Stack) -> tuple[int, str, str, float, str]:
    source = stack.first.source
    number = source.series_number if source.series_number is not None else 1 << 31
    return number, source.series_uid, stack.trait, -len(stack.planes), source.sop_instance_uid


def _info(stack: Stack, number: int) -> SeriesInfo:
    source = stack.first.source
    layout = lay_out(stack) if stack.problem is None else None
    spacing = stack.first.pixel_spacing or (1.0, 1.0)
    return SeriesInfo(
        number=number,
        uid=source.series_uid,
        format="dicom",
        modality=source.modality or None,
        description=", ".join(part for part in (source.description, stack.trait) if part),
        shape=(source.columns, source.rows, len(stack.planes)),
        spacing=(spacing[1], spacing[0], layout.step if layout else float("nan")),
        problem=stack.problem or (layout.problem if layout else None),
    )


def _slice_sources(stack: Stack) -> tuple[SliceSource, ...]:
    return tuple(
        SliceSource(p.source.entry.path, p.source.entry.member, p.source.sop_instance_uid, p.frame)
        for p in stack.planes
    )


def _content_hash(planes: Sequence[Plane]) -> str:
    """SHA-256 of the one file, or over the sorted digests of the files: neither names nor order change it."""
    digests = sorted({plane.source.sha256 for plane in planes})
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _header_notes(stack: Stack) -> list[str]:
    images = {plane.source for plane in stack.planes}
    notes = []
    odd = sum(image.oddities for image in images)
    if odd:
        notes.append(
            f"{odd} header value(s) do not keep to the DICOM standard; those used for place and pixels are sound."
        )
    if any(image.uid_from_meta for image in images):
        notes.append("Took class and instance UIDs from the file meta header: the data sets have none.")
    if stack.first.source.modality == "CT" and stack.first.units == "unknown":
        notes.append("This CT does not say how its values become HU; they are as stored.")
    if not all(plane.is_placed for image in images for plane in image.planes):
        notes.append("The image does not say how it lies in the patient; assumed an axial slice, so left may be right.")
    return notes


def _aside_notes(source: Source, study: _Study, stack: Stack, beside: Sequence[str]) -> list[str]:
    notes = []
    if study.aside:
        counts = Counter(item.reason for item in study.aside)
        notes.append("Set aside: " + ", ".join(f"{n} x {reason}" for reason, n in sorted(counts.items())) + ".")
    if len(study.stacks) > 1:
        notes.append(f"Series {study.stacks.index(stack) + 1} of {len(study.stacks)}.")
    if beside:
        shown = ", ".join(beside[:5]) + (", ..." if len(beside) > 5 else "")
        notes.append(f"Other images beside the DICOM files were not read: {shown}.")
    return notes


def _no_image(source: Source, aside: Sequence[SetAside]) -> str:
    """One sentence on why a source with DICOM files holds nothing to read."""
    counts = Counter(item.reason for item in aside)
    if len(aside) == 1:
        held = f"no image to read, only this: {aside[0].reason}"
    else:
        held = "no image to read, only " + ", ".join(f"{n} x {reason}" for reason, n in sorted(counts.items()))
    advice = {
        "localizer": "; name it by series= with its UID to read it all the same",
        _NO_PLACE: "; pass assume_geometry=True to read it as an axial slice whose left may be right",
    }
    hints = [advice[reason] for reason in counts if reason in advice]
    return f"{source.name!r} holds {held}{hints[0] if hints else ''}."
