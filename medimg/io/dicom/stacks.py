"""Planes -> stacks: which planes belong to one volume, in which order, without duplicates.

A series may hold several volumes: other orientations, matrices, echoes, time points. Planes are ordered by the
projection of their position on the normal of their orientation; file names and InstanceNumber play no part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from medimg.errors import ImageError
from medimg.io.dicom.objects import Plane

SAME_PLACE = 0.01
"""Planes closer than this (mm, along the normal) are at the same place: no scanner spaces slices by 10 micrometres."""

Digest = Callable[[Plane], str]


@dataclass(frozen=True)
class Stack:
    """Parallel planes of one series, ordered along their normal, each place once."""

    planes: tuple[Plane, ...]
    trait: str
    """What tells this stack from others of its series, such as "echo time 4.6 ms"; "" where it is alone."""
    notes: tuple[str, ...]
    problem: str | None = None
    """Why the planes do not make one stack: one sentence, or None."""

    @property
    def first(self) -> Plane:
        """The plane at the lowest position along the normal."""
        return self.planes[0]

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector (LPS) along which the planes are ordered."""
        return normal(self.first)

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """ImagePositionPatient of each plane, (N, 3), LPS mm."""
        return np.array([plane.position for plane in self.planes], dtype=np.float64)


def build_stacks(planes: Sequence[Plane], digest: Digest) -> list[Stack]:
    """Group placed planes into stacks. `digest` hashes a plane's pixels; it is called only where two may be copies."""
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if _belong_together(group[0], plane):
                group.append(plane)
                break
        else:
            groups.append([plane])
    stacks = [stack for group in groups for stack in _stacks_of(group, digest)]
    names = [_difference(stack, stacks) for stack in stacks]
    return [Stack(s.planes, name, s.notes, s.problem) for s, name in zip(stacks, names, strict=True)]


def normal(plane: Plane) -> npt.NDArray[np.float64]:
    """Row direction x column direction of a placed plane."""
    assert plane.row_direction is not None
    assert plane.column_direction is not None
    return np.cross(plane.row_direction, plane.column_direction)


def _belong_together(a: Plane, b: Plane) -> bool:
    """Same series, matrix, pixel size, orientation and kind of values."""
    x, y = a.source, b.source
    if (x.series_uid, x.modality, x.rows, x.columns, x.photometric, a.units) != (
        (y.series_uid, y.modality, y.rows, y.columns, y.photometric, b.units)
    ):
        return False
    return bool(
        np.allclose(a.pixel_spacing or (), b.pixel_spacing or (), rtol=1e-3, atol=0)
        and np.allclose(a.row_direction or (), b.row_direction or (), rtol=0, atol=1e-3)
        and np.allclose(a.column_direction or (), b.column_direction or (), rtol=0, atol=1e-3)
    )


def _stacks_of(group: list[Plane], digest: Digest) -> list[Stack]:
    ordered = _by_position(group)
    kept, dropped = _without_duplicates(ordered, digest)
    notes = (f"Dropped {dropped} duplicate slice(s): same place, same pixels.",) if dropped else ()
    if not _coincident(kept):
        return [Stack(tuple(kept), "", notes)]
    parts = _split(kept)
    if parts is None:
        return [Stack(tuple(kept), "", notes, _conflict(kept))]
    return [Stack(tuple(_by_position(part)), "", notes) for part in parts]


def _by_position(planes: Sequence[Plane]) -> list[Plane]:
    direction = normal(planes[0])
    places = np.array([plane.position for plane in planes]) @ direction
    # Ties (coincident planes) in a fixed order, whatever order the files came in.
    return [
        planes[i] for i in sorted(range(len(planes)), key=lambda i: (round(float(places[i]), 3), _identity(planes[i])))
    ]


def _identity(plane: Plane) -> tuple[str, int, str]:
    return plane.source.sop_instance_uid, plane.frame or 0, plane.source.sha256


