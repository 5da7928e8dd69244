"""Slices as RGB pictures: window, isotropic pixels, label overlay, letters, crosshair and scale bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medimg.display.annotate import annotate, draw_crosshair
from medimg.display.layout import PLANES, Convention, Plane, PlaneLayout, plane_layout, voxel_at
from medimg.display.window import apply_window, window_of
from medimg.errors import ImageError
from medimg.structures import structure
from medimg.volume import Volume

Picture = NDArray[np.uint8]
Labels = Volume | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Style:
    """How a picture is drawn: the keyword arguments that every function here takes."""

    window: tuple[float, float] | str | None = None
    """(level, width), a preset's name, or None for the volume's own (see `window_of`)."""
    alpha: float = 0.35
    """Opacity of the overlay's fill, 0 to 1."""
    outline: bool = True
    """Whether the overlay's border is drawn too."""
    names: Mapping[int, str] | None = None
    """Names of the label numbers, which give their colours (`medimg.structures`)."""
    colours: Mapping[int, tuple[int, int, int]] | None = None
    """RGB by label number; goes before `names`."""
    convention: Convention = "radiological"
    """Or "neurological": the patient's right at the picture's right."""
    pixel_mm: float | None = None
    """Size of a picture's pixel; None takes the smallest voxel size of the plane."""
    field_mm: float | None = None
    """Show only a square of this side about the position; None shows everything."""
    letters: bool = True
    """Whether the orientation letters are drawn."""
    scale_bar: bool = True
    """Whether the scale bar is drawn."""


def slice_image(
    volume: Volume,
    plane: Plane,
    index: int | None = None,
    labels: Labels | None = None,
    *,
    border: Labels | None = None,
    about: Sequence[float] | None = None,
    crosshair: bool = False,
    **style: Any,
) -> Picture:
    """Slice `index` of `plane` as an RGB picture (H, W, 3) uint8 with square pixels.

    `index` counts voxels of the array axis that the plane holds fixed (`plane_layout(volume, plane).axis`), so it is
    the same number as in the array; None is the middle. `labels` is a label map on the same grid; `border` is another,
    of which only the outlines are drawn, in white, to compare with. `about` is the voxel that `field_mm` and the
    crosshair refer to; None is the centre. The keywords of `Style` say the rest.
    """
    settings = Style(**style)
    settings = replace(settings, window=window_of(volume, settings.window))
    return _render(volume, plane, index, (labels, border), about, crosshair, settings)


def three_planes(
    volume: Volume,
    at: Literal["centre"] | Sequence[float] = "centre",
    labels: Labels | None = None,
    *,
    border: Labels | None = None,
    space: Literal["voxel", "mm"] = "voxel",
    crosshair: bool = False,
    **style: Any,
) -> dict[Plane, Picture]:
    """Axial, coronal and sagittal pictures through one position, at one scale.

    `at` is "centre", three array indices, or RAS+ mm with `space="mm"`. See `slice_image` for the rest.
    """
    settings = Style(**style)
    if settings.pixel_mm is None:
        settings = replace(settings, pixel_mm=min(volume.spacing))
    voxel = voxel_at(volume, at, space)
    settings = replace(settings, window=window_of(volume, settings.window))
    overlays = (labels, border)
    return {
        plane: _render(volume, plane, voxel[plane_layout(volume, plane).axis], overlays, voxel, crosshair, settings)
        for plane in PLANES
    }


@dataclass(frozen=True)
class _Frame:
    """The part of a slice that is shown: left, top in mm from the slice's corner; width, height in pixels."""

    left: float
    top: float
    width: int
    height: int
    pixel_mm: float

    def columns(self, voxel_mm: float) -> NDArray[np.intp]:
        """The slice's column under each column of pixels."""
        return np.floor((self.left + (np.arange(self.width) + 0.5) * self.pixel_mm) / voxel_mm).astype(np.intp)

    def rows(self, voxel_mm: float) -> NDArray[np.intp]:
        """The slice's row under each row of pixels."""
        return np.floor((self.top + (np.arange(self.height) + 0.5) * self.pixel_mm) / voxel_mm).astype(np.intp)


