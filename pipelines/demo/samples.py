"""The demonstration's data and configuration: where they lie, and what is shown to training."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.config import Case, Config, load_config
from pipelines.errors import InputError
from pipelines.train.cases import label_table, load_case

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume

CONFIG = "demo.yaml"


def find_samples(given: Path | None) -> Path:
    """The data_samples folder: the one given, or the repository's. InputError where there is none."""
    here = Path(__file__).resolve().parents[2] / "data_samples"
    folder = given or next((path for path in (here, Path.cwd() / "data_samples") if path.is_dir()), None)
    if folder is None:
        raise InputError(
            "the sample scans are not here; name the data_samples folder of the repository with --data FOLDER"
        )
    absent = [name for name in ("ct_dicom", "ct_nifti") if not (folder / name).is_dir()]
    if absent:
        raise InputError(f"{folder} has no folder {absent[0]}; --data takes the data_samples folder of the repository")
    return folder


def demo_config(overrides: Iterable[str] = ()) -> Config:
    """The demonstration's configuration, which ships with the package."""
    with resources.as_file(resources.files("pipelines") / "configs" / CONFIG) as path:
        return load_config(path, overrides)


@dataclass(frozen=True)
class Task:
    """The study to be finished, on its own grid: all labels, and which voxels training was shown."""

    case: Case
    source: Path
    reference: "Volume"
    shown: "np.ndarray[Any, Any]"

    @property
    def unseen_slices(self) -> int:
        """How many axial slices training never saw."""
        import numpy as np

        return int((~np.any(self.shown, axis=(0, 1))).sum())


def load_task(config: Config, folder: Path) -> Task:
    """The first case of the configuration with a labelled range: the study whose contouring is finished."""
    import numpy as np

    import medimg
    from medimg import transforms

    case = next((case for case in config.data.cases if case.labelled_slices is not None), None)
    if case is None or case.labelled_slices is None:
        raise InputError("the demonstration needs a case with labelled_slices: the rest of it is what gets segmented")
    whole = case.model_copy(update={"labelled_slices": None})
    loaded = load_case(whole, folder, label_table(config, folder), config, 1)
    shown = np.zeros(loaded.label.shape, np.uint8)
    first, end = case.labelled_slices
    shown[:, :, first:end] = 1
    image = medimg.read(folder / case.image, series=case.series)
    reference = transforms.resample_to(loaded.label, image, label=True)
    mask = transforms.resample_to(loaded.label.with_array(shown), image, label=True)
    return Task(case, folder / case.image, reference, mask.array.astype(bool))
