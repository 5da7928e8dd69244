"""Display windows: which intensities are black and which are white."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimg.volume import Volume

# (level, width) in HU.
CT_WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (60.0, 400.0),
    "soft tissue": (40.0, 350.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}

# Enough voxels for a percentile that does not visibly move.
_SAMPLE = 200_000


def window_of(volume: Volume, window: tuple[float, float] | str | None = None) -> tuple[float, float]:
    """(level, width) in the volume's own units.

    `window` is a pair, a name in `CT_WINDOWS`, or "percentile" (from the 1st to the 99th percentile of the voxels
    above the background, for MR and other images without units). None chooses "abdomen" for HU and else "percentile".
    """
    if window is None:
        window = "abdomen" if volume.units == "HU" else "percentile"
    if isinstance(window, str):
        if window == "percentile":
            return _percentile_window(volume.array)
        if window not in CT_WINDOWS:
            raise ValueError(f"No window is called {window!r}; choose 'percentile' or one of {', '.join(CT_WINDOWS)}.")
        return CT_WINDOWS[window]
    level, width = float(window[0]), float(window[1])
    if not width > 0:
        raise ValueError(f"A window has a width above zero, not {width:g}.")
    return level, width


def apply_window(values: NDArray[Any], level: float, width: float) -> NDArray[np.uint8]:
    """Values as grey levels 0..255, linear from `level - width / 2` to `level + width / 2`.

    This is DICOM's LINEAR_EXACT function (PS3.3 C.11.2.1.3.2), which also serves small floating-point ranges. NaN is
    black.
    """
    scaled = np.subtract(values, level - width / 2, dtype=np.float32)
    scaled *= 255.0 / width
    np.clip(scaled, 0.0, 255.0, out=scaled)
    scaled[np.isnan(scaled)] = 0.0
    scaled += 0.5
    return scaled.astype(np.uint8)


def _percentile_window(array: NDArray[Any]) -> tuple[float, float]:
    flat = array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    # The lowest value is the background of a masked image; where it is not, leaving it out changes nothing visible.
    foreground = sample[sample > sample.min()]
    if not foreground.size:
        return float(sample[0]), 1.0
    low, high = (float(value) for value in np.percentile(foreground, (1, 99)))
    return (low + high) / 2, max(high - low, float(np.finfo(np.float32).tiny))
