"""Results for others to read: label maps as NIfTI and DICOM SEG, and the report. Research use only."""

from importlib import import_module
from typing import Any

_HOMES = {
    "ModelInfo": "dicom_seg",
    "write_dicom_seg": "dicom_seg",
    "read_label_names": "nifti_labels",
    "write_nifti_labels": "nifti_labels",
    "Finding": "report_data",
    "Picture": "report_data",
    "ReportData": "report_data",
    "StructurePictures": "report_data",
    "StructureResult": "report_data",
    "case_pictures": "report_pictures",
    "finding_picture": "report_pictures",
    "overview_pictures": "report_pictures",
    "structure_pictures": "report_pictures",
    "write_report": "report",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
