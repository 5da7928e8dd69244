"""NRRD (.nrrd with its data inside), by pynrrd.

Space "left-posterior-superior" (what 3D Slicer and ITK write), "right-anterior-superior" and "left-anterior-superior"
become RAS+ mm. A file without a space is refused unless the caller assumes one: it does not say where left is.

Reference: https://teem.sourceforge.net/nrrd/format.html
"""

import bz2
import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medimg import geometry
from medimg.errors import ImageError
from medimg.io.quiet import quiet
from medimg.io.series import SeriesInfo
from medimg.io.sources import Entry, require_memory
from medimg.volume import Provenance, Volume

_SIGNS_TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_MM_PER_UNIT = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "micron": 0.001}
_TYPES = {
    np.int8: ("signed char", "int8", "int8_t"),
    np.uint8: ("uchar", "unsigned char", "uint8", "uint8_t"),
    np.int16: ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    np.uint16: ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    np.int32: ("int", "signed int", "int32", "int32_t"),
    np.uint32: ("uint", "unsigned int", "uint32", "uint32_t"),
    np.int64: ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    np.uint64: ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    np.float32: ("float",),
    np.float64: ("double",),
}
_DTYPE_OF = {name: np.dtype(kind) for kind, names in _TYPES.items() for name in names}


def is_nrrd(head: bytes) -> bool:
    """Whether a file's first bytes are those of an NRRD header."""
    return head.startswith(b"NRRD000")


def read_nrrd(
    data: bytes, entry: Entry, index: int | None = None, assume_geometry: bool = False, units: str | None = None
) -> Volume:
    """Read the bytes of an NRRD file. `index` picks one volume of a 4-D file. Raises ImageError."""
    notes: list[str] = []
    header, stream = _header(data, entry.name)
    affine, space_axes = _affine(header, entry.name, assume_geometry, notes)
    array = _values(header, stream, entry.name)
    array = _pick(array, space_axes, index, entry.name, notes)
    provenance = Provenance(path=entry.path, format="nrrd", sha256=hashlib.sha256(data).hexdigest(), notes=tuple(notes))
    label = any(key.startswith("Segment0_") for key in header)  # what 3D Slicer writes into .seg.nrrd
    return Volume(array, affine, units or ("label" if label else "unknown"), provenance)


def nrrd_info(data: bytes, entry: Entry, number: int) -> SeriesInfo:
    """What an NRRD file holds, from its header."""
    header, _ = _header(data, entry.name)
    shape = tuple(int(n) for n in header.get("sizes", ()))
    try:
        affine, _ = _affine(header, entry.name, False, [])
    except ImageError as error:
        return SeriesInfo(number, entry.name, "nrrd", None, entry.name, shape, (1.0, 1.0, 1.0), str(error))
    problem = f"4-D, {' x '.join(map(str, shape))}: choose a volume with index=" if len(shape) > 3 else None
    return SeriesInfo(number, entry.name, "nrrd", None, entry.name, shape, geometry.spacing(affine), problem)


def write_nrrd(volume: Volume, path: str | os.PathLike[str]) -> Path:
    """Write a volume as a gzipped .nrrd in LPS, as 3D Slicer does, and read it back before it gets its name.

    Raises ImageError where the suffix is another or what was written does not read back.
    """
    import nrrd

    target = Path(path)
    if target.suffix.lower() != ".nrrd":
        raise ImageError(f"An NRRD file is named .nrrd, not {target.suffix or 'without a suffix'!r}.")
    array = volume.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    affine = geometry.lps_to_ras(volume.affine)
    header = {
        "space": "left-posterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
        "space units": ["mm"] * 3,
    }
    buffer = io.BytesIO()
    with quiet():
        nrrd.write(buffer, np.asfortranarray(array), header, index_order="F", compression_level=6)
    written = _without_times(buffer.getvalue())
    back = read_nrrd(written, Entry(target, None, len(written)))
    if not np.array_equal(back.array, array, equal_nan=array.dtype.kind == "f") or not back.same_grid(volume, 1e-6):
        raise ImageError(f"{target.name!r} did not read back as written.")

    from framework.core.files import atomic_write

    with atomic_write(target) as file:
        file.write(written)
    return target


def _without_times(written: bytes) -> bytes:
    """The file without the date that pynrrd adds, so that the same volume gives the same bytes."""
    head, separator, body = written.partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if not line.startswith(b"# This NRRD file was generated by pynrrd")]
    return b"\n".join(line for line in lines if not line.startswith(b"# on ")) + separator + body


def _header(data: bytes, name: str) -> tuple[dict[str, Any], io.BytesIO]:
    import nrrd

    stream = io.BytesIO(data)
    with quiet():
        try:
            header = dict(nrrd.read_header(stream))
        except Exception as error:  # pynrrd raises many types on a damaged header; none of them is for the user
            raise ImageError(f"{name!r} has a damaged NRRD header ({type(error).__name__}).") from None
    # A detached header could name any file of this machine.
    if any(key in header for key in ("data file", "datafile")):
        raise ImageError(f"{name!r} keeps its data in another file; save it as one .nrrd file.")
    return header, stream


