"""A study and its label map as the one message that the viewer in the browser reads.

Layout: the bytes "VXV1", the length of the header (uint32, little endian), the header (JSON), the voxels (int16, little
endian, first axis fastest, RAS+ order), the labels (uint8, same order, deflated).
"""

import itertools
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimg import ImageError, Volume
from medimg.display import CT_WINDOWS, window_of
from medimg.transforms import orient

# 24 million voxels are 48 MB in the browser and on the wire; larger volumes are shown at a lower resolution.
MAX_VOXELS = 24_000_000


@dataclass(frozen=True)
class ShownStructure:
    """A label value with its name and colour ("#RRGGBB"); `millilitres` is None where it was not measured."""

    value: int
    display: str
    colour: str
    millilitres: float | None = None


def encode_view(
    image: Volume,
    view_id: str,
    labels: Volume | None = None,
    structures: Sequence[ShownStructure] = (),
    max_voxels: int = MAX_VOXELS,
) -> bytes:
    """Pack `image`, and `labels` on the same grid, for the viewer. `view_id` names the pair and must change with it.

    Raises `ImageError` when the label map does not lie on the grid of the image.
    """
    if labels is not None and not labels.same_grid(image):
        raise ImageError("The label map does not lie on the grid of this study, so it cannot be shown on it.")
    ras = orient(image, "RAS")
    factors = _reduction(ras.shape, ras.spacing, max_voxels)
    voxels = _block_means(ras.array, factors)
    affine = ras.affine @ _coarser(factors)
    stored, slope, intercept = _as_int16(voxels)
    header: dict[str, Any] = {
        "id": view_id,
        "shape": list(voxels.shape),
        "spacing": [step * factor for step, factor in zip(ras.spacing, factors, strict=True)],
        "affine": affine.tolist(),
        "units": "" if image.units == "unknown" else image.units,
        "slope": slope,
        "intercept": intercept,
        "focus": _focus(voxels, *window_of(image)),
        "window": list(window_of(image)),
        "presets": _presets(image),
        "grid": _describe_grid(image, factors),
        "structures": [],
        "cursor": None,
        "imageBytes": stored.nbytes,
        "labelBytes": 0,
    }
    packed = b""
    if labels is not None:
        shown = _block_centres(orient(labels, "RAS").array, factors)
        if shown.min() < 0 or shown.max() > 255:
            raise ImageError("The viewer shows label values from 0 to 255; this label map has others.")
        shown = shown.astype(np.uint8)
        centres = _centres(shown, [structure.value for structure in structures])
        header["structures"] = [_record(structure, centres) for structure in structures]
        header["cursor"] = _largest(shown, centres)
        packed = zlib.compress(shown.tobytes(order="F"), 1)
        header["labelBytes"] = len(packed)
    text = json.dumps(header).encode()
    return b"".join((b"VXV1", struct.pack("<I", len(text)), text, stored.tobytes(order="F"), packed))


def _record(structure: ShownStructure, centres: dict[int, list[int]]) -> dict[str, Any]:
    return {
        "value": structure.value,
        "display": structure.display,
        "colour": structure.colour,
        "millilitres": structure.millilitres,
        "centre": centres.get(structure.value),
    }


def _presets(image: Volume) -> list[dict[str, Any]]:
    """Named windows: the usual ones for CT, else ones drawn from the image itself."""
    if image.units == "HU":
        return [
            {"name": name.capitalize(), "level": level, "width": width} for name, (level, width) in CT_WINDOWS.items()
        ]
    level, width = window_of(image)
    low, high = float(np.nanmin(image.array)), float(np.nanmax(image.array))
    whole = {"name": "Full range", "level": (low + high) / 2, "width": max(high - low, 1e-6)}
    return [
        {"name": "Contrast", "level": level, "width": width},
        {"name": "Strong contrast", "level": level, "width": width / 2},
        whole,
    ]


def _focus(voxels: NDArray[Any], level: float, width: float) -> list[list[int]]:
    """First and last index along each axis of what is not nearly black in the usual window."""
    step = 4
    seen = voxels[::step, ::step] > level - 0.4 * width
    found = []
    for axis, n in enumerate(voxels.shape):
        counts = np.count_nonzero(seen, axis=tuple(other for other in range(3) if other != axis))
        places = np.flatnonzero(counts > 0.02 * counts.max()) if counts.any() else np.arange(len(counts))
        scale = step if axis < 2 else 1
        found.append([int(places[0]) * scale, min(n - 1, int(places[-1] + 1) * scale - 1)])
    return found


