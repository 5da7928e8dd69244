"""Voxel grids: shape and affine of a volume, and how the indices of one grid map to those of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from medimg.volume import Volume

# Two grids share a lattice, or axes, when no voxel centre is further off than this part of a voxel.
# Direction cosines written with six digits are off by 5e-4 voxels across 512.
TOLERANCE = 1e-2

_POSITIVE, _NEGATIVE = "RAS", "LPI"


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape (X, Y, Z) and 4x4 affine (voxel index -> RAS+ mm) without the voxels."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @classmethod
    def of(cls, volume: Volume | Grid) -> Grid:
        """The grid of a volume (or of a grid: itself)."""
        if isinstance(volume, Grid):
            return volume
        return cls(tuple(volume.array.shape), np.array(volume.affine, dtype=np.float64))

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edge lengths in mm, one per array axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def to_world(self, index: Any) -> np.ndarray:
        """RAS+ positions in mm of voxel indices (..., 3)."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def window(self, start: Any, stop: Any) -> Grid:
        """The grid of voxels start <= index < stop; both may reach beyond this grid."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        return Grid(tuple(int(b) - int(a) for a, b in zip(start, stop)), affine)


class AxisMap(NamedTuple):
    """Index map between two grids with parallel axes: source[source_axis[j]] = scale[j] * target[j] + offset[j]."""

    source_axis: tuple[int, int, int]
    scale: np.ndarray
    offset: np.ndarray

    def same_lattice(self, target_shape: tuple[int, ...]) -> bool:
        """Whether every target voxel centre falls on a source voxel centre."""
        drift = np.abs(np.abs(self.scale) - 1) * np.maximum(np.array(target_shape) - 1, 0)
        return bool(np.all(drift < TOLERANCE) and np.all(np.abs(self.offset - np.round(self.offset)) < TOLERANCE))


def index_map(target: Grid, source: Grid) -> np.ndarray:
    """4x4 matrix that takes voxel indices of `target` to (fractional) voxel indices of `source`."""
    try:
        return np.linalg.solve(source.affine, target.affine)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"the source affine has no inverse:\n{source.affine}\nGive the volume a valid affine."
        ) from None


def axis_map(target: Grid, source: Grid) -> AxisMap | None:
    """The index map as one scale and offset per axis, or None where the axes of the grids are not parallel."""
    matrix = index_map(target, source)
    extent = np.maximum(np.array(target.shape) - 1, 1)
    reach = np.abs(matrix[:3, :3]) * extent
    order = max(permutations(range(3)), key=lambda p: sum(reach[p[j], j] / reach[:, j].sum() for j in range(3)))
    rest = reach.copy()
    for j in range(3):
        rest[order[j], j] = 0.0
    if np.any(rest.sum(axis=1) > TOLERANCE):
        return None
    centre = (np.array(target.shape) - 1) / 2
    at_centre = matrix[:3, :3] @ centre + matrix[:3, 3]
    scale = np.array([matrix[order[j], j] for j in range(3)])
    offset = np.array([at_centre[order[j]] for j in range(3)]) - scale * centre
    return AxisMap((order[0], order[1], order[2]), scale, offset)


def parse_codes(codes: str) -> tuple[tuple[int, int], ...]:
    """World axis and sign of each letter of one of the 48 codes such as "RAS" or "PIR"."""
    parsed = []
    for letter in str(codes).upper():
        if letter in _POSITIVE:
            parsed.append((_POSITIVE.index(letter), 1))
        elif letter in _NEGATIVE:
            parsed.append((_NEGATIVE.index(letter), -1))
    if len(codes) != 3 or len(parsed) != 3 or {world for world, _ in parsed} != {0, 1, 2}:
        raise ValueError(
            f"{codes!r} is no axis code: give one letter each of R/L, A/P and S/I, such as 'RAS' or 'LPS'."
        )
    return tuple(parsed)


def derive(
    volume: Volume, array: np.ndarray, affine: np.ndarray | None = None, units: str | None = None, note: str = ""
) -> Volume:
    """A volume like `volume` with other voxels, grid or units; `note` is added to the history of its provenance."""
    result = replace(
        volume,
        array=array,
        affine=volume.affine if affine is None else affine,
        units=volume.units if units is None else units,
    )
    return result.with_history(note) if note else result
