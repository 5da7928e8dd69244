"""NIfTI-1 and NIfTI-2, single files, plain or gzipped.

Which affine: the sform where its code is above 0, else the qform where its code is above 0, else none: such a file does
not say where left is, and is refused unless the caller takes the responsibility (`assume_geometry=True`, the standard's
"method 1": axes as stored, spacing from pixdim, origin 0). nibabel would silently flip x there, ITK would not.

Reference: https://nifti.nimh.nih.gov/nifti-1, header fields `sform_code`, `qform_code`, `scl_slope`, `xyzt_units`.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from medimg import geometry
from medimg.errors import ImageError
from medimg.io.quiet import quiet
from medimg.io.series import SeriesInfo
from medimg.io.sources import Entry, require_memory
from medimg.volume import Provenance, Volume

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Extension, Nifti1Image

SCANNER = 1
"""Form code of an affine in the scanner's own coordinates: what DICOM gives."""
ALIGNED = 2
"""Form code of an affine in the coordinates of another image."""

_UNITS = {1: ("metre", 1000.0), 3: ("micrometre", 0.001)}
"""Units of length other than mm, by code, and mm in each. Unknown (0) means mm in every program that writes it."""
_INTENT_LABEL = 1002
_HEAD = 1 << 16
_SURPLUS = 1 << 20
_LARGEST_DIM_OF_NIFTI1 = 32767


def is_nifti(head: bytes) -> bool:
    """Whether a file's first bytes (of the unpacked file) are those of a NIfTI header."""
    if len(head) < 348:
        return False
    if head[344:347] in (b"n+1", b"ni1"):
        return True
    return head[4:7] in (b"n+2", b"ni2")


def read_nifti(
    data: bytes, entry: Entry, index: int | None = None, assume_geometry: bool = False, units: str | None = None
) -> Volume:
    """Read the bytes of a NIfTI file. `index` picks one volume of a 4-D file. Raises ImageError."""
    with quiet():
        image = _open(data, entry.name)
        notes: list[str] = []
        affine = _affine(image, entry.name, assume_geometry, notes)
        picked = _volume_slicer(image.shape, index, entry.name, notes)
        array = _values(image, picked, entry.name)
        label = int(image.header["intent_code"]) == _INTENT_LABEL
    provenance = Provenance(
        path=entry.path, format="nifti", sha256=hashlib.sha256(data).hexdigest(), notes=tuple(notes)
    )
    return Volume(array, affine, units or ("label" if label else "unknown"), provenance)


def nifti_info(data: bytes, entry: Entry, number: int) -> SeriesInfo:
    """What a NIfTI file holds, from its header."""
    problem = None
    with quiet():
        image = _open(data, entry.name)
        shape = tuple(int(n) for n in image.shape)
        spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
        try:
            _affine(image, entry.name, False, [])
        except ImageError as error:
            problem = str(error)
    if len(shape) > 3 and int(np.prod(shape[3:])) > 1:
        problem = problem or f"4-D, {int(np.prod(shape[3:]))} volumes: choose one with index="
    return SeriesInfo(number, entry.name, "nifti", None, entry.name, shape, spacing, problem)


def write_nifti(
    volume: Volume,
    path: str | os.PathLike[str],
    dtype: npt.DTypeLike | None = None,
    description: str = "",
    code: int = SCANNER,
    extensions: Sequence[tuple[int, bytes]] = (),
) -> Path:
    """Write a volume as NIfTI (.nii or .nii.gz) and read it back before it gets its name.

    The affine goes into the sform, and into the qform too where a quaternion can express it (orthogonal axes); both get
    `code` (1: scanner coordinates, 2: aligned to another image), else the qform's code is 0. Label maps (units "label")
    are marked by intent code 1002 and stored in the smallest integer that holds them unless `dtype` says otherwise.
    A .gz carries no time and no name, so the same volume gives the same bytes. NIfTI-2 is used only where an
    axis is longer than 32767 voxels. `extensions` are header extensions: NIfTI's code for each, and its content.

    Raises ImageError where the suffix is another, `dtype` cannot hold the values, or what was written does not read
    back.
    """
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise ImageError(f"A NIfTI file is named .nii or .nii.gz, not {target.suffix or 'without a suffix'!r}.")
    if code not in (SCANNER, ALIGNED):
        raise ImageError("code must be 1 (scanner coordinates) or 2 (aligned to another image).")
    array = _storable(volume, dtype)
    image = _image(array, volume, description, code)
    for kind, content in extensions:
        image.header.extensions.append(_extension(kind, content))

    from framework.core.files import atomic_write

    with atomic_write(target, "w+b") as file:
        _encode(image, file, packed=target.name.lower().endswith(".gz"))
        file.flush()
        file.seek(0)
        _require_same(file.read(), array, volume, target)
    return target


def _extension(kind: int, content: bytes) -> "Nifti1Extension":
    from nibabel.nifti1 import Nifti1Extension

    return Nifti1Extension(kind, content)


