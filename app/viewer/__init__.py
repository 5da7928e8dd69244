"""The three-plane viewer: `encode_view` packs a study, `show_viewer` puts it on the page."""

from importlib import import_module
from typing import Any

_NAMES = {
    "ShownStructure": "app.viewer.payload",
    "encode_view": "app.viewer.payload",
    "show_viewer": "app.viewer.component",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
