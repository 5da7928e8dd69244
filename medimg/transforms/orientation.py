"""Axis order and direction: the 48 orientations, and flips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medimg.geometry import axcodes
from medimg.transforms.base import Applied, Transform
from medimg.transforms.grid import Grid, derive, parse_codes

if TYPE_CHECKING:
    from medimg.volume import Volume


def orient(volume: Volume, codes: str = "RAS") -> Volume:
    """Permute and flip the array axes so that they grow along `codes`, such as "RAS" or "LPS"; one of 48.

    No voxel is changed and each keeps its world position. The axes of an oblique volume stay oblique: each letter is
    the nearest direction.
    """
    wanted = parse_codes(codes)
    present = parse_codes(axcodes(volume.affine))
    if present == wanted:
        return volume
    axis_of = {world: axis for axis, (world, _) in enumerate(present)}
    order = [axis_of[world] for world, _ in wanted]
    flips = [axis for axis, (world, sign) in enumerate(wanted) if sign != present[axis_of[world]][1]]
    permutation = np.zeros((4, 4))
    permutation[3, 3] = 1
    for target, source in enumerate(order):
        permutation[source, target] = 1
    array, affine = _flip(volume.array.transpose(order), volume.affine @ permutation, flips)
    return derive(volume, np.ascontiguousarray(array), affine, note=f"oriented {axcodes(volume.affine)} to {codes}")


def flip(volume: Volume, axes: int | Sequence[int]) -> Volume:
    """Reverse array axes (0 to 2). The affine follows, so the anatomy stays where it is; nothing is mirrored."""
    chosen = [axes] if isinstance(axes, int) else list(axes)
    if any(axis not in (0, 1, 2) for axis in chosen) or len(set(chosen)) != len(chosen):
        raise ValueError(f"flip takes different axes out of 0, 1, 2, not {axes}.")
    array, affine = _flip(volume.array, volume.affine, chosen)
    return derive(volume, np.ascontiguousarray(array), affine, note=f"reversed axes {tuple(chosen)}")


class Orient(Transform):
    """`orient` as a transform."""

    def __init__(self, codes: str = "RAS") -> None:
        parse_codes(codes)
        self.codes = codes

    def apply(self, volume: Volume) -> Applied:
        return Applied(orient(volume, self.codes), Grid.of(volume))


class Flip(Transform):
    """`flip` as a transform."""

    def __init__(self, axes: int | Sequence[int]) -> None:
        self.axes = axes

    def apply(self, volume: Volume) -> Applied:
        return Applied(flip(volume, self.axes), Grid.of(volume))


def _flip(array: np.ndarray, affine: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    affine = np.array(affine, dtype=np.float64)
    for axis in axes:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return np.flip(array, tuple(axes)), affine
