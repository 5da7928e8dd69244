"""Reading and writing of images: NIfTI, NRRD, DICOM."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medimg.io.nifti import write_nifti as write_nifti
    from medimg.io.nrrd import write_nrrd as write_nrrd
    from medimg.io.reading import list_series as list_series
    from medimg.io.reading import read as read
    from medimg.io.series import SeriesInfo as SeriesInfo

_HOME = {
    "SeriesInfo": "medimg.io.series",
    "list_series": "medimg.io.reading",
    "read": "medimg.io.reading",
    "write_nifti": "medimg.io.nifti",
    "write_nrrd": "medimg.io.nrrd",
}
_MODULES = {"dicom", "nifti", "nrrd", "reading", "series", "sources"}

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = import_module(f"medimg.io.{name}")
    else:
        raise AttributeError(f"module 'medimg.io' has no attribute {name!r}")
    globals()[name] = value
    return value
