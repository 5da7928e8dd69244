"""Random augmentation of training patches: image (C, X, Y, Z) float32 and label (X, Y, Z).

All chance comes from the NumPy Generator that is passed in: the same generator state gives the same bytes. Rotation,
scaling, elastic deformation and mirroring are composed into one map, so a patch is interpolated once at most; mirroring
alone only reverses axes. Rotations are made in mm, so that anisotropic voxels are not sheared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medimg.transforms.sampling import Taps, axis_taps, filter_axes, gather, gather_labels

Range = tuple[float, float]


@dataclass(frozen=True)
class SpatialAugmentation:
    """Random rotation, scaling, elastic deformation and mirroring.

    Attributes:
        rotation: largest angle about each array axis, in degrees.
        scale: range of the zoom factor; values below 1 enlarge the anatomy. Shrinking and enlarging are equally likely.
        scale_axes: the axes that are scaled.
        elastic_mm: standard deviation of the displacement of control points, in mm.
        elastic_spacing_mm: distance between control points (cubic B-spline), in mm.
        mirror_axes: the axes reversed, each with probability 1/2. Leave out left-right where sides must be told apart.
    """

    rotation: tuple[float, float, float] = (30.0, 30.0, 30.0)
    rotation_probability: float = 0.2
    scale: Range = (0.7, 1.4)
    scale_probability: float = 0.2
    scale_axes: tuple[int, ...] = (0, 1, 2)
    elastic_mm: float = 3.0
    elastic_spacing_mm: float = 32.0
    elastic_probability: float = 0.0
    mirror_axes: tuple[int, ...] = (0, 1, 2)

    def draw(
        self, rng: np.random.Generator, size: Sequence[int], spacing: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """A random 3x3 matrix on voxel offsets from the patch centre; a displacement (3, X, Y, Z) in voxels or None."""
        mm = np.asarray(spacing, dtype=np.float64)
        matrix = np.eye(3)
        if rng.random() < self.rotation_probability:
            angles = [np.deg2rad(rng.uniform(-a, a)) for a in self.rotation]
            matrix = np.diag(1 / mm) @ _rotation(angles) @ np.diag(mm)
        if rng.random() < self.scale_probability:
            factor = _two_sided(rng, self.scale)
            matrix = matrix @ np.diag([factor if axis in self.scale_axes else 1.0 for axis in range(3)])
        shift = None
        if rng.random() < self.elastic_probability:
            shift = _elastic(rng, size, mm, self.elastic_mm, self.elastic_spacing_mm)
        signs = np.array([-1.0 if axis in self.mirror_axes and rng.random() < 0.5 else 1.0 for axis in range(3)])
        return matrix * signs, shift


@dataclass(frozen=True)
class IntensityAugmentation:
    """Random changes of intensities that have been normalised to about mean 0, standard deviation 1.

    Ranges are drawn from uniformly. `blur` is the Gaussian's standard deviation in voxels; `low_resolution` the factor
    of a nearest-neighbour downsampling that linear upsampling undoes; `gamma` is applied to the range of the patch,
    keeps its mean and standard deviation, and in its inverted form works on the negative image.
    """

    noise: Range = (0.0, 0.1)
    noise_probability: float = 0.1
    blur: Range = (0.5, 1.0)
    blur_probability: float = 0.2
    blur_channel_probability: float = 0.5
    brightness: Range = (0.75, 1.25)
    brightness_probability: float = 0.15
    contrast: Range = (0.75, 1.25)
    contrast_probability: float = 0.15
    low_resolution: Range = (0.5, 1.0)
    low_resolution_probability: float = 0.25
    low_resolution_channel_probability: float = 0.5
    low_resolution_axes: tuple[int, ...] = (0, 1, 2)
    gamma: Range = (0.7, 1.5)
    gamma_inverted_probability: float = 0.1
    gamma_probability: float = 0.3

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of image (C, X, Y, Z) float32; the steps stand in nnU-Net's order."""
        image = np.array(image, dtype=np.float32, order="C")
        if rng.random() < self.noise_probability:
            image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*self.noise))
        if rng.random() < self.blur_probability:
            for channel in _channels(image, rng, self.blur_channel_probability):
                channel[...] = gaussian_blur(channel, rng.uniform(*self.blur))
        if rng.random() < self.brightness_probability:
            for channel in image:
                channel *= np.float32(rng.uniform(*self.brightness))
        if rng.random() < self.contrast_probability:
            for channel in image:
                _stretch(channel, rng.uniform(*self.contrast))
        if rng.random() < self.low_resolution_probability:
            for channel in _channels(image, rng, self.low_resolution_channel_probability):
                channel[...] = low_resolution(channel, rng.uniform(*self.low_resolution), self.low_resolution_axes)
        if rng.random() < self.gamma_inverted_probability:
            for channel in image:
                channel[...] = -change_gamma(-channel, _two_sided(rng, self.gamma))
        if rng.random() < self.gamma_probability:
            for channel in image:
                channel[...] = change_gamma(channel, _two_sided(rng, self.gamma))
        return image


