"""Stored pixels -> values: decompression, sign and bits, rescale, padding, inverted grey scales."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medimg.errors import ImageError
from medimg.io.dicom.objects import ImageObject, Plane, integer, open_dataset
from medimg.io.quiet import quiet, silent_stderr
from medimg.io.sources import Source, require_memory

if TYPE_CHECKING:
    from pydicom import Dataset

AIR = -1024
"""HU that CT padding becomes: what scanners give outside the body."""


@dataclass(frozen=True)
class _Coding:
    """How an object's samples are stored."""

    bits: int
    signed: bool
    padding: tuple[int, int] | None
    """Lowest and highest stored value that means "no image here"."""
    lossy: bool

    @property
    def inverted_sum(self) -> int:
        """x + inverted x, for MONOCHROME1."""
        return -1 if self.signed else (1 << self.bits) - 1


def decode_planes(source: Source, planes: Sequence[Plane]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Values of the planes, (N, rows, columns), and notes.

    int16 where every slope and intercept is a whole number and the values fit, else float32. Raises ImageError.
    """
    first = planes[0].source
    require_memory(len(planes) * first.rows * first.columns * 4, source.name)
    stack = _Values(len(planes), first.rows, first.columns)
    places: dict[ImageObject, dict[int, int]] = {}
    for k, plane in enumerate(planes):
        places.setdefault(plane.source, {})[plane.frame or 0] = k
    notes: set[str] = set()
    is_hu = all(plane.units == "HU" for plane in planes)
    for image, slots in places.items():
        for frame, stored, coding in _frames(source, image, slots.keys(), notes):
            k = slots[frame]
            padded = _padded(stored, coding)
            if image.photometric == "MONOCHROME1" and planes[k].units == "unknown":
                stored = coding.inverted_sum - stored.astype(np.int64)
                notes.add("Inverted the grey scale (MONOCHROME1), so that larger values are brighter.")
            stack.put(k, stored, planes[k].slope, planes[k].intercept, padded)
            if coding.lossy:
                notes.add("The pixels were compressed with loss: values and padding are approximate.")
    filled, value = stack.fill_padding(AIR if is_hu else None)
    if filled:
        notes.add(f"Set {filled} padding voxels (no image data) to {value:g}.")
    return stack.values, tuple(sorted(notes))


def pixel_digest(source: Source, plane: Plane) -> str:
    """SHA-256 of a plane's stored pixels and rescale: equal for copies, whatever their compression."""
    for _, stored, _ in _frames(source, plane.source, [plane.frame or 0], set()):
        digest = hashlib.sha256(np.ascontiguousarray(stored, dtype=np.int64).tobytes())
        digest.update(f"{plane.slope}/{plane.intercept}".encode())
        return digest.hexdigest()
    raise ImageError(f"{plane.source.entry.name!r} has no frame {plane.frame}.")


class _Values:
    """A stack that stays int16 as long as every slice allows it."""

    def __init__(self, count: int, rows: int, columns: int) -> None:
        self.values: npt.NDArray[Any] = np.zeros((count, rows, columns), dtype=np.int16)
        self._padding: dict[int, npt.NDArray[np.bool_]] = {}
        self._padding_values: set[float] = set()

    def put(
        self, k: int, stored: npt.NDArray[Any], slope: float, intercept: float, padded: npt.NDArray[np.bool_] | None
    ) -> None:
        if padded is not None:
            self._padding[k] = padded
            self._padding_values |= {float(v) * slope + intercept for v in (stored[padded].min(), stored[padded].max())}
            # What padding would be rescaled to must not decide the type.
            stored = np.where(padded, stored[~padded].min() if not padded.all() else 0, stored)
        if self.values.dtype == np.int16 and slope.is_integer() and intercept.is_integer():
            ends = [float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept]
            if min(ends) >= -32768 and max(ends) <= 32767:
                self.values[k] = stored.astype(np.int64) * int(slope) + int(intercept)
                return
        if self.values.dtype == np.int16:
            self.values = self.values.astype(np.float32)
        self.values[k] = stored.astype(np.float64) * slope + intercept

    def fill_padding(self, value: float | None) -> tuple[int, float]:
        """Give padding one value: `value`, else 0, else (where the image has only negative values) its lowest.

        Returns the number of voxels that were given another value than their own, and that value.
        """
        if not self._padding:
            return 0, 0.0
        if value is None:
            lowest, highest = self._range()
            value = 0.0 if highest >= 0 else lowest
        for k, padded in self._padding.items():
            self.values[k][padded] = value
        count = sum(int(padded.sum()) for padded in self._padding.values())
        return (0 if self._padding_values == {value} else count), float(value)

    def _range(self) -> tuple[float, float]:
        parts = [
            self.values[k][~self._padding[k]] if k in self._padding else self.values[k] for k in range(len(self.values))
        ]
        parts = [part for part in parts if part.size]
        if not parts:
            return 0.0, 0.0
        return min(float(p.min()) for p in parts), max(float(p.max()) for p in parts)


def _padded(stored: npt.NDArray[Any], coding: _Coding) -> npt.NDArray[np.bool_] | None:
    if coding.padding is None:
        return None
    low, high = coding.padding
    padded: npt.NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return padded if padded.any() else None


def _frames(
    source: Source, image: ImageObject, wanted: Any, notes: set[str]
) -> Iterator[tuple[int, npt.NDArray[Any], _Coding]]:
    """The wanted frames of an object as stored (rows, columns), with how they were coded."""
    wanted = set(wanted)
    data = source.read(image.entry)
    name = image.entry.name
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise ImageError(f"{name!r} changed while it was read; wait until the transfer is complete.")
    with quiet() as heard:
        dataset = open_dataset(data, name, pixels=True)
        coding = _coding(dataset, name)
        frames = _decode(dataset, image, wanted)
    if any("pixel data" in text and "bytes" in text and "padding" in text for text in heard):
        notes.add("The pixel data are longer than the image; the surplus was ignored.")
    for frame, stored in frames:
        yield frame, stored, coding


def _coding(dataset: "Dataset", name: str) -> _Coding:
    allocated = integer(dataset, "BitsAllocated")
    stored = integer(dataset, "BitsStored") or allocated
    sign = integer(dataset, "PixelRepresentation")
    high = integer(dataset, "HighBit")
    if allocated not in (8, 16, 32) or stored is None or not 1 <= stored <= allocated or sign not in (0, 1):
        raise ImageError(f"{name!r} does not say how its pixels are stored (bits and sign); the header is damaged.")
    if high is not None and high != stored - 1:
        raise ImageError(
            f"{name!r} stores its pixels shifted (high bit {high} of {stored} bits), which is not read here."
        )
    if "ModalityLUTSequence" in dataset:
        raise ImageError(f"{name!r} turns pixels into values by a table (Modality LUT), which is not read here.")
    padding = _padding(dataset, allocated, bool(sign))
    lossy = str(dataset.get("LossyImageCompression", "")) == "01" or _is_lossy(dataset)
    return _Coding(stored, bool(sign), padding, lossy)


def _padding(dataset: "Dataset", allocated: int, signed: bool) -> tuple[int, int] | None:
    value = integer(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(v, allocated, signed) for v in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, allocated: int, signed: bool) -> int:
    """A padding value in the pixels' own sign: writers often get its VR wrong (63536 for -2000)."""
    span = 1 << allocated
    if signed and value >= span // 2:
        return value - span
    return value + span if not signed and value < 0 else value


def _is_lossy(dataset: "Dataset") -> bool:
    syntax = _transfer_syntax(dataset)
    return syntax in {
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
    }


def _transfer_syntax(dataset: "Dataset") -> str:
    return str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "") or "")


