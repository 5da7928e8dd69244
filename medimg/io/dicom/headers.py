"""The DICOM headers behind a volume, for objects that refer to their source images (DICOM SEG, SR)."""

from typing import TYPE_CHECKING

from medimg.errors import ImageError
from medimg.io.dicom.objects import open_dataset, text
from medimg.io.quiet import quiet
from medimg.io.sources import Source
from medimg.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset


def source_datasets(volume: Volume) -> list["Dataset"]:
    """Read again the headers (no pixels) of the images a volume was read from.

    Returns:
        One data set for each slice along the last axis of the array *as read*; for an enhanced (multi-frame) object,
        that object's one data set. UIDs that the files lack are filled in so that other objects can refer to them:
        class and instance from the file meta header, study and series derived from the volume's content hash (the same
        each time).

    Raises:
        ImageError: the volume is not from DICOM, was interpolated, or its files are gone or changed.
    """
    provenance = volume.provenance
    if provenance.format != "dicom":
        raise ImageError(f"This volume was read from {provenance.format}, so there are no DICOM headers to refer to.")
    if not provenance.slices:
        raise ImageError("This volume was interpolated from an irregular series: its slices have no source images.")
    found: dict[tuple[str, str | None], Dataset] = {}
    sources: dict[str, Source] = {}
    try:
        for item in provenance.slices:
            key = (str(item.path), item.member)
            if key in found:
                continue
            source = sources.get(key[0]) or sources.setdefault(key[0], Source(item.path))
            entry = next((entry for entry in source.entries if entry.member == item.member), None)
            if entry is None:
                raise ImageError(f"{source.name!r} no longer holds the images this volume was read from.")
            with quiet():
                dataset = open_dataset(source.read(entry), entry.name, pixels=False)
            _fill_uids(dataset, provenance.sha256 or "")
            if dataset.SOPInstanceUID != item.sop_instance_uid:
                raise ImageError(f"{entry.name!r} is no longer the image this volume was read from.")
            found[key] = dataset
    finally:
        for source in sources.values():
            source.__exit__(None, None, None)
    return list(found.values())


def _fill_uids(dataset: "Dataset", content: str) -> None:
    from pydicom.uid import generate_uid

    meta = getattr(dataset, "file_meta", dataset)
    for keyword, fallback in (
        ("SOPClassUID", text(meta, "MediaStorageSOPClassUID")),
        ("SOPInstanceUID", text(meta, "MediaStorageSOPInstanceUID")),
        ("StudyInstanceUID", str(generate_uid(entropy_srcs=[content, "study"]))),
        ("SeriesInstanceUID", str(generate_uid(entropy_srcs=[content, "series"]))),
    ):
        if not text(dataset, keyword):
            setattr(dataset, keyword, fallback)
