"""What is written on a picture: orientation letters, scale bar, crosshair."""

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_INK = (235, 238, 242)
_HALO = (0, 0, 0)
_CROSSHAIR = np.array([255, 214, 10], dtype=np.float32)


def annotate(
    picture: NDArray[np.uint8], letters: tuple[str, str, str, str] | None, pixel_mm: float | None
) -> NDArray[np.uint8]:
    """A copy with orientation letters (left, right, top, bottom edge) and a scale bar, each where it is not None."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = min(28, max(10, min(picture.shape[:2]) // 20, max(picture.shape[:2]) // 36))
    if letters is not None:
        _draw_letters(draw, image.size, letters, size)
    if pixel_mm is not None:
        _draw_scale_bar(draw, image.size, pixel_mm, max(9, round(size * 0.75)))
    return np.array(image)


def draw_crosshair(picture: NDArray[np.uint8], at: tuple[float, float]) -> None:
    """Thin lines through pixel position `at` (x, y), in place, with a gap that leaves the point itself visible."""
    height, width = picture.shape[:2]
    column, row = math.floor(at[0]), math.floor(at[1])
    gap = max(3, min(height, width) // 40)
    if 0 <= column < width:
        for part in (slice(0, max(0, row - gap)), slice(max(0, row + gap + 1), height)):
            picture[part, column] = 0.4 * picture[part, column] + 0.6 * _CROSSHAIR
    if 0 <= row < height:
        for part in (slice(0, max(0, column - gap)), slice(max(0, column + gap + 1), width)):
            picture[row, part] = 0.4 * picture[row, part] + 0.6 * _CROSSHAIR


def _draw_letters(draw: "ImageDraw", extent: tuple[int, int], letters: tuple[str, str, str, str], size: int) -> None:
    width, height = extent
    margin = max(3, size // 3)
    spots = (
        ((margin, height / 2), "lm"),
        ((width - margin, height / 2), "rm"),
        ((width / 2, margin), "mt"),
        ((width / 2, height - margin), "mb"),
    )
    for text, (spot, anchor) in zip(letters, spots):
        _write(draw, spot, text, anchor, size)


def _draw_scale_bar(draw: "ImageDraw", extent: tuple[int, int], pixel_mm: float, size: int) -> None:
    """A bar of a round length, at most a quarter of the width, at the lower left, with its length above it."""
    width, height = extent
    margin = max(3, size // 2)
    length = _round_length(width * pixel_mm / 4)
    pixels = max(1, round(length / pixel_mm))
    bottom = height - margin
    thickness = max(1, size // 8)
    draw.rectangle((margin - 1, bottom - thickness - 1, margin + pixels, bottom), fill=_HALO)
    draw.rectangle((margin, bottom - thickness, margin + pixels - 1, bottom - 1), fill=_INK)
    _write(draw, (margin, bottom - thickness - margin / 2), f"{length:g} mm", "lb", size)


def _round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `longest` (mm)."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def _write(draw: "ImageDraw", spot: tuple[float, float], text: str, anchor: str, size: int) -> None:
    draw.text(
        spot, text, fill=_INK, font=_font(size), anchor=anchor, stroke_width=max(1, size // 10), stroke_fill=_HALO
    )


@functools.cache
def _font(size: int) -> "FreeTypeFont | ImageFont":
    """Pillow's own scalable font: nothing is looked for on the system, so pictures are the same everywhere."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
