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
    """Show only what lies within a square of this side about the position; None shows everything."""
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
    """The part of a slice that is shown, in mm from the slice's corner, and its size in pixels."""

    left: float
    top: float
    width_mm: float
    height_mm: float
    pixel_mm: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels. They are whole, so pixels are square to within half a pixel in all."""
        return max(1, round(self.width_mm / self.pixel_mm)), max(1, round(self.height_mm / self.pixel_mm))

    def columns(self, voxel_mm: float) -> NDArray[np.intp]:
        """The slice's column under the centre of each column of pixels."""
        width = self.size[0]
        return np.floor((self.left + (np.arange(width) + 0.5) * (self.width_mm / width)) / voxel_mm).astype(np.intp)

    def rows(self, voxel_mm: float) -> NDArray[np.intp]:
        """The slice's row under the centre of each row of pixels."""
        height = self.size[1]
        return np.floor((self.top + (np.arange(height) + 0.5) * (self.height_mm / height)) / voxel_mm).astype(np.intp)

    def pixel(self, across_mm: float, down_mm: float) -> tuple[float, float]:
        """Where in the picture a point of the slice is."""
        width, height = self.size
        return (across_mm - self.left) * width / self.width_mm, (down_mm - self.top) * height / self.height_mm


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
    if crosshair:
        draw_crosshair(picture, frame.pixel(*centre))
    if settings.letters or settings.scale_bar:
        letters = layout.letters if settings.letters else None
        return annotate(picture, letters, frame.pixel_mm if settings.scale_bar else None)
    return picture


def _frame(layout: PlaneLayout, shape: Sequence[int], centre: tuple[float, float], settings: Style) -> _Frame:
    pixel_mm = settings.pixel_mm or min(layout.row_mm, layout.column_mm)
    left, width = _span(centre[0], shape[layout.columns] * layout.column_mm, settings.field_mm)
    top, height = _span(centre[1], shape[layout.rows] * layout.row_mm, settings.field_mm)
    return _Frame(left, top, width, height, pixel_mm)


def _span(centre: float, extent: float, field: float | None) -> tuple[float, float]:
    """Start and length (mm) of what is shown of a slice's side: the field, moved so that it stays inside."""
    if not field or field >= extent:
        return 0.0, extent
    return min(max(0.0, centre - field / 2), extent - field), field


def _grey(picture: NDArray[Any], layout: PlaneLayout, frame: _Frame, window: tuple[float, float]) -> NDArray[np.uint8]:
    """The windowed slice (H, W, 3) on the frame's pixels."""
    from PIL import Image

    box = (
        frame.left / layout.column_mm,
        frame.top / layout.row_mm,
        min((frame.left + frame.width_mm) / layout.column_mm, picture.shape[1]),
        min((frame.top + frame.height_mm) / layout.row_mm, picture.shape[0]),
    )
    values = picture.astype(np.float32)
    # Interpolation would spread a NaN; black is the lower end of the window.
    values[np.isnan(values)] = window[0] - window[1] / 2
    resized = Image.fromarray(values).resize(frame.size, Image.Resampling.BILINEAR, box=box)
    return np.repeat(apply_window(np.asarray(resized), *window)[:, :, None], 3, axis=2)


def _nearest(picture: NDArray[np.integer[Any]], layout: PlaneLayout, frame: _Frame) -> NDArray[np.integer[Any]]:
    """Labels of the voxels under the frame's pixels (H, W)."""
    return picture[np.ix_(frame.rows(layout.row_mm), frame.columns(layout.column_mm))]


def _paint(picture: Picture, labels: NDArray[np.integer[Any]], settings: Style) -> None:
    """Lay fill and outline of each label over the picture, in place."""
    painted = labels != 0
    numbers = labels[painted]
    present, place = np.unique(numbers, return_inverse=True)
    colours = np.array([_colour(int(number), settings) for number in present], dtype=np.uint16).reshape(-1, 3)
    opacity = np.full(numbers.shape, round(256 * min(max(settings.alpha, 0.0), 1.0)), dtype=np.uint16)
    if settings.outline:
        opacity[_border(labels)[painted]] = 256
    # Grey in, so one channel is enough; 16 bits hold 255 * 256.
    grey = picture[..., 0][painted].astype(np.uint16) * (256 - opacity)
    picture[painted] = (grey[:, None] + colours[place] * opacity[:, None] + 128) >> 8


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
