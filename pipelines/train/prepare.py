"""From loaded cases to what the network trains on: spacing and intensities fixed, patches that can be drawn."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.card import Intensity, Source
from pipelines.config import Config
from pipelines.errors import InputError
from pipelines.fingerprint import Fingerprint, appearance, foreground_statistics
from pipelines.preprocess import crop_to_body, darkest, standardise, to_grid
from pipelines.train.cases import LoadedCase

if TYPE_CHECKING:
    from medimg.data.patches import Patch


@dataclass(frozen=True)
class Prepared:
    """Training data at the network's spacing, with all that prediction must repeat."""

    patches: "PhasedPatches"
    spacing: tuple[float, float, float]
    intensity: Intensity
    fingerprint: Fingerprint
    sources: tuple[Source, ...]


def prepare(config: Config, cases: Sequence[LoadedCase]) -> Prepared:
    """Fix spacing and intensities from the training images (or the configuration), resample, standardise."""
    from medimg import transforms
    from medimg.data import make_case

    spacing = config.preprocessing.spacing or _median_spacing(cases)
    intensity, foreground = _intensity(config, cases)
    ready = []
    for case in cases:
        image = to_grid(case.image, spacing)
        label = to_grid(case.label, spacing, label=True)
        if config.preprocessing.body_jitter is not None:
            if case.image.units != "HU":
                raise InputError(
                    f"{case.name}: preprocessing.body_jitter is for CT in HU; this image is {case.image.units}"
                )
            least = config.training.patch_size[:2]
            image = crop_to_body(image, least, config.preprocessing.body_jitter, intensity.window[0])
            label = transforms.resample_to(label, image, label=True)
        image = image.with_array(standardise(image.array, intensity))
        ready.append(make_case(image, label, group=case.name, fill=darkest(intensity)))
    training = config.training
    patches = PhasedPatches(config, ready, cases)
    extent = [size * step for size, step in zip(training.patch_size, spacing, strict=True)]
    fingerprint = Fingerprint(
        images=tuple(appearance(case.image) for case in cases),
        foreground=foreground,
        patch_extent=(extent[0], extent[1], extent[2]),
    )
    return Prepared(patches, spacing, intensity, fingerprint, tuple(_source(config, case) for case in cases))


class PhasedPatches:
    """The patches of a whole run by number, 0 to iterations x batch size; cases join when their time has come.

    A patch depends on the seed and its number alone, so a resumed run draws the same.
    """

    def __init__(self, config: Config, ready: Sequence[Any], cases: Sequence[LoadedCase]) -> None:
        from medimg.data import PatchDataset

        training = config.training
        self._length = training.iterations * training.batch_size
        moments = sorted({case.joins_at for case in cases})
        self._begins = [round(moment * training.iterations) * training.batch_size for moment in moments]
        self._phases = [
            PatchDataset(
                ready,
                training.patch_size,
                length=self._length,
                seed=training.seed,
                foreground=training.foreground_fraction,
                augmentation=_augmentation(config),
                case_weights=[case.weight if case.joins_at <= moment else 0.0 for case in cases],
            )
            for moment in moments
        ]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> "Patch":
        return self._phases[bisect.bisect_right(self._begins, index) - 1][index]


def _median_spacing(cases: Sequence[LoadedCase]) -> tuple[float, float, float]:
    import numpy as np

    x, y, z = np.median([case.image.spacing for case in cases], axis=0)
    return (float(x), float(y), float(z))


def _intensity(config: Config, cases: Sequence[LoadedCase]) -> tuple[Intensity, dict[str, float]]:
    """Window, and mean and standard deviation within it, of the labelled voxels (nnU-Net's scheme for CT)."""
    import numpy as np

    samples = []
    for case in cases:
        values = np.asarray(case.image.array)[case.label.array > 0].astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{case.name}: the image holds NaN or infinity")
        if values.size:
            samples.append(values)
    foreground = foreground_statistics(samples)
    low, high = config.preprocessing.window or (foreground["percentile_00_5"], foreground["percentile_99_5"])
    clipped = foreground_statistics([np.clip(sample, low, high) for sample in samples])
    if not clipped["std"] > 0:
        raise InputError(f"all labelled voxels have the same value within [{low:g}, {high:g}]: is the window right?")
    return Intensity(window=(low, high), mean=clipped["mean"], std=clipped["std"]), foreground


def _augmentation(config: Config) -> Any:
    """The preset of medimg with the configuration's changes."""
    from medimg.transforms.augment import Augmentation, IntensityAugmentation, SpatialAugmentation, nnunet

    wanted = config.training.augmentation
    if wanted.preset == "none":
        return None
    base = nnunet(config.training.patch_size, mirror_axes=["xyz".index(axis) for axis in wanted.mirror_axes])
    changes = {
        key: value for key, value in wanted.model_dump(exclude={"preset", "mirror_axes"}).items() if value is not None
    }
    spatial, intensity = base.spatial or SpatialAugmentation(), base.intensity or IntensityAugmentation()
    moved = {key: changes.pop(key) for key in list(changes) if hasattr(spatial, key)}
    return Augmentation(replace(spatial, **moved), replace(intensity, **changes))


def _source(config: Config, case: LoadedCase) -> Source:
    return Source(
        name=case.name,
        image_sha256=case.image_sha256,
        label_sha256=case.label_sha256,
        labelled_slices=case.labelled_slices,
        voxels=case.voxels(config.labels),
    )