def _decode(dataset: "Dataset", image: ImageObject, wanted: set[int]) -> list[tuple[int, npt.NDArray[Any]]]:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    name = image.entry.name
    if "PixelData" not in dataset:
        held = "floating-point pixels, which are not read here" if "FloatPixelData" in dataset else "no pixels"
        raise ImageError(f"{name!r} holds {held}.")
    try:
        stream = bytes(dataset["PixelData"].value)
    except Exception:  # a damaged value representation shows only here
        raise ImageError(f"{name!r}: its pixel data are damaged; send or copy it again.") from None
    syntax = UID(_transfer_syntax(dataset) or _guess_syntax(dataset))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"{name!r} is coded as {syntax.name}, which is not read here; send it uncompressed.") from None
    if not decoder.is_available:
        raise ImageError(f"{name!r} is coded as {syntax.name}, and no decoder for it is installed.")
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        _require_plausible_stream(stream, image, syntax)
    try:
        plugin = _plugin(decoder)
        with silent_stderr() if plugin == "gdcm" else contextlib.nullcontext():
            found = _run(decoder, plugin, dataset, image.frames, wanted)
    except MemoryError:
        raise
    except Exception as error:  # every decoder has its own errors for a stream that is not what it should be
        raise _undecodable(dataset, image, syntax, error) from None
    for frame, stored in found:
        if stored.shape != (image.rows, image.columns):
            raise ImageError(
                f"{name!r}: frame {frame} is {stored.shape}, not {(image.rows, image.columns)} as its header says."
            )
    if len(found) != len(wanted):
        raise ImageError(f"{name!r} holds fewer frames than its header says; the file is incomplete.")
    return found