def unpack(data: bytes, name: str, limit: int) -> bytes:
    """The first `limit` bytes of a gzipped file's content (fewer where it holds fewer), its checksum tested."""
    parts: list[bytes] = []
    size = 0
    try:
        while data and size < limit:  # bgzip and some scanners' exports write several members in a row
            unpacker = zlib.decompressobj(wbits=31)
            parts.append(unpacker.decompress(data, limit - size))
            size += len(parts[-1])
            if not unpacker.eof:
                # The checksum comes after the last byte. Some surplus before it is common; a bomb's is not worth it.
                unpacker.decompress(unpacker.unconsumed_tail, _SURPLUS)
                break
            data = unpacker.unused_data
    except zlib.error:
        raise ImageError(f"{name!r} is a damaged or incomplete .gz file; copy or download it again.") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _open(data: bytes, name: str) -> "Nifti1Image":
    """A nibabel image over the unpacked bytes, as many as its header asks for."""
    import nibabel as nib

    packed = data[:2] == b"\x1f\x8b"
    head = unpack(data[:_HEAD], name, 1024) if packed else data[:1024]
    if head[344:348] == b"ni1\0" or head[4:7] == b"ni2":
        raise ImageError(f"{name!r} is one half of an .hdr/.img pair; convert the pair to a single .nii file.")
    kind = nib.Nifti2Image if head[4:7] == b"n+2" else nib.Nifti1Image
    try:
        # Without the extensions, which may be longer than `head`.
        header = kind.header_class(head[: kind.header_class.sizeof_hdr], check=False)
        # check=False above: the header's own shape and type decide how much is read, before anything is allocated.
        shape, item = header.get_data_shape(), header.get_data_dtype().itemsize
        if len(shape) == 0 or any(n < 1 for n in shape):
            raise ImageError(f"{name!r} says its size is {tuple(map(int, shape))}; the header is damaged.")
        needed = int(header.get_data_offset()) + item * int(np.prod([int(n) for n in shape], dtype=object))
        require_memory(needed, name)
        content = unpack(data, name, needed) if packed else data
        if len(content) < needed:
            raise ImageError(f"{name!r} is incomplete: {len(content)} of {needed} bytes; copy or download it again.")
        return cast("Nifti1Image", kind.from_bytes(content))
    except ImageError:
        raise
    except Exception as error:  # nibabel raises many types on a damaged header; none of them is for the user
        raise ImageError(f"{name!r} has a damaged NIfTI header ({type(error).__name__}).") from None


def _affine(image: "Nifti1Image", name: str, assume: bool, notes: list[str]) -> geometry.Affine:
    header = image.header
    if int(header["sform_code"]) > 0:
        affine = np.asarray(header.get_sform(), dtype=np.float64)
    elif int(header["qform_code"]) > 0:
        try:
            affine = np.asarray(header.get_qform(), dtype=np.float64)
        except Exception:  # HeaderDataError, ValueError: a quaternion longer than 1
            raise ImageError(f"{name!r} has a qform that is no rotation; the header is damaged.") from None
    elif assume:
        steps = [abs(float(s)) or 1.0 for s in header["pixdim"][1:4]]
        affine = np.diag([*steps, 1.0])
        notes.append("The file does not say how it lies in the patient; assumed axes as stored, RAS, origin 0.")
    else:
        raise ImageError(
            f"{name!r} does not say how it lies in the patient (sform and qform code are 0), so left and right are "
            "unknown; convert it again from DICOM, or pass assume_geometry=True to take its axes as RAS."
        )
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        _compare_forms(header, affine, image.shape, notes)
    unit, scale = _UNITS.get(int(header["xyzt_units"]) & 7, ("mm", 1.0))
    if scale != 1.0:
        affine[:3] *= scale
        notes.append(f"The header's unit of length is the {unit}; converted to mm.")
    try:
        return geometry.as_affine(affine)
    except ImageError as error:
        raise ImageError(f"{name!r}: {error}") from None


def _compare_forms(header: Any, sform: npt.NDArray[np.float64], shape: tuple[int, ...], notes: list[str]) -> None:
    """Say so where sform and qform put the image in different places: other software may take the other one."""
    try:
        qform = np.asarray(header.get_qform(), dtype=np.float64)
    except Exception:  # an unusable qform beside a good sform does no harm
        notes.append("The qform is damaged; used the sform.")
        return
    size = (*shape, 1, 1)[:3]
    apart = geometry.largest_distance(qform, sform, size)
    if apart > 0.1:
        notes.append(f"sform and qform differ by up to {apart:.3g} mm; used the sform.")


