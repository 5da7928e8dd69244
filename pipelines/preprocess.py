"""From an image to what the network sees: RAS+ axes, the training's spacing, clipped and standardised intensities.

Training and prediction use the same functions, so they cannot drift apart.
"""

from typing import TYPE_CHECKING, Any

from pipelines.card import Intensity

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume


def to_grid(volume: "Volume", spacing: tuple[float, float, float], label: bool = False) -> "Volume":
    """Orient to RAS+ and resample to `spacing` (mm)."""
    from medimg import transforms

    return transforms.resample(transforms.orient(volume, "RAS"), spacing, label=label)


def standardise(array: "np.ndarray[Any, Any]", intensity: Intensity) -> "np.ndarray[Any, Any]":
    """Clip to the window, subtract the mean and divide by the standard deviation of the training's foreground."""
    import numpy as np

    low, high = intensity.window
    clipped = np.clip(array, low, high).astype(np.float32)
    clipped -= np.float32(intensity.mean)
    clipped /= np.float32(intensity.std)
    return clipped


def to_network(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """(..., X, Y, Z) -> (..., Z, Y, X) in C order: slices first, as networks for images have it (D, H, W)."""
    import numpy as np

    return np.ascontiguousarray(np.swapaxes(array, -1, -3))


def from_network(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """(..., Z, Y, X) -> (..., X, Y, Z), a view."""
    import numpy as np

    return np.swapaxes(array, -1, -3)
