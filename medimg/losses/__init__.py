"""Losses for segmentation and for images: overlap, cross-entropy, focal, surface, centreline, structural similarity.

Logits are (N, C, *spatial). A target is class numbers (N, *spatial) or (N, 1, *spatial), or a membership per class
(N, C, *spatial). A `mask` (N, 1, *spatial), where a loss takes one, is 1 where a voxel counts.
"""

from typing import Any

_HOME = {
    "BoundaryLoss": "boundary",
    "CLDiceLoss": "centreline",
    "DeepSupervisionLoss": "supervision",
    "DiceCELoss": "compound",
    "DiceFocalLoss": "compound",
    "DiceLoss": "overlap",
    "FocalLoss": "focal",
    "GeneralizedDiceLoss": "overlap",
    "HausdorffDTLoss": "boundary",
    "SSIMLoss": "similarity",
    "TverskyLoss": "overlap",
    "class_numbers": "targets",
    "membership": "targets",
    "resized_target": "targets",
    "soft_skeleton": "centreline",
    "ssim": "similarity",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
