"""What a report says: plain data, gathered by the caller, without a patient's name, number or birth date."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medimg.structures import Structure, structure


@dataclass(frozen=True)
class Picture:
    """A picture (H, W, 3) uint8, its caption, and the same in words for those who cannot see it."""

    pixels: NDArray[np.uint8]
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"A picture is (H, W, 3) uint8, not {self.pixels.shape} {self.pixels.dtype}.")
        if not self.alt:
            raise ValueError(f"The picture {self.caption!r} has no text in place of it (alt).")

    @property
    def is_strip(self) -> bool:
        """Whether it is more than twice as wide as it is high."""
        return self.pixels.shape[1] > 2 * self.pixels.shape[0]


@dataclass(frozen=True)
class StructureResult:
    """What was found of one structure.

    `agreement` and `floor` are Dice coefficients with the reference (0 to 1): of this result, and of the simplest
    method that it must beat. None, or NaN, where there is nothing to compare with. `others` holds the agreement of
    further results by the names in `ReportData.other_names`.
    """

    name: str
    volume_ml: float
    reference_ml: float | None = None
    agreement: float | None = None
    floor: float | None = None
    others: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (self.agreement, self.floor, *self.others.values()):
            if value is not None and not math.isnan(value) and not 0 <= value <= 1:
                raise ValueError(f"The agreement of {self.name} is {value}, outside 0 to 1.")
        if not (math.isfinite(self.volume_ml) and self.volume_ml >= 0):
            raise ValueError(f"The volume of {self.name} is {self.volume_ml} ml.")

    @property
    def structure(self) -> Structure:
        """Display name, colour and codes of the structure."""
        return structure(self.name)


@dataclass(frozen=True)
class StructurePictures:
    """Pictures of one structure, chosen because its agreement is the best, the median or the worst."""

    role: Literal["Best", "Median", "Worst", ""]
    result: StructureResult
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Finding:
    """A place to look at next: where it is and why it was chosen."""

    where: str
    why: str
    picture: Picture | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything on the page, in the order of the page.

    `facts` and `provenance` are tables of two columns, in their own order: facts about the input, and what made the
    result (hashes of inputs, weights and configuration, versions, device, seed, date). `warnings` are sentences such
    as "The input is unlike the training data: ...".
    """

    title: str
    summary: str
    facts: Mapping[str, str]
    structures: tuple[StructureResult, ...]
    provenance: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    overview: tuple[Picture, ...] = ()
    cases: tuple[StructurePictures, ...] = ()
    look_next: tuple[Finding, ...] = ()
    reference_name: str = "reference"
    """What the agreement is measured against, such as "TotalSegmentator's labels on 8 slices kept from training"."""
    floor_name: str = "best single threshold"
    other_names: tuple[str, ...] = ()

    @property
    def has_agreement(self) -> bool:
        """Whether any structure was compared with a reference."""
        return any(defined(result.agreement) for result in self.structures)

    @property
    def has_floor(self) -> bool:
        """Whether any structure has the agreement of the simplest method."""
        return any(defined(result.floor) for result in self.structures)

    @property
    def has_reference_volume(self) -> bool:
        """Whether the reference's volume is known of any structure."""
        return any(defined(result.reference_ml) for result in self.structures)


def defined(value: float | None) -> bool:
    """Whether there is a number: neither None nor NaN."""
    return value is not None and not math.isnan(value)


def best_median_worst(results: tuple[StructureResult, ...]) -> dict[Any, StructureResult]:
    """The structures to show: "Best", "Median" and "Worst" by agreement, each once, as far as there are so many."""
    ranked = sorted((r for r in results if defined(r.agreement)), key=lambda r: (-(r.agreement or 0.0), r.name))
    if not ranked:
        return {}
    chosen = {"Best": ranked[0]}
    if len(ranked) > 2:
        chosen["Median"] = ranked[len(ranked) // 2]
    if len(ranked) > 1:
        chosen["Worst"] = ranked[-1]
    return chosen
