"""Anatomical structures: display names, standard codes, colours and groups.

The table (`structures.json` beside this file) holds every structure that TotalSegmentator names in its tasks
"total" and "total_mr", and groups of them that a model may learn as one class ("vertebrae", "back_muscles").

Codes are SNOMED CT. `Structure.verified` says how each is known to be right:

* "pydicom": the code stands in pydicom's copy of the DICOM context groups; a test looks it up there.
* "snomed": two independent published code lists agree on it, with the same fully specified name.
* "private": no standard code is known for certain. A code of our own (scheme 99VOXHELIX) is used under the standard
  category; a private code is honest where a nearly right one would be wrong.

Colours are stable: a structure keeps its colour whatever else is shown. The classes of the demonstration stay apart
under simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009); right and left share a hue and differ
in lightness; neighbouring ribs and vertebrae alternate in lightness.
"""

import colorsys
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIVATE_SCHEME = "99VOXHELIX"


@dataclass(frozen=True)
class Code:
    """A coded concept: value, coding scheme designator and meaning, as DICOM's code sequence macro has them."""

    value: str
    scheme: str
    meaning: str


ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
_CATEGORIES = {
    "AnatomicalStructure": ANATOMICAL_STRUCTURE,
    "MorphologicallyAbnormalStructure": Code("49755003", "SCT", "Morphologically Abnormal Structure"),
}
_SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}
_REGIONS = {"Kidney": Code("64033007", "SCT", "Kidney"), "Back": Code("77568009", "SCT", "Back")}


@dataclass(frozen=True)
class Structure:
    """What is known of one structure.

    `type` and `category` are DICOM's segmented property type (CID 7151) and category (CID 7150); `side` modifies the
    type, or the `region` where there is one (a cyst is not left; the kidney it is in is).
    """

    name: str
    display: str
    category: Code
    type: Code
    side: Code | None
    region: Code | None
    colour: tuple[int, int, int]
    verified: str

    @property
    def hex_colour(self) -> str:
        """The colour as "#RRGGBB"."""
        return "#{:02X}{:02X}{:02X}".format(*self.colour)

    @property
    def cielab(self) -> tuple[int, int, int]:
        """The colour as DICOM's Recommended Display CIELab Value (0062,000D)."""
        return dicom_cielab(self.colour)


@functools.cache
def structure(name: str) -> Structure:
    """The structure called `name`.

    A name outside the table gets a private code and a colour derived from its own letters, so that any label of any
    model can be shown and exported, always in the same way.
    """
    record = _table()["structures"].get(name)
    return _listed(name, record) if record else _unlisted(name)


def known_structures() -> tuple[str, ...]:
    """Every name in the table, in the order of the table."""
    return tuple(_table()["structures"])


def groups() -> dict[str, tuple[str, ...]]:
    """Names of the groups and of the structures that each one joins. A group is itself a structure."""
    return {name: tuple(members) for name, members in _table()["groups"].items()}


def members(name: str) -> tuple[str, ...]:
    """The structures that `name` joins, or only `name` where it is not a group."""
    return tuple(_table()["groups"].get(name, (name,)))


def totalsegmentator_labels(task: str = "total") -> dict[int, str]:
    """Label numbers and names of a TotalSegmentator task: "total" (CT, version 2) or "total_mr"."""
    tables = _table()["label_tables"]
    if task not in tables:
        raise ValueError(f"No label table for task {task!r}; known are {', '.join(tables)}.")
    return dict(enumerate(tables[task], start=1))


def dicom_cielab(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """sRGB (0..255) as the three unsigned 16-bit numbers of PS3.3 C.10.7.1.1.

    CIELab is relative to the D50 white of the ICC profile connection space: L* of 0..100 and a*, b* of -128..127 are
    both spread over 0..65535. The matrix takes linear sRGB to XYZ under D50 (Bradford-adapted).
    """
    linear = [_linear(channel / 255) for channel in colour]
    x, y, z = (sum(weight * channel for weight, channel in zip(row, linear)) for row in _SRGB_TO_XYZ_D50)
    fx, fy, fz = _lab_curve(x / 0.9642), _lab_curve(y), _lab_curve(z / 0.8249)
    lightness, a, b = 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
    scaled = (lightness / 100 * 65535, (a + 128) / 255 * 65535, (b + 128) / 255 * 65535)
    return tuple(min(65535, max(0, round(value))) for value in scaled)  # type: ignore[return-value]


_SRGB_TO_XYZ_D50 = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _lab_curve(t: float) -> float:
    return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("structures.json").read_text(encoding="utf-8"))
    return table


def _listed(name: str, record: dict[str, Any]) -> Structure:
    return Structure(
        name=name,
        display=record["display"],
        category=_CATEGORIES[record["category"]],
        type=Code(*record["code"]),
        side=_SIDES[record["side"]] if "side" in record else None,
        region=_REGIONS[record["region"]] if "region" in record else None,
        colour=tuple(bytes.fromhex(record["colour"][1:])),  # type: ignore[arg-type]
        verified=record["verified"],
    )


def _unlisted(name: str) -> Structure:
    """Code and colour from a digest of the name. DICOM allows 16 characters for a code value and 64 for its meaning."""
    digest = hashlib.sha256(name.encode()).digest()
    display = name.replace("_", " ").strip().capitalize() or "Unnamed"
    red, green, blue = colorsys.hsv_to_rgb(digest[0] / 256, 0.45 + digest[1] / 1024, 0.8 + digest[2] / 1280)
    return Structure(
        name=name,
        display=display,
        category=ANATOMICAL_STRUCTURE,
        type=Code(f"X{digest.hex()[:12].upper()}", PRIVATE_SCHEME, display[:64]),
        side=None,
        region=None,
        colour=(round(255 * red), round(255 * green), round(255 * blue)),
        verified="private",
    )