def _volume_slicer(shape: tuple[int, ...], index: int | None, name: str, notes: list[str]) -> tuple[Any, ...]:
    """The slicer that takes one three-dimensional volume out of the file's array."""
    if len(shape) < 2 or (len(shape) == 2 and min(shape) == 1 and max(shape) > 1 and 1 in shape[:1]):
        raise ImageError(f"{name!r} holds a list of {int(np.prod(shape))} numbers, not an image.")
    further = [axis for axis in range(3, len(shape)) if shape[axis] > 1]
    if len(further) > 1:
        raise ImageError(f"{name!r} has {len(shape)} dimensions {tuple(shape)}; split it into 3-D or 4-D files first.")
    if not further:
        if index not in (None, 0):
            raise ImageError(f"{name!r} holds one volume; index={index} does not exist.")
        return (Ellipsis,) + (0,) * (len(shape) - 3)
    count = shape[further[0]]
    if index is None:
        raise ImageError(f"{name!r} holds {count} volumes, index 0 to {count - 1}; choose one, for instance index=0.")
    if not 0 <= index < count:
        raise ImageError(f"{name!r} holds {count} volumes, index 0 to {count - 1}; index={index} does not exist.")
    notes.append(f"Volume {index} of {count} of a 4-D file.")
    return (Ellipsis, *(index if axis == further[0] else 0 for axis in range(3, len(shape))))


def _values(image: "Nifti1Image", picked: tuple[Any, ...], name: str) -> npt.NDArray[Any]:
    """The stored numbers with slope and intercept, in the narrowest honest type."""
    proxy = cast("Any", image.dataobj)
    stored = proxy.get_unscaled()[picked]
    if stored.dtype.kind not in "biuf":
        kind = "colour" if stored.dtype.fields else str(stored.dtype)
        raise ImageError(f"{name!r} holds {kind} values; only real numbers are read.")
    stored = np.array(stored, dtype=_native(stored.dtype), order="F", copy=True)
    if stored.ndim == 2:
        stored = stored[:, :, np.newaxis]
    return scaled(stored, float(proxy.slope), float(proxy.inter))


def scaled(stored: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    """stored * slope + intercept: int16 where that is exact and fits, the stored type for slope 1 and intercept 0, else
    float32."""
    if slope == 1 and intercept == 0:
        return stored
    if stored.dtype.kind in "biu" and slope.is_integer() and intercept.is_integer():
        ends = [float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept]
        if min(ends) >= -32768 and max(ends) <= 32767:
            exact: npt.NDArray[Any] = (stored.astype(np.int64) * int(slope) + int(intercept)).astype(np.int16)
            return exact
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same type in this machine's byte order; extended precision becomes float64."""
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")


def _storable(volume: Volume, dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
    """The array in a type that NIfTI has and that changes no value."""
    array = volume.array
    if dtype is not None:
        converted = array.astype(dtype)
        if not np.array_equal(converted, array, equal_nan=array.dtype.kind == "f") and np.dtype(dtype).kind in "biu":
            raise ImageError(
                f"{np.dtype(dtype)} cannot hold the values of this volume ({array.min()} to {array.max()})."
            )
        array = converted
    elif volume.units == "label" and array.dtype.kind in "biu":
        array = array.astype(
            np.result_type(np.min_scalar_type(array.max()), np.min_scalar_type(min(int(array.min()), 0)))
        )
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return array


def _image(array: npt.NDArray[Any], volume: Volume, description: str, code: int) -> "Nifti1Image":
    import nibabel as nib

    kind = nib.Nifti2Image if max(array.shape) > _LARGEST_DIM_OF_NIFTI1 else nib.Nifti1Image
    with quiet():
        image = kind(array, None, dtype=array.dtype)
        header = image.header
        header.set_xyzt_units("mm")
        header["descrip"] = description.encode("ascii", "replace")[:79]
        if volume.units == "label":
            header["intent_code"] = _INTENT_LABEL
        image.set_sform(volume.affine, code, update_affine=True)
        # A quaternion cannot express shear, and a nearly right one would tell other software another place.
        if geometry.shear(volume.affine) < 1e-6:
            image.set_qform(volume.affine, code, update_affine=False)
        else:
            header["pixdim"][1:4] = geometry.spacing(volume.affine)
            header["qform_code"] = 0
        header.set_slope_inter(1, 0)
    return cast("Nifti1Image", image)


def _encode(image: "Nifti1Image", file: Any, packed: bool) -> None:
    if not packed:
        image.to_stream(file)
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as stream:
        image.to_stream(stream)


def _require_same(written: bytes, array: npt.NDArray[Any], volume: Volume, target: Path) -> None:
    """Raise ImageError unless the written bytes read back as the values and the grid that were asked for."""
    back = read_nifti(written, Entry(target, None, len(written)))
    same_values = back.array.dtype == array.dtype and np.array_equal(
        back.array, array, equal_nan=array.dtype.kind == "f"
    )
    # The header holds float32: places a metre away are good to 0.1 micrometre times the number of voxels.
    apart = geometry.largest_distance(back.affine, volume.affine, volume.shape)
    if not same_values or apart > 0.01:
        raise ImageError(
            f"{target.name!r} did not read back as written (values equal: {same_values}, {apart:.3g} mm off)."
        )