def _describe_grid(image: Volume, factors: tuple[int, int, int]) -> str:
    size = " \u00d7 ".join(str(n) for n in image.shape)
    spacing = " \u00d7 ".join(f"{step:.2f}" for step in image.spacing)
    shown = "" if factors == (1, 1, 1) else f"  (shown at 1/{max(factors)} of the resolution)"
    return f"{size} voxels of {spacing} mm{shown}"


def _reduction(shape: tuple[int, ...], spacing: tuple[float, ...], limit: int) -> tuple[int, int, int]:
    """Whole factors by which to coarsen each axis, the finest first, so that at most `limit` voxels are left."""
    factors = [1, 1, 1]
    while np.prod([n // factor for n, factor in zip(shape, factors, strict=True)], dtype=np.int64) > limit:
        axis = min(range(3), key=lambda axis: spacing[axis] * factors[axis])
        factors[axis] += 1
    return factors[0], factors[1], factors[2]


def _coarser(factors: tuple[int, int, int]) -> NDArray[np.float64]:
    """From the indices of blocks to those of voxels: the centre of block 0 is the mean of its voxels' centres."""
    matrix = np.diag([*map(float, factors), 1.0])
    matrix[:3, 3] = [(factor - 1) / 2 for factor in factors]
    return matrix


def _block_means(array: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[Any]:
    if factors == (1, 1, 1):
        return array
    total: NDArray[Any] | None = None
    for offset in itertools.product(*map(range, factors)):
        part = _strided(array, factors, offset)
        total = part.astype(np.float32) if total is None else np.add(total, part, out=total)
    assert total is not None
    total /= float(np.prod(factors))
    return total


def _block_centres(array: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[Any]:
    offset = (factors[0] // 2, factors[1] // 2, factors[2] // 2)
    return array if factors == (1, 1, 1) else _strided(array, factors, offset)


def _strided(array: NDArray[Any], factors: tuple[int, int, int], offset: tuple[int, ...]) -> NDArray[Any]:
    """One voxel of every whole block."""
    (a, b, c), (i, j, k) = factors, offset
    x, y, z = (n // factor for n, factor in zip(array.shape, factors, strict=True))
    return array[i : i + a * x : a, j : j + b * y : b, k : k + c * z : c]


def _as_int16(array: NDArray[Any]) -> tuple[NDArray[np.int16], float, float]:
    """Values as int16 with the slope and intercept that bring them back; CT numbers stay as they are."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 1:
        return array.astype("<i2"), 1.0, 0.0
    values = np.nan_to_num(array, posinf=0.0, neginf=0.0) if array.dtype.kind == "f" else array
    low, high = float(values.min()), float(values.max())
    if low >= -32768 and high <= 32767 and high - low >= 200:
        return np.rint(values).astype("<i2"), 1.0, 0.0
    slope = max((high - low) / 65000.0, float(np.finfo(np.float32).tiny))
    middle = (low + high) / 2
    stored: NDArray[np.int16] = np.rint((np.asarray(values, np.float64) - middle) / slope).astype("<i2")
    return stored, slope, middle


def _centres(labels: NDArray[np.uint8], values: Sequence[int]) -> dict[int, list[int]]:
    """A voxel of each structure: in the axial slice where it is largest, the one nearest to its middle."""
    areas = np.stack([np.bincount(labels[:, :, k].ravel(), minlength=256) for k in range(labels.shape[2])])
    centres = {}
    for value in values:
        if areas[:, value].any():
            largest = np.flatnonzero(areas[:, value] == areas[:, value].max())
            k = int(largest[len(largest) // 2])
            places = np.argwhere(labels[:, :, k] == value)
            distances = np.sum((places - places.mean(axis=0)) ** 2, axis=1)
            i, j = places[int(distances.argmin())]
            centres[value] = [int(i), int(j), k]
    return centres


def _largest(labels: NDArray[np.uint8], centres: dict[int, list[int]]) -> list[int] | None:
    if not centres:
        return None
    counts = np.bincount(labels.ravel(order="K"), minlength=256)
    return centres[max(centres, key=lambda value: int(counts[value]))]
