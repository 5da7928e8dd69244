"""Agreement between segmentations: overlap, surface distance, volume, and a trivial floor to compare with."""

from typing import Any

_HOME = {
    "Agreement": "table",
    "agreement": "table",
    "dice": "overlap",
    "iou": "overlap",
    "overlap_counts": "overlap",
    "volume_ml": "overlap",
    "SurfaceDistances": "surface",
    "assd": "surface",
    "hausdorff": "surface",
    "hd95": "surface",
    "nsd": "surface",
    "surface_distances": "surface",
    "BestThreshold": "threshold",
    "best_threshold": "threshold",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