def _run(
    decoder: Any, plugin: str, dataset: "Dataset", frames: int, wanted: set[int]
) -> list[tuple[int, npt.NDArray[Any]]]:
    """Decode the wanted frames. Walking through all is linear; asking for each would search the stream anew."""
    options = {"raw": True, "decoding_plugin": plugin}
    if len(wanted) == 1 and frames > 1:
        (only,) = wanted
        return [(only, decoder.as_array(dataset, index=only, **options)[0])]
    found = []
    for frame, (array, _) in enumerate(decoder.iter_array(dataset, **options)):
        if frame in wanted:
            found.append((frame, np.array(array, dtype=array.dtype.newbyteorder("="))))
    return found


def _plugin(decoder: Any) -> str:
    """The decoder in our order of trust: GDCM last, it prints and is least strict."""
    order = ("pyjpegls", "pylibjpeg", "pydicom", "gdcm", "pillow")
    return next((plugin for plugin in order if plugin in decoder.available_plugins), "")


def _guess_syntax(dataset: "Dataset") -> str:
    """The transfer syntax of a file that does not state one: how its header could be parsed."""
    implicit, little = dataset.original_encoding
    if not little:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def _require_plausible_stream(stream: bytes, image: ImageObject, syntax: Any) -> None:
    """Refuse JPEG 2000 streams whose own size differs from the header's, before a decoder allocates for them."""
    if "JPEG 2000" not in syntax.name:
        return
    start = stream.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return
    x1, y1, x0, y0 = (int.from_bytes(stream[start + 8 + 4 * i : start + 12 + 4 * i], "big") for i in range(4))
    if (y1 - y0, x1 - x0) != (image.rows, image.columns):
        raise ImageError(
            f"{image.entry.name!r}: its JPEG 2000 stream says {y1 - y0} x {x1 - x0} pixels and its header "
            f"{image.rows} x {image.columns}; the file is damaged."
        )


def _undecodable(dataset: "Dataset", image: ImageObject, syntax: Any, error: Exception) -> ImageError:
    name = image.entry.name
    if not syntax.is_encapsulated:
        have = len(dataset.PixelData)
        need = image.rows * image.columns * image.frames * (integer(dataset, "BitsAllocated") or 16) // 8
        if have < need:
            return ImageError(f"{name!r} is incomplete: {have} of {need} bytes of pixels; copy or send it again.")
    if "12-bit" in str(error):
        return ImageError(
            f"{name!r} is compressed as 12-bit {syntax.name}, for which there is no free decoder; send it uncompressed."
        )
    return ImageError(f"{name!r}: its pixels ({syntax.name}) cannot be decoded; the file is damaged, send it again.")
