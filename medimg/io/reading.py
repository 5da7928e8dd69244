"""One way in for every image: a NIfTI, NRRD or DICOM file, a folder, or a zip."""

import os
from collections.abc import Callable

from medimg.errors import ImageError
from medimg.io import nifti, nrrd
from medimg.io.series import SeriesInfo, choose
from medimg.io.sources import Entry, Source
from medimg.volume import Volume

_READERS: dict[str, Callable[..., Volume]] = {"nifti": nifti.read_nifti, "nrrd": nrrd.read_nrrd}
_INFOS: dict[str, Callable[[bytes, Entry, int], SeriesInfo]] = {"nifti": nifti.nifti_info, "nrrd": nrrd.nrrd_info}


def read(
    path: str | os.PathLike[str],
    series: int | str | None = None,
    *,
    index: int | None = None,
    resample_irregular: bool = False,
    assume_geometry: bool = False,
    units: str | None = None,
) -> Volume:
    """Read one volume from a NIfTI-1/2 file, an NRRD file, a DICOM file, a folder (all levels) or a zip.

    What a file is, its content says, not its name. Where DICOM images are found they are taken, and NIfTI or NRRD files
    beside them are named in the notes. Of DICOM, localizers, colour and non-image objects are set aside and named;
    slices are ordered by their position in the patient.

    Args:
        series: number in the list of `list_series`, a SeriesInstanceUID, or the name of a NIfTI or NRRD file. Needed
            only where several fit.
        index: which volume of a 4-D NIfTI or NRRD file, from 0.
        resample_irregular: interpolate a DICOM series with a tilted gantry, uneven spacing or missing slices onto a
            regular grid (linear). Without it such a series is refused.
        assume_geometry: read an image that does not say how it lies in the patient as if its axes were R, A, S (NIfTI,
            NRRD) or its rows and columns were those of an axial slice (DICOM). Left and right may then be wrong.
        units: what the values are ("HU", "label", ...), where the file does not say it.

    Returns:
        A `Volume`. `provenance.sha256` is that of the file, or, of several DICOM files, that over their sorted digests
        (so neither names nor order change it). `provenance.notes` say everything that was decided or repaired.

    Raises:
        ImageError: the image cannot be read, or is not safe to use as it stands.
        SeriesChoiceError: several series fit; the text and `.series` list them.
    """
    with Source(path) as source:
        found = _sort_by_kind(source)
        if found["dicom"]:
            if index is not None:
                raise ImageError("index= is for 4-D NIfTI and NRRD files; choose a DICOM volume with series=.")
            from medimg.io import dicom

            beside = [entry.name for entry in found["nifti"] + found["nrrd"]]
            return dicom.read_dicom(
                source, found["dicom"], series, resample_irregular, assume_geometry, units, beside=beside
            )
        entries = [(kind, entry) for kind in ("nifti", "nrrd") for entry in found[kind]]
        if not entries:
            raise ImageError(_nothing(source))
        if len(entries) > 1 or series is not None:
            kind, entry = entries[choose(_infos(source, entries), series, repr(source.name))]
        else:
            kind, entry = entries[0]
        volume = _READERS[kind](source.read(entry), entry, index, assume_geometry, units)
        return volume.with_notes(*source.notes) if source.notes else volume


def list_series(path: str | os.PathLike[str]) -> tuple[SeriesInfo, ...]:
    """List the series of a path, numbered as `read(path, series=...)` takes them; () where it holds no image.

    A series that `read` would refuse as it stands is in the list, with the reason in `problem`. Raises ImageError
    where the path itself cannot be read.
    """
    with Source(path) as source:
        found = _sort_by_kind(source)
        if found["dicom"]:
            from medimg.io import dicom

            return dicom.list_dicom(source, found["dicom"])
        entries = [(kind, entry) for kind in ("nifti", "nrrd") for entry in found[kind]]
        return _infos(source, entries)


def _infos(source: Source, entries: list[tuple[str, Entry]]) -> tuple[SeriesInfo, ...]:
    infos = []
    for number, (kind, entry) in enumerate(entries, start=1):
        try:
            infos.append(_INFOS[kind](source.read(entry), entry, number))
        except ImageError as error:  # one damaged file must not hide the others
            infos.append(SeriesInfo(number, entry.name, kind, None, entry.name, (), (), str(error)))
    return tuple(infos)


def _sort_by_kind(source: Source) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {"dicom": [], "nifti": [], "nrrd": []}
    for entry in source.entries:
        kind = _kind(source.head(entry), entry)
        if kind:
            found[kind].append(entry)
    return found


def _kind(head: bytes, entry: Entry) -> str | None:
    """What a file is, by its first bytes."""
    if head[:2] == b"\x1f\x8b":
        import zlib

        try:  # a gzip member's first kilobyte is enough for the header inside
            head = zlib.decompressobj(wbits=31).decompress(head, 1024)
        except zlib.error:
            head = b""
        if nifti.is_nifti(head) or entry.name.lower().endswith(".nii.gz"):
            return "nifti"
        return None
    if nifti.is_nifti(head):
        return "nifti"
    if nrrd.is_nrrd(head):
        return "nrrd"
    return "dicom" if _is_dicom(head) else None


def _is_dicom(head: bytes) -> bool:
    """The DICM mark, or (old files have none) a first element of group 0002 or 0008 that makes sense."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    little, big = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
    element = int.from_bytes(head[2:4], "little" if little in (2, 8) else "big")
    if not (little in (2, 8) or big in (2, 8)) or element > 0x2000:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    implicit_length = int.from_bytes(head[4:8], "little")
    return explicit or implicit_length < 256


def _nothing(source: Source) -> str:
    if source.is_single_file:
        entry = source.entries[0]
        if entry.size == 0:
            return f"{source.name!r} is empty."
        return f"{source.name!r} is no image that is read here: NIfTI (.nii, .nii.gz), NRRD, DICOM, or a zip of them."
    count = len(source.entries)
    return (
        f"{source.name!r} holds no image (looked at {count} file{'s' * (count != 1)}): NIfTI, NRRD or DICOM are read."
    )