@dataclass(frozen=True)
class Augmentation:
    """Spatial, then intensity augmentation; either may be None.

    >>> augment = nnunet((96, 96, 16))
    >>> image, label = augment(image, label, rng, spacing=(2, 2, 2))
    """

    spatial: SpatialAugmentation | None = field(default_factory=SpatialAugmentation)
    intensity: IntensityAugmentation | None = field(default_factory=IntensityAugmentation)

    def __call__(
        self,
        image: np.ndarray,
        label: np.ndarray,
        rng: np.random.Generator,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        fill: float = 0.0,
        outside_label: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment a patch (C, X, Y, Z) with labels (X, Y, Z) and voxels of `spacing` mm; the input is left alone.

        Where the map reaches outside the patch stand `fill` and `outside_label`. `medimg.data` draws from the whole
        case instead, and so has real voxels there.
        """
        size = label.shape
        return self.extract(image, label, [0, 0, 0], size, rng, spacing, fill, outside_label)

    def extract(
        self,
        image: np.ndarray,
        label: np.ndarray,
        start: Sequence[int],
        size: Sequence[int],
        rng: np.random.Generator,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        fill: float = 0.0,
        outside_label: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """An augmented patch of `size` voxels around the patch that begins at `start` in a whole case."""
        matrix, shift = np.eye(3), None
        if self.spatial is not None:
            matrix, shift = self.spatial.draw(rng, size, spacing)
        patch, target = extract_patch(image, label, start, size, matrix, shift, fill, outside_label)
        return (patch if self.intensity is None else self.intensity(patch, rng)), target


def nnunet(patch_size: Sequence[int], mirror_axes: Sequence[int] = (0, 1, 2)) -> Augmentation:
    """nnU-Net's default augmentation (Isensee et al., Nature Methods 18, 2021; probabilities of its version 2).

    Where the patch has over three times as many voxels along one axis as along its shortest, rotation is about the
    shortest axis only, by any angle, and that axis is neither scaled nor blurred by low resolution. nnU-Net calls the
    noise range (0, 0.1) a variance, but uses it as standard deviation; so do we.
    """
    shortest = int(np.argmin(patch_size))
    if max(patch_size) <= 3 * min(patch_size):
        return Augmentation(SpatialAugmentation(mirror_axes=tuple(mirror_axes)), IntensityAugmentation())
    rotation = tuple(180.0 if axis == shortest else 0.0 for axis in range(3))
    plane = tuple(axis for axis in range(3) if axis != shortest)
    spatial = SpatialAugmentation(
        rotation=(rotation[0], rotation[1], rotation[2]), scale_axes=plane, mirror_axes=tuple(mirror_axes)
    )
    return Augmentation(spatial, IntensityAugmentation(low_resolution_axes=plane))


def extract_patch(
    image: np.ndarray,
    label: np.ndarray,
    start: Sequence[int],
    size: Sequence[int],
    matrix: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    fill: float = 0.0,
    outside_label: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The patch of `size` voxels at `start` (either may reach outside) of image (C, X, Y, Z) and label (X, Y, Z).

    With a 3x3 `matrix`, patch voxel v shows the case at centre + matrix @ (v - middle) + shift[v], where `centre` is
    the patch's centre in the case: image trilinearly, label by votes. Identity and mirror matrices copy voxels.
    """
    signs = None if matrix is None else np.diagonal(matrix)
    if shift is None and (signs is None or np.array_equal(np.abs(matrix), np.eye(3))):  # type: ignore[arg-type]
        flips = tuple(axis for axis in range(3) if signs is not None and signs[axis] < 0)
        patch = np.stack([_window(channel, start, size, fill) for channel in image]).astype(np.float32, copy=False)
        target = _window(label, start, size, outside_label)
        if flips:
            patch = np.ascontiguousarray(np.flip(patch, tuple(1 + axis for axis in flips)))
            target = np.ascontiguousarray(np.flip(target, flips))
        return patch, target
    middle = (np.asarray(size) - 1) / 2
    rotation = np.eye(3) if matrix is None else np.asarray(matrix, dtype=np.float64)
    full = np.column_stack([rotation, np.asarray(start) + middle - rotation @ middle])
    moved = np.zeros((3, 0, 0, 0), dtype=np.float32) if shift is None else shift
    patch = gather(image, full, tuple(size), moved, fill)
    return patch, gather_labels(label, full, tuple(size), moved, outside_label)


def gaussian_blur(channel: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (X, Y, Z) by a Gaussian of `sigma` voxels, cut at 4 sigma and rescaled at the border."""
    return filter_axes(channel, [_gaussian_taps(n, sigma) for n in channel.shape])


def low_resolution(channel: np.ndarray, factor: float, axes: Sequence[int] = (0, 1, 2)) -> np.ndarray:
    """Simulate a scan with `factor` (0 to 1) times the voxels along each of `axes`: nearest down, linear up."""
    picks, taps = [], []
    for axis, n in enumerate(channel.shape):
        m = max(1, round(n * factor)) if axis in axes else n
        picks.append(np.minimum(((np.arange(m) + 0.5) * n / m).astype(np.int64), n - 1))
        taps.append(axis_taps(m, n, m / n, 0.5 * m / n - 0.5, "linear", antialias=False))
    return filter_axes(channel[np.ix_(*picks)], taps)


def change_gamma(channel: np.ndarray, gamma: float) -> np.ndarray:
    """Raise the values, scaled to 0..1, to a power; the mean and standard deviation of the channel are kept."""
    low = channel.min()
    span = channel.max() - low
    if span < 1e-7:
        return channel.copy()
    changed = np.power((channel - low) / span, np.float32(gamma), dtype=np.float32)
    mean, std = channel.mean(), channel.std()
    changed -= changed.mean()
    changed *= std / max(changed.std(), np.float32(1e-8))
    changed += mean
    return changed


def _channels(image: np.ndarray, rng: np.random.Generator, probability: float) -> list[np.ndarray]:
    return [channel for channel in image if rng.random() < probability]


def _stretch(channel: np.ndarray, factor: float) -> None:
    """Contrast about the mean, in place, kept within the patch's range."""
    low, high, mean = channel.min(), channel.max(), channel.mean()
    channel -= mean
    channel *= np.float32(factor)
    channel += mean
    np.clip(channel, low, high, out=channel)


def _two_sided(rng: np.random.Generator, span: Range) -> float:
    """A factor below or above 1 with equal probability, where the range allows both."""
    low, high = span
    if rng.random() < 0.5 and low < 1:
        return float(rng.uniform(low, min(high, 1.0)))
    return float(rng.uniform(max(low, 1.0), high)) if high > 1 else float(rng.uniform(low, high))


def _rotation(angles: Sequence[float]) -> np.ndarray:
    """Rotation about the axes 0, 1, 2 in turn, by radians."""
    total = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        total = total @ turn
    return total


def _elastic(
    rng: np.random.Generator, size: Sequence[int], mm: np.ndarray, magnitude: float, distance: float
) -> np.ndarray:
    """Displacement field (3, X, Y, Z) in voxels: random control points joined by cubic B-splines."""
    taps = []
    for n, edge in zip(size, mm):
        position = np.arange(n) * edge / distance  # in control-point steps; the spline reaches one step to either side
        first = np.floor(position).astype(np.int64)
        t = (position - first)[:, None]
        basis = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
        taps.append(Taps(0, first, np.ascontiguousarray(np.hstack(basis) / 6, dtype=np.float32)))
    nodes = [int(t.first[-1]) + 4 for t in taps]
    fields = [rng.standard_normal(nodes, dtype=np.float32) * np.float32(magnitude / edge) for edge in mm]
    return np.stack([filter_axes(control, taps) for control in fields])


def _gaussian_taps(size: int, sigma: float) -> Taps:
    radius = min(int(4 * sigma + 0.5), size - 1)
    count = min(2 * radius + 1, size)
    first = np.clip(np.arange(size) - radius, 0, size - count)
    distance = first[:, None] + np.arange(count) - np.arange(size)[:, None]
    weight = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) <= radius)
    weight /= weight.sum(axis=1, keepdims=True)
    return Taps(0, first, np.ascontiguousarray(weight, dtype=np.float32))


def _window(array: np.ndarray, start: Sequence[int], size: Sequence[int], fill: float) -> np.ndarray:
    """Copy of the window; `fill` where it reaches outside."""
    low = [max(0, -int(a)) for a in start]
    source = tuple(slice(max(int(a), 0), max(min(int(a) + n, m), 0)) for a, n, m in zip(start, size, array.shape))
    part = array[source]
    if part.shape == tuple(size):
        return np.array(part, order="C")
    result = np.full(tuple(size), fill, dtype=array.dtype)
    result[tuple(slice(a, a + n) for a, n in zip(low, part.shape))] = part
    return result
