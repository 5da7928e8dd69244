"""Patches drawn from cases, each determined by (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from medimg.data.cases import IGNORE, Case
from medimg.transforms.augment import Augmentation, extract_patch


class Patch(TypedDict):
    """A training example: image (C, X, Y, Z) float32, label (X, Y, Z) int64."""

    image: np.ndarray
    label: np.ndarray


class PatchDataset:
    """Random patches of cases in memory, a map-style dataset of `length` patches an epoch.

    A patch depends on the seed, the epoch and its index, and on nothing else: not on the number of workers, on the
    order in which they are asked for, or on what was drawn before a resumed run began. Call `set_epoch` at the start
    of each epoch.

    A share `foreground` of the patches is centred, as far as the labelled box allows, on a voxel of a class chosen
    evenly (or by `class_weights`) among those in the case; the others lie anywhere in the box. Where the patch is
    larger than the box it is centred on it and reaches outside. Rotated, scaled and deformed patches are drawn from the
    whole case in one interpolation. Outside the volume the image is the case's `fill`, the label `outside_label`.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        size: Sequence[int],
        length: int,
        seed: int,
        foreground: float = 1 / 3,
        augmentation: Augmentation | None = None,
        case_weights: Sequence[float] | None = None,
        class_weights: Mapping[int, float] | None = None,
        outside_label: int = IGNORE,
    ) -> None:
        if not cases:
            raise ValueError("there is no case to draw patches from.")
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f"a patch size is three positive numbers of voxels, not {tuple(size)}.")
        if not 0 <= foreground <= 1:
            raise ValueError(f"foreground is a share between 0 and 1, not {foreground}.")
        if seed < 0:
            raise ValueError(f"the seed must not be negative, but is {seed}.")
        if case_weights is not None and len(case_weights) != len(cases):
            raise ValueError(f"{len(case_weights)} case weights were given for {len(cases)} cases.")
        self.cases = list(cases)
        self.size = tuple(int(n) for n in size)
        self.length = int(length)
        self.seed = int(seed)
        self.epoch = 0
        self.foreground = float(foreground)
        self.augmentation = augmentation
        self.case_share = _share(np.ones(len(cases)) if case_weights is None else np.asarray(case_weights, float))
        self.class_weights = class_weights
        self.outside_label = int(outside_label)

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's patches `__getitem__` gives."""
        self.epoch = int(epoch)

    def __getitem__(self, index: int) -> Patch:
        if not 0 <= index < self.length:
            raise IndexError(f"patch {index} of {self.length}")
        rng = patch_stream(self.seed, self.epoch, index)
        case = self.cases[int(np.searchsorted(self.case_share, rng.random(), side="right"))]
        start = self._start(case, rng)
        if self.augmentation is None:
            image, label = extract_patch(case.image, case.label, start, self.size, None, None, *self._outside(case))
        else:
            image, label = self.augmentation.extract(
                case.image, case.label, start, self.size, rng, case.spacing, *self._outside(case)
            )
        return {"image": image, "label": label.astype(np.int64)}

    def _outside(self, case: Case) -> tuple[float, int]:
        return case.fill, self.outside_label

    def _start(self, case: Case, rng: np.random.Generator) -> list[int]:
        """First voxel of the patch in the case."""
        # The draws are made in any case, so that what follows in the stream does not depend on what the case holds.
        on_class, which, where, *offset = rng.random(6)
        low, high = _start_range(case.box, self.size)
        if on_class < self.foreground and case.points:
            name = case.classes[int(np.searchsorted(self._class_share(case), which, side="right"))]
            points = case.points[name]
            centre = points[min(int(where * len(points)), len(points) - 1)]
            return [int(np.clip(c - n // 2, a, b)) for c, n, a, b in zip(centre, self.size, low, high)]
        return [min(a + int(u * (b - a + 1)), b) for u, a, b in zip(offset, low, high)]

    def _class_share(self, case: Case) -> np.ndarray:
        weights = [1.0 if self.class_weights is None else self.class_weights.get(c, 0.0) for c in case.classes]
        return _share(np.asarray(weights) if any(weights) else np.ones(len(weights)))


def patch_stream(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random stream of one patch: Philox (Salmon et al., SC 2011) keyed by seed, epoch and index."""
    key = np.array([seed % 2**64, (epoch % 2**32) << 32 | index % 2**32], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _start_range(box: tuple[tuple[int, ...], tuple[int, ...]], size: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Lowest and highest start along each axis: inside the box where the patch fits, else centred on the box."""
    low, high = [], []
    for begin, end, n in zip(*box, size):
        spare = end - begin - n
        low.append(begin if spare >= 0 else begin + spare // 2)
        high.append(begin + spare if spare >= 0 else begin + spare // 2)
    return low, high


def _share(weights: np.ndarray) -> np.ndarray:
    """Cumulative shares without the last, to be searched with a uniform number."""
    if np.any(weights < 0) or not weights.sum() > 0:
        raise ValueError(f"weights must not be negative nor all zero: {weights.tolist()}.")
    return (np.cumsum(weights) / weights.sum())[:-1]
