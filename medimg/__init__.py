"""Medical images: reading, transforms, networks, inference, measurement, export. Research use only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medimg.errors import ImageError as ImageError
    from medimg.errors import SeriesChoiceError as SeriesChoiceError
    from medimg.io.reading import list_series as list_series
    from medimg.io.reading import read as read
    from medimg.io.series import SeriesInfo as SeriesInfo
    from medimg.volume import Provenance as Provenance
    from medimg.volume import SliceSource as SliceSource
    from medimg.volume import Volume as Volume

_HOME = {
    "ImageError": "medimg.errors",
    "Provenance": "medimg.volume",
    "SeriesChoiceError": "medimg.errors",
    "SeriesInfo": "medimg.io.series",
    "SliceSource": "medimg.volume",
    "Volume": "medimg.volume",
    "list_series": "medimg.io.reading",
    "read": "medimg.io.reading",
}
_MODULES = {
    "data",
    "display",
    "errors",
    "export",
    "geometry",
    "inference",
    "io",
    "losses",
    "metrics",
    "networks",
    "postprocess",
    "structures",
    "transforms",
    "volume",
}

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = import_module(f"medimg.{name}")
    else:
        raise AttributeError(f"module 'medimg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