def _coincident(ordered: Sequence[Plane]) -> list[list[Plane]]:
    """Runs of two or more planes at one place along the normal."""
    places = np.array([plane.position for plane in ordered]) @ normal(ordered[0])
    runs: list[list[Plane]] = [[ordered[0]]]
    for k in range(1, len(ordered)):
        if places[k] - places[k - 1] < SAME_PLACE:
            runs[-1].append(ordered[k])
        else:
            runs.append([ordered[k]])
    return [run for run in runs if len(run) > 1]


def _without_duplicates(ordered: list[Plane], digest: Digest) -> tuple[list[Plane], int]:
    """Drop copies: another object with the same place, the same traits and the same pixels.

    Planes with different traits are left for `_split`: two volumes may well share an empty slice, and hashing every
    pixel of a long time series would cost more than reading it.
    """
    dropped: set[int] = set()
    for run in _coincident(ordered):
        alike: dict[tuple[object, ...], list[Plane]] = {}
        for plane in run:
            place = np.round(np.asarray(plane.position) / SAME_PLACE).astype(int)
            alike.setdefault((*place, plane.traits), []).append(plane)
        for planes in alike.values():
            if len({plane.source.entry for plane in planes}) < len(planes) or len(planes) == 1:
                continue  # frames of one object are acquisitions of their own, never copies
            seen: set[str] = set()
            for plane in planes:
                content = digest(plane)
                if content in seen:
                    dropped.add(id(plane))
                seen.add(content)
    return [plane for plane in ordered if id(plane) not in dropped], len(dropped)


def _split(planes: list[Plane]) -> list[list[Plane]] | None:
    """Part coincident planes by what differs between them: one attribute, or two or three together."""
    most = max(len(run) for run in _coincident(planes))
    values = [dict(plane.traits) for plane in planes]
    direction = normal(planes[0])
    for plane, value in zip(planes, values, strict=True):
        position = np.asarray(plane.position)
        value["at {} mm in the plane"] = str(np.round(position - (position @ direction) * direction, 1))
    labels = list(dict.fromkeys(label for value in values for label in value))
    labels = [label for label in labels if len({value.get(label) for value in values}) > 1]
    for count in (1, 2, 3):
        for chosen in combinations(labels, count):
            parts: dict[tuple[str | None, ...], list[Plane]] = {}
            for plane, value in zip(planes, values, strict=True):
                parts.setdefault(tuple(value.get(label) for label in chosen), []).append(plane)
            # As many parts as planes at one place: an attribute that differs in every plane explains nothing.
            if len(parts) == most and not any(_coincident(_by_position(part)) for part in parts.values()):
                return list(parts.values())
    return None


def _conflict(planes: list[Plane]) -> str:
    runs = _coincident(planes)
    places = [float(np.asarray(run[0].position) @ normal(run[0])) for run in runs]
    count = "1 place" if len(places) == 1 else f"{len(places)} places"
    return (
        f"different pictures lie at the same place ({count}, {_list_mm(places)} along the normal) and nothing in the "
        "headers tells them apart; separate them into folders"
    )


def _difference(stack: Stack, stacks: list[Stack]) -> str:
    """What distinguishes a stack from the others of its series, in words."""
    others = [s for s in stacks if s is not stack and s.first.source.series_uid == stack.first.source.series_uid]
    if not others:
        return ""
    mine = dict(stack.first.traits)
    words = []
    for label, value in mine.items():
        uniform = all(dict(plane.traits).get(label) == value for plane in stack.planes)
        if uniform and any(dict(other.first.traits).get(label) != value for other in others):
            words.append(label.format(value.replace("\\", " ")))
    return ", ".join(words[:2])


def _list_mm(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.1f}" for value in values[:6])
    return f"{shown}{', ...' if len(values) > 6 else ''} mm"


def require_stack(stack: Stack) -> None:
    """Raise ImageError where the planes do not make one stack."""
    if stack.problem:
        raise ImageError(f"The series cannot be read: {stack.problem}.")
