"""Is the input like the images the model was trained on? What differs is said in words, before any result."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.fingerprint import Appearance, Fingerprint, appearance

if TYPE_CHECKING:
    from medimg import Volume

UNLIKE = "the input is unlike the training data: "

# Mean distance between tissue percentiles. Parts of one scan are within 5 HU, contrast phases 30 apart.
LARGEST_SHIFT_HU = 15.0
LARGEST_SHIFT_STD = 0.5
# Inputs are resampled, so finer voxels do little harm; coarser ones lack what the model looks for.
COARSEST_RATIO, FINEST_RATIO = 2.0, 5.0
LARGEST_OBLIQUITY_DEGREES = 20.0
AIR_HU = -500.0


def check_input(volume: "Volume", fingerprint: Fingerprint) -> tuple[str, ...]:
    """Warnings on an RAS+ oriented input; none where it is like the training images.

    Looks at modality and units, the intensity distribution, voxel spacing, field of view and orientation.
    """
    here = appearance(volume)
    found = [sentence for check in _CHECKS if (sentence := check(here, fingerprint))]
    tilt = _obliquity(volume)
    if tilt > LARGEST_OBLIQUITY_DEGREES:
        found.append(f"its axes are {tilt:.0f} degrees off the patient's")
    return tuple(f"{UNLIKE}{sentence}" for sentence in found)


def _modality(here: Appearance, fingerprint: Fingerprint) -> str | None:
    known = sorted({image.modality for image in fingerprint.images if image.modality})
    if known and here.modality and here.modality not in known:
        return f"its modality is {here.modality}, the model knows {' and '.join(known)}"
    if any(image.units == "HU" for image in fingerprint.images) and here.units not in {"HU", "unknown"}:
        return f"its values are {here.units}, the model knows CT in HU"
    return None


def _range(here: Appearance, fingerprint: Fingerprint) -> str | None:
    """A CT without anything as dark as air is windowed, masked or not in HU."""
    if min(image.range[0] for image in fingerprint.images) < AIR_HU <= here.range[0]:
        return (
            f"its values run from {here.range[0]:.0f} to {here.range[1]:.0f} with nothing as dark as air, "
            "so they may not be HU"
        )
    return None


def _intensity(here: Appearance, fingerprint: Fingerprint) -> str | None:
    nearest = min(fingerprint.images, key=lambda image: _shift(here, image))
    shift, middle = _shift(here, nearest), len(here.tissue_percentiles) // 2
    hounsfield = nearest.units == "HU"
    if shift <= (LARGEST_SHIFT_HU if hounsfield else LARGEST_SHIFT_STD * fingerprint.foreground["std"]):
        return None
    ours, theirs = here.tissue_percentiles[middle], nearest.tissue_percentiles[middle]
    direction = "brighter" if ours > theirs else "darker"
    if hounsfield:
        return (
            f"its soft tissue is {direction}, {shift:.0f} HU on average (median {ours:.0f} HU, nearest training image "
            f"{theirs:.0f} HU), as in another contrast phase or on another scanner"
        )
    return f"its tissue is {direction} (median {ours:.3g}, nearest training image {theirs:.3g})"


def _spacing(here: Appearance, fingerprint: Fingerprint) -> str | None:
    for axis, name in enumerate(("left-right", "front-back", "head-foot")):
        known = [image.spacing[axis] for image in fingerprint.images]
        ours, low, high = here.spacing[axis], min(known), max(known)
        if ours > high * COARSEST_RATIO or ours < low / FINEST_RATIO:
            return f"its voxels measure {ours:.3g} mm {name}, training {_interval(low, high)} mm"
    return None


def _field_of_view(here: Appearance, fingerprint: Fingerprint) -> str | None:
    for axis, name in enumerate(("left-right", "front-back", "head-foot")):
        needed = min(fingerprint.patch_extent[axis], *(image.extent[axis] for image in fingerprint.images))
        if here.extent[axis] < 0.75 * needed:
            return f"it shows only {here.extent[axis]:.0f} mm {name}, the model looks at {needed:.0f} mm at a time"
    return None


def _shift(one: Appearance, other: Appearance) -> float:
    pairs = zip(one.tissue_percentiles, other.tissue_percentiles, strict=True)
    return sum(abs(a - b) for a, b in pairs) / len(one.tissue_percentiles)


def _interval(low: float, high: float) -> str:
    return f"{low:.3g}" if high - low < 0.005 else f"{low:.3g} to {high:.3g}"


def _obliquity(volume: "Volume") -> float:
    """Greatest angle in degrees between an index axis and its anatomical axis."""
    import numpy as np

    directions = np.asarray(volume.affine)[:3, :3] / np.asarray(volume.spacing)
    cosines = np.clip(np.abs(np.diag(directions)), 0, 1)
    return float(np.degrees(np.arccos(cosines.min())))


_CHECKS: tuple[Callable[[Appearance, Fingerprint], str | None], ...] = (
    _modality,
    _range,
    _intensity,
    _spacing,
    _field_of_view,
)
