"""Volumes on grids of every orientation, and what tests ask of them."""

import itertools

import numpy as np

from medimg import Volume
from medimg.transforms import Grid, orient

CODES = ["".join(c) for p in itertools.permutations(["RL", "AP", "SI"]) for c in itertools.product(*p)]


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    total = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        total = total @ turn
    return total


def affine_of(spacing: tuple[float, ...], angles: tuple[float, ...] = (0, 0, 0), origin: tuple[float, ...] = (0, 0, 0)):
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def coded(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """Every voxel has a value of its own."""
    return Volume(np.arange(np.prod(shape), dtype=np.int32).reshape(shape), affine, "HU")


def positions(volume: Volume) -> dict[int, np.ndarray]:
    index = np.stack(np.indices(volume.shape), -1).reshape(-1, 3)
    return dict(zip(volume.array.ravel().tolist(), volume.voxel_to_world(index)))


def blob(shape: tuple[int, int, int], affine: np.ndarray, codes: str) -> tuple[Volume, Volume]:
    """An image and a label map (value 3) of an ellipsoid in the middle of a volume, in one of the 48 orientations."""
    grid = Grid(shape, affine)
    index = np.stack(np.indices(shape), -1)
    offset = (index - (np.array(shape) - 1) / 2) * grid.spacing
    radii = np.array(shape) * grid.spacing / 2 * np.array([0.55, 0.6, 0.65])
    inside = ((offset / radii) ** 2).sum(-1) < 1
    image = orient(Volume(np.where(inside, 60, -40).astype(np.int16), affine, "HU"), codes)
    return image, orient(Volume(inside.astype(np.uint8) * 3, affine, "label"), codes)


def centroid(label: Volume, value: int) -> np.ndarray:
    return label.voxel_to_world(np.argwhere(label.array == value)).mean(axis=0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero((a > 0) & (b > 0)) / (np.count_nonzero(a) + np.count_nonzero(b))
