"""DICOM series as volumes: objects -> stacks of planes -> layout -> pixels."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medimg.io.dicom.headers import source_datasets as source_datasets
    from medimg.io.dicom.reading import list_dicom as list_dicom
    from medimg.io.dicom.reading import read_dicom as read_dicom

_HOME = {
    "list_dicom": "medimg.io.dicom.reading",
    "read_dicom": "medimg.io.dicom.reading",
    "source_datasets": "medimg.io.dicom.headers",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'medimg.io.dicom' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
