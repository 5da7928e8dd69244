"""Transforms of volumes: orientation, resampling, cropping, intensity; see `augment` for random ones on patches."""

from typing import Any

_HOME = {
    "Applied": "base",
    "Compose": "base",
    "Transform": "base",
    "CropForeground": "cropping",
    "CropPad": "cropping",
    "PadToMultiple": "cropping",
    "crop_foreground": "cropping",
    "crop_pad": "cropping",
    "crop_pad_to_size": "cropping",
    "foreground_box": "cropping",
    "pad_to_multiple": "cropping",
    "Grid": "grid",
    "ClipIntensity": "intensity",
    "ClipPercentiles": "intensity",
    "IntensityStatistics": "intensity",
    "NormalizeIntensity": "intensity",
    "Window": "intensity",
    "clip_intensity": "intensity",
    "intensity_statistics": "intensity",
    "normalize_intensity": "intensity",
    "window": "intensity",
    "Flip": "orientation",
    "Orient": "orientation",
    "flip": "orientation",
    "orient": "orientation",
    "label_from_probabilities": "probabilities",
    "Resample": "resampling",
    "ResampleTo": "resampling",
    "resample": "resampling",
    "resample_to": "resampling",
    "spaced_grid": "resampling",
}

__all__ = sorted([*_HOME, "augment"])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "augment":
        return import_module(f"{__name__}.augment")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
