"""Which series a path holds, and how one of them is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from medimg.errors import ImageError, SeriesChoiceError


@dataclass(frozen=True)
class SeriesInfo:
    """One series (one volume) that a path holds."""

    number: int
    """1-based place in the list; what `series=` takes."""
    uid: str
    """DICOM SeriesInstanceUID; the file's name for NIfTI and NRRD. Several volumes of one series share it."""
    format: str
    """"dicom", "nifti" or "nrrd"."""
    modality: str | None
    description: str
    """SeriesDescription, and what tells this volume from others of its series (echo, phase, b-value)."""
    shape: tuple[int, ...]
    """Voxels along (X, Y, Z), and a fourth number for 4-D files."""
    spacing: tuple[float, ...]
    """mm between voxels; the third is the median distance of slices."""
    problem: str | None = None
    """Why it cannot be read as it stands (missing slices, gantry tilt, no position), or None."""

    def __str__(self) -> str:
        line = (
            f'{self.modality or self.format} "{self.description}"' if self.description else self.modality or self.format
        )
        if self.shape:
            size = " x ".join(map(str, self.shape))
            line += f", {size} voxels, {' x '.join(f'{s:.4g}' for s in self.spacing)} mm"
        return f"{line} ({self.problem})" if self.problem else line


def choose(infos: Sequence[SeriesInfo], series: int | str | None, where: str) -> int:
    """Return the index of the series that `series` names: a number of the list, a UID or a file's name.

    Raises SeriesChoiceError (with the list) where none is named and several fit, or the name fits none or several.
    """
    if series is None:
        if len(infos) == 1:
            return 0
        raise SeriesChoiceError(_question(f"{where} holds {len(infos)} series; say which one", infos), tuple(infos))
    if isinstance(series, bool) or not isinstance(series, int | str):
        raise ImageError(f"series must be a number of the list or a UID, not {type(series).__name__}.")
    if isinstance(series, int):
        fitting = [i for i, info in enumerate(infos) if info.number == series]
    else:
        fitting = [i for i, info in enumerate(infos) if info.uid == series]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        several = [infos[i] for i in fitting]
        raise SeriesChoiceError(
            _question(f"The series of that UID in {where} holds {len(several)} volumes; choose by number", several),
            tuple(several),
        )
    raise SeriesChoiceError(_question(f"{where} holds no series {series!r}; there is", infos), tuple(infos))


def _question(opening: str, infos: Sequence[SeriesInfo]) -> str:
    shown = [f"  {info.number}. {info}" for info in infos[:50]]
    if len(infos) > len(shown):
        shown.append(f"  ... and {len(infos) - len(shown)} more (medimg.list_series gives all)")
    return "\n".join([f"{opening}, for instance series={infos[0].number}:", *shown])