def _affine(header: dict[str, Any], name: str, assume: bool, notes: list[str]) -> tuple[geometry.Affine, list[int]]:
    """The affine to RAS mm and the three array axes that lie in space."""
    sizes = [int(n) for n in header.get("sizes", ())]
    space = str(header.get("space", "")).lower()
    rows = header.get("space directions")
    if space in _SIGNS_TO_RAS and rows is not None:
        steps = [_step(row) for row in rows]
        axes = [axis for axis, step in enumerate(steps) if step is not None]
        if len(axes) != 3 or len(steps) != len(sizes):
            raise ImageError(f"{name!r} has {len(axes)} axes in space; three are needed.")
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([np.asarray(steps[axis]) for axis in axes], axis=1)
        origin = header.get("space origin")
        if origin is None:
            notes.append("The file has no space origin; its first voxel was put at 0.")
        else:
            matrix[:3, 3] = np.asarray(origin, dtype=np.float64)
        units = [str(unit).strip('"') for unit in header.get("space units", ())]
        scale = np.array([_MM_PER_UNIT.get(unit, 1.0) for unit in units]) if len(units) == 3 else np.ones(3)
        matrix[:3] *= (scale * np.array(_SIGNS_TO_RAS[space]))[:, np.newaxis]
    elif assume:
        axes = [axis for axis, size in enumerate(sizes) if size > 1][:3] if len(sizes) > 3 else list(range(len(sizes)))
        steps_mm = [float(s) for s in header.get("spacings", [1.0] * len(sizes))]
        matrix = np.diag([*[steps_mm[a] if np.isfinite(steps_mm[a]) else 1.0 for a in axes][:3], 1.0])
        notes.append("The file does not say how it lies in the patient; assumed axes as stored, RAS, origin 0.")
    else:
        raise ImageError(
            f"{name!r} does not say how it lies in the patient (no anatomical space), so left and right are unknown; "
            "save it with a space, or pass assume_geometry=True to take its axes as RAS."
        )
    if len(axes) != 3:
        raise ImageError(f"{name!r} has {len(sizes)} dimensions; three are needed.")
    try:
        return geometry.as_affine(matrix), axes
    except ImageError as error:
        raise ImageError(f"{name!r}: {error}") from None


def _step(row: Any) -> npt.NDArray[np.float64] | None:
    """One space direction, or None for an axis that is not in space (pynrrd gives None or NaN)."""
    if row is None:
        return None
    step = np.asarray(row, dtype=np.float64)
    return step if np.isfinite(step).all() else None


def _values(header: dict[str, Any], stream: io.BytesIO, name: str) -> npt.NDArray[Any]:
    import nrrd

    sizes = [int(n) for n in header["sizes"]]
    if any(n < 1 for n in sizes):
        raise ImageError(f"{name!r} says its size is {tuple(sizes)}; the header is damaged.")
    dtype = _DTYPE_OF.get(str(header.get("type")))
    if dtype is None:
        raise ImageError(f"{name!r} holds values of type {str(header.get('type'))[:20]!r}; only numbers are read.")
    needed = dtype.itemsize * int(np.prod(sizes, dtype=object))
    require_memory(needed, name)
    with quiet():
        try:
            header, stream = _unpacked(header, stream, needed)
            array: npt.NDArray[Any] = nrrd.read_data(header, stream, index_order="F")
        except Exception as error:  # zlib, EOF, reshape, encoding: all mean the same to the user
            raise ImageError(f"{name!r} is incomplete or damaged ({type(error).__name__}).") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _unpacked(header: dict[str, Any], stream: io.BytesIO, needed: int) -> tuple[dict[str, Any], io.BytesIO]:
    """Compressed data unpacked as far as the image needs: pynrrd would unpack a bomb to its end."""
    encoding = str(header.get("encoding"))
    if encoding in ("gzip", "gz"):
        content = zlib.decompressobj(wbits=47).decompress(stream.read(), needed)
    elif encoding in ("bzip2", "bz2"):
        content = bz2.BZ2Decompressor().decompress(stream.read(), needed)
    else:
        return header, stream
    return {**header, "encoding": "raw"}, io.BytesIO(content)


def _pick(
    array: npt.NDArray[Any], space_axes: list[int], index: int | None, name: str, notes: list[str]
) -> npt.NDArray[Any]:
    other = [axis for axis in range(array.ndim) if axis not in space_axes]
    count = int(np.prod([array.shape[axis] for axis in other], dtype=int)) if other else 1
    if len(other) > 1:
        raise ImageError(f"{name!r} has {array.ndim} dimensions {array.shape}; split it into 3-D or 4-D files first.")
    if index is None and count > 1:
        raise ImageError(f"{name!r} holds {count} volumes, index 0 to {count - 1}; choose one, for instance index=0.")
    if index is not None and not 0 <= index < count:
        raise ImageError(f"{name!r} holds {count} volume(s), index 0 to {count - 1}; index={index} does not exist.")
    if not other:
        return array
    if count > 1:
        notes.append(f"Volume {index} of {count} of a 4-D file.")
    return np.take(array, index or 0, axis=other[0])
