"""From an image to what the network sees: RAS+ axes, the training's spacing, clipped and standardised intensities.

Training and prediction use the same functions, so they cannot drift apart.
"""

from typing import TYPE_CHECKING, Any

from pipelines.card import Intensity

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume


BODY_ABOVE_HU = -300.0


def to_grid(volume: "Volume", spacing: tuple[float, float, float], label: bool = False) -> "Volume":
    """Orient to RAS+ and resample to `spacing` (mm)."""
    from medimg import transforms

    return transforms.resample(transforms.orient(volume, "RAS"), spacing, label=label)


def crop_to_body(volume: "Volume", least: tuple[int, int], grow: float = 0.0, fill: float = -1024.0) -> "Volume":
    """Cut or pad a CT in HU, in the axial plane, to a box around the middle of the body; all slices stay.

    The box is as large as the body, at least `least` voxels, and `grow` mm more on each side; `fill` stands where it
    reaches beyond the image. The body is the largest connected part above -300 HU after an erosion by 5 mm in the
    axial plane, which takes the table and blankets away. An image without such a part keeps its own middle.
    """
    import numpy as np
    from scipy import ndimage

    from medimg import transforms

    steps = max(1, round(5 / min(volume.spacing[:2])))
    above = ndimage.binary_erosion(volume.array > BODY_ABOVE_HU, np.ones((3, 3, 1), bool), iterations=steps)
    parts, count = ndimage.label(above)
    box = None
    if count:
        body = parts == 1 + int(np.argmax(np.bincount(parts.reshape(-1))[1:]))
        box = transforms.foreground_box(body, select=lambda mask: mask)
    first, end = box or ((0, 0, 0), volume.shape)
    start, stop = [0, 0, 0], list(volume.shape)
    for axis in (0, 1):
        size = max(end[axis] - first[axis], least[axis]) + 2 * round(grow / volume.spacing[axis])
        start[axis] = (first[axis] + end[axis] - size) // 2
        stop[axis] = start[axis] + size
    return transforms.crop_pad(volume, start, stop, fill)


def standardise(array: "np.ndarray[Any, Any]", intensity: Intensity) -> "np.ndarray[Any, Any]":
    """Clip to the window, subtract the mean and divide by the standard deviation of the training's foreground."""
    import numpy as np

    low, high = intensity.window
    clipped = np.clip(array, low, high).astype(np.float32)
    clipped -= np.float32(intensity.mean)
    clipped /= np.float32(intensity.std)
    return clipped


def darkest(intensity: Intensity) -> float:
    """The standardised value of the window's lower end: what stands where there is no image."""
    return (intensity.window[0] - intensity.mean) / intensity.std


def to_network(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """(..., X, Y, Z) -> (..., Z, Y, X) in C order: slices first, as networks for images have it (D, H, W)."""
    import numpy as np

    return np.ascontiguousarray(np.swapaxes(array, -1, -3))


def from_network(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """(..., Z, Y, X) -> (..., X, Y, Z), a view."""
    import numpy as np

    return np.swapaxes(array, -1, -3)
