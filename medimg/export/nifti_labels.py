"""Label maps as NIfTI files that carry the names and colours of their labels."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from medimg.export.labels import checked_labels
from medimg.io.nifti import write_nifti
from medimg.structures import structure
from medimg.volume import Volume

# NIfTI's code for "ignore this if you do not know it". TotalSegmentator writes its label tables under it too.
_EXTENSION_CODE = 0


def write_nifti_labels(labels: Volume, path: str | os.PathLike[str], names: Mapping[int, str]) -> Path:
    """Write a label map on its own grid to `path` (.nii or .nii.gz).

    Names and colours travel inside the file, as the label table of a Caret XML header extension: the form that
    TotalSegmentator reads and writes. `read_label_names` reads it back. `names` may name labels that do not occur; a
    name for the background 0 is not stored.

    The file takes its name only after it has been read back with the same voxels on the same grid. The same input
    gives the same bytes. Raises ImageError where the map does not hold labels, or one that has no name.
    """
    array, _ = checked_labels(labels, names)
    return write_nifti(
        replace(labels, array=array, units="label"),
        path,
        dtype=array.dtype,
        description="voxhelix label map, research use only",
        extensions=[(_EXTENSION_CODE, _label_table(names))],
    )


def read_label_names(path: str | os.PathLike[str]) -> dict[int, str]:
    """Names by label number from a NIfTI file's label table; empty where it has none."""
    import nibabel

    extensions = getattr(nibabel.load(path).header, "extensions", ())
    tables = (_parse_names(extension.content) for extension in extensions)
    return next((table for table in tables if table), {})


def _label_table(names: Mapping[int, str]) -> bytes:
    root = ElementTree.Element("CaretExtension")
    information = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    table = ElementTree.SubElement(information, "LabelTable")
    for number, name in sorted((number, name) for number, name in names.items() if number):
        red, green, blue = (f"{channel / 255:.4f}" for channel in structure(name).colour)
        entry = ElementTree.SubElement(table, "Label", Key=str(number), Red=red, Green=green, Blue=blue, Alpha="1")
        entry.text = name
    ElementTree.SubElement(information, "VolumeType").text = "Label"
    return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _parse_names(content: Any) -> dict[int, str]:
    # No document type: entities are the one way in which such a file could do harm.
    if not isinstance(content, bytes) or b"<CaretExtension" not in content or b"<!DOCTYPE" in content:
        return {}
    try:
        root = ElementTree.fromstring(content.strip(b"\0 \n"))
        return {int(entry.attrib["Key"]): (entry.text or "").strip() for entry in root.iter("Label")}
    except (ElementTree.ParseError, KeyError, ValueError):
        return {}