def _render(
    volume: Volume,
    plane: Plane,
    index: int | None,
    overlays: tuple[Labels | None, Labels | None],
    about: Sequence[float] | None,
    crosshair: bool,
    settings: Style,
) -> Picture:
    layout = plane_layout(volume, plane, settings.convention)
    shape = volume.shape
    count = shape[layout.axis]
    index = count // 2 if index is None else index
    if not 0 <= index < count:
        raise ImageError(f"The {plane} plane has slices 0 to {count - 1}; there is no slice {index}.")
    voxel = [size // 2 for size in shape] if about is None else list(about)
    centre = layout.picture_mm(voxel, shape)
    frame = _frame(layout, shape, centre, settings)
    picture = _grey(layout.extract(volume.array, index), layout, frame, window_of(volume, settings.window))
    filled, outlined = (
        None if labels is None else _nearest(layout.extract(_label_array(volume, labels), index), layout, frame)
        for labels in overlays
    )
    if filled is not None:
        _paint(picture, filled, settings)
    if outlined is not None:
        picture[_border(outlined) & (outlined != 0)] = 255
    at_pixel = ((centre[0] - frame.left) / frame.pixel_mm, (centre[1] - frame.top) / frame.pixel_mm)
    if crosshair:
        draw_crosshair(picture, at_pixel)
    if settings.letters or settings.scale_bar:
        letters = layout.letters if settings.letters else None
        return annotate(picture, letters, frame.pixel_mm if settings.scale_bar else None)
    return picture


def _frame(layout: PlaneLayout, shape: Sequence[int], centre: tuple[float, float], settings: Style) -> _Frame:
    pixel_mm = settings.pixel_mm or min(layout.row_mm, layout.column_mm)
    if settings.field_mm:
        side = max(1, round(settings.field_mm / pixel_mm))
        return _Frame(centre[0] - side * pixel_mm / 2, centre[1] - side * pixel_mm / 2, side, side, pixel_mm)
    width = max(1, round(shape[layout.columns] * layout.column_mm / pixel_mm))
    height = max(1, round(shape[layout.rows] * layout.row_mm / pixel_mm))
    return _Frame(0.0, 0.0, width, height, pixel_mm)


def _grey(picture: NDArray[Any], layout: PlaneLayout, frame: _Frame, window: tuple[float, float]) -> NDArray[np.uint8]:
    """The windowed slice (H, W, 3) on the frame's pixels; black outside the slice."""
    from PIL import Image

    columns, rows = frame.columns(layout.column_mm), frame.rows(layout.row_mm)
    # Pad by repetition so that the frame lies inside what is resized, wherever it was placed.
    before = (max(0, -rows[0]) + 1, max(0, -columns[0]) + 1)
    after = (max(0, rows[-1] + 2 - picture.shape[0]), max(0, columns[-1] + 2 - picture.shape[1]))
    padded = np.pad(picture.astype(np.float32), list(zip(before, after)), mode="edge")
    left = frame.left / layout.column_mm + before[1]
    top = frame.top / layout.row_mm + before[0]
    right = left + frame.width * frame.pixel_mm / layout.column_mm
    bottom = top + frame.height * frame.pixel_mm / layout.row_mm
    # Interpolation would spread a NaN; black is the lower end of the window.
    np.nan_to_num(padded, copy=False, nan=window[0] - window[1] / 2)
    box = (left, top, min(right, padded.shape[1]), min(bottom, padded.shape[0]))
    resized = Image.fromarray(padded).resize((frame.width, frame.height), Image.Resampling.BILINEAR, box=box)
    grey = apply_window(np.asarray(resized), *window)
    grey[(rows < 0) | (rows >= picture.shape[0])] = 0
    grey[:, (columns < 0) | (columns >= picture.shape[1])] = 0
    return np.repeat(grey[:, :, None], 3, axis=2)


def _nearest(picture: NDArray[np.integer[Any]], layout: PlaneLayout, frame: _Frame) -> NDArray[np.integer[Any]]:
    """Labels of the voxels under the frame's pixels (H, W); 0 outside the slice."""
    columns, rows = frame.columns(layout.column_mm), frame.rows(layout.row_mm)
    inside_rows, inside_columns = rows.clip(0, picture.shape[0] - 1), columns.clip(0, picture.shape[1] - 1)
    chosen = picture[np.ix_(inside_rows, inside_columns)]
    chosen[rows != inside_rows] = 0
    chosen[:, columns != inside_columns] = 0
    return chosen


def _paint(picture: Picture, labels: NDArray[np.integer[Any]], settings: Style) -> None:
    """Lay fill and outline of each label over the picture, in place."""
    painted = labels != 0
    numbers = labels[painted]
    present, place = np.unique(numbers, return_inverse=True)
    palette = np.array([_colour(int(number), settings) for number in present], dtype=np.float32).reshape(-1, 3)
    colour = palette[place]
    alpha = np.full(len(colour), np.clip(settings.alpha, 0.0, 1.0), dtype=np.float32)
    if settings.outline:
        alpha[_border(labels)[painted]] = 1.0
    mixed = picture[painted] * (1 - alpha[:, None]) + colour * alpha[:, None]
    picture[painted] = (mixed + 0.5).astype(np.uint8)


def _border(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Pixels with a neighbour above, below, left or right of another label."""
    border = np.zeros(labels.shape, dtype=bool)
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= across
    border[:, :-1] |= across
    return border


def _colour(number: int, settings: Style) -> tuple[int, int, int]:
    if settings.colours and number in settings.colours:
        return settings.colours[number]
    name = settings.names.get(number) if settings.names else None
    return structure(name or f"label {number}").colour


def _label_array(volume: Volume, labels: Labels) -> NDArray[np.integer[Any]]:
    """The label map as an array, once it is known to lie on the volume's grid."""
    array = labels if isinstance(labels, np.ndarray) else labels.array
    if array.shape != volume.shape:
        raise ImageError(
            f"The label map has shape {array.shape} and the image {volume.shape}: a picture needs them on one "
            "grid. Resample the labels to the image first (medimg.transforms.resample_to(labels, image, label=True))."
        )
    if not isinstance(labels, np.ndarray) and not labels.same_grid(volume):
        raise ImageError(
            "The label map has the image's shape but another affine, so it shows another place. Resample it to the "
            "image first (medimg.transforms.resample_to(labels, image, label=True))."
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ImageError(f"A label map holds integers, not {array.dtype}.")
    return array
