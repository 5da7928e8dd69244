"""Pictures of volumes as radiologists expect them: see `slice_image` and `three_planes`."""

from importlib import import_module
from typing import Any

_HOMES = {
    "PLANES": "layout",
    "PlaneLayout": "layout",
    "plane_layout": "layout",
    "slice_count": "layout",
    "voxel_at": "layout",
    "Style": "render",
    "slice_image": "render",
    "three_planes": "render",
    "CT_WINDOWS": "window",
    "apply_window": "window",
    "window_of": "window",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
