"""Agreement of segmentations, detections and probabilities with a reference; every definition in one place.

See "Metrics and their definitions" in the documentation for the policy on empty masks.
"""

from typing import Any

_HOME = {
    "BlandAltman": "limits",
    "bland_altman": "limits",
    "Interval": "intervals",
    "bootstrap": "intervals",
    "Reliability": "calibration",
    "brier_score": "calibration",
    "expected_calibration_error": "calibration",
    "reliability": "calibration",
    "Confusion": "counting",
    "cohen_kappa": "counting",
    "confusion": "counting",
    "confusion_matrix": "counting",
    "Boxes": "detection",
    "mean_average_precision": "detection",
    "Matching": "lesions",
    "match_lesions": "lesions",
    "match_things": "lesions",
    "dice": "overlap",
    "iou": "overlap",
    "overlap_counts": "overlap",
    "volume_ml": "overlap",
    "volume_similarity": "overlap",
    "Curve": "ranking",
    "average_precision": "ranking",
    "froc_curve": "ranking",
    "froc_score": "ranking",
    "precision_recall_curve": "ranking",
    "roc_auc": "ranking",
    "roc_curve": "ranking",
    "SurfaceDistances": "surface",
    "assd": "surface",
    "hausdorff": "surface",
    "hd95": "surface",
    "nsd": "surface",
    "surface_distances": "surface",
    "Agreement": "table",
    "agreement": "table",
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
