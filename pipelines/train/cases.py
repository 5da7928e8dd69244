"""Training cases: read, checked, their labels grouped into structures, cut to the labelled slices."""

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.config import Case, Config
from pipelines.errors import ConfigError, InputError

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume


@dataclass(frozen=True)
class LoadedCase:
    """An RAS+ image with a label map on the same grid, holding 0 and the values of `Config.labels`."""

    name: str
    image: "Volume"
    label: "Volume"
    image_sha256: str
    label_sha256: str
    labelled_slices: tuple[int, int] | None
    weight: float
    joins_at: float

    def voxels(self, labels: dict[str, int]) -> dict[str, int]:
        """Number of voxels of each structure."""
        import numpy as np

        counts = np.bincount(self.label.array.reshape(-1), minlength=max(labels.values()) + 1)
        return {name: int(counts[value]) for name, value in labels.items()}


def load_cases(config: Config, base: Path) -> list[LoadedCase]:
    """Read every case of a configuration; relative paths start from `data.root`, itself relative to `base`.

    Raises InputError where a file cannot be used and ConfigError where the configuration asks for labels that
    no case has.
    """
    root = base / config.data.root if config.data.root else base
    table = label_table(config, root)
    cases = [
        load_case(case, root, table, config, number) for number, case in enumerate(find_cases(config, root), start=1)
    ]
    for name, value in config.labels.items():
        if not any((case.label.array == value).any() for case in cases):
            raise ConfigError(
                f"structures.{name}: none of the {len(cases)} training cases has a voxel of it "
                f"(label values {sorted(key for key, target in table.items() if target == value)})"
            )
    return cases


def find_cases(config: Config, root: Path) -> Sequence[Case]:
    """The cases listed in a configuration or found in its folder, sorted by name."""
    folder = config.data.folder
    if folder is None:
        return config.data.cases
    place = root / folder.path
    before, after = folder.image.split("{case}")
    names = sorted(
        path.relative_to(place).as_posix()[len(before) : len(path.relative_to(place).as_posix()) - len(after)]
        for path in place.glob(f"{before}*{after}")
    )
    if not names:
        raise InputError(f"data.folder: no file matches {place / folder.image}")
    cases = []
    for name in names:
        label = f"{folder.path}/{folder.label.replace('{case}', name)}"
        if not (root / label).exists():
            raise InputError(
                f"data.folder: {root / label} is absent, the label map of {folder.image.format(case=name)}"
            )
        cases.append(Case(image=f"{folder.path}/{folder.image.replace('{case}', name)}", label=label, name=name))
    return cases


def label_table(config: Config, root: Path) -> dict[int, int]:
    """Value in the label maps -> value of the structure it belongs to."""
    names = _label_names(config, root)
    table: dict[int, int] = {}
    for structure, target in config.labels.items():
        for label in config.structures[structure]:
            if isinstance(label, int):
                values = [label]
            else:
                values = [value for name, value in names.items() if fnmatch.fnmatchcase(name, label)]
                if not values:
                    raise ConfigError(f"structures.{structure}: {label!r} fits no name in {config.data.label_names}")
            for value in values:
                if table.setdefault(value, target) != target:
                    raise ConfigError(f"structures.{structure}: label {value} already belongs to another structure")
    return table


def load_case(case: Case, root: Path, table: dict[int, int], config: Config, number: int) -> LoadedCase:
    """Read one case and bring image and label map to the same RAS+ grid."""
    import medimg
    from medimg import transforms

    name = case.name or f"case_{number}"
    image_path, label_path = root / case.image, root / case.label
    for path, role in ((image_path, "image"), (label_path, "label map")):
        if not path.exists():
            raise InputError(f"{name}: the {role} {path} does not exist")
    image = medimg.read(image_path, series=case.series)
    if image.units == "unknown" and config.data.units is not None:
        image = replace(image, units=config.data.units)
    image = transforms.orient(image, "RAS")
    label = transforms.orient(medimg.read(label_path, units="label"), "RAS")
    if not image.same_grid(label):
        raise InputError(
            f"{name}: image {_grid(image)} and label map {_grid(label)} are not on the same grid; "
            f"resample {label_path.name} to {image_path.name} (nearest neighbour) first"
        )
    grouped = label.with_array(
        _group(label.array, table, len(config.structures), f"{name}: {label_path.name}"), units="label"
    )
    if case.labelled_slices is not None:
        image, grouped = (_cut(volume, case.labelled_slices, name) for volume in (image, grouped))
    return LoadedCase(
        name=name,
        image=image,
        label=grouped,
        image_sha256=image.provenance.sha256 or "",
        label_sha256=label.provenance.sha256 or "",
        labelled_slices=case.labelled_slices,
        weight=case.weight,
        joins_at=case.joins_at,
    )


def _label_names(config: Config, root: Path) -> dict[str, int]:
    if config.data.label_names is None:
        return {}
    path = root / config.data.label_names
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"data.label_names: {path} does not exist") from None
    except ValueError:
        raise ConfigError(f"data.label_names: {path} is not JSON") from None
    if config.data.label_set is not None:
        if not isinstance(raw, dict) or config.data.label_set not in raw:
            known = ", ".join(sorted(raw)) if isinstance(raw, dict) else "none"
            raise ConfigError(f"data.label_set: {path} has no {config.data.label_set!r}; it has {known}")
        raw = raw[config.data.label_set]
    try:
        return {str(name): int(value) for value, name in raw.items()}
    except (AttributeError, ValueError, TypeError):
        raise ConfigError(
            f"data.label_names: {path} should map label values to names, as in {{'5': 'liver'}}"
        ) from None


def _group(array: Any, table: dict[int, int], count: int, where: str) -> "np.ndarray[Any, Any]":
    """Label values -> structure values; labels that belong to no structure become background."""
    import numpy as np

    values = np.asarray(array)
    whole = values.astype(np.int64)
    if values.dtype.kind == "f" and not np.array_equal(whole, values):
        raise InputError(f"{where} holds fractions, so it is not a label map")
    if whole.min() < 0:
        raise InputError(f"{where} holds negative values, so it is not a label map")
    lookup = np.zeros(int(max(whole.max(), *table)) + 1, np.uint8 if count < 256 else np.uint16)
    for value, target in table.items():
        lookup[value] = target
    return lookup[whole]


def _cut(volume: "Volume", slices: tuple[int, int], name: str) -> "Volume":
    """The axial slices [first, end) of an RAS+ volume."""
    from medimg import transforms

    first, end = slices
    if end > volume.shape[2]:
        raise InputError(f"{name}: labelled_slices ends at {end}, the image has {volume.shape[2]} axial slices")
    return transforms.crop_pad(volume, (0, 0, first), (*volume.shape[:2], end))


def _grid(volume: "Volume") -> str:
    shape = " x ".join(map(str, volume.shape))
    spacing = " x ".join(f"{step:.3g}" for step in volume.spacing)
    return f"({shape}, {spacing} mm)"
