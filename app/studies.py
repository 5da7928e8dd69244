"""The studies that can be opened: samples that come with voxhelix, and uploads."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import app
from app.workspace import Workspace
from framework.core.files import atomic_write

UPLOAD_TYPES = ("nii", "nii.gz", "zip", "dcm", "nrrd")
_SAMPLES = Path(app.__file__).resolve().parent.parent / "data_samples"
_CHUNK = 1 << 20


class StudyError(ValueError):
    """A study that cannot be kept or found; the text is one sentence with a remedy."""


@dataclass(frozen=True)
class Study:
    """Something to look at. `path` is what `medimg.read` takes; `id` is random for uploads."""

    id: str
    title: str
    detail: str
    path: Path
    owner: str = ""
    created: float = 0.0

    @property
    def is_sample(self) -> bool:
        """Whether it came with voxhelix and holds nobody's data but those of volunteers who gave it away."""
        return not self.owner


def samples() -> list[Study]:
    """The sample studies that this installation has."""
    known = (
        Study(
            "sample-ct-dicom", "Upper abdomen, CT", "DICOM series of 20 slices, contrast phase", _SAMPLES / "ct_dicom"
        ),
        Study(
            "sample-ct-nifti", "Abdomen and pelvis, CT", "NIfTI at 3 mm", _SAMPLES / "ct_nifti" / "example_ct.nii.gz"
        ),
        Study(
            "sample-brain",
            "Brain template, T1 MR",
            "MNI152 average, NIfTI at 1 mm",
            _SAMPLES / "brain_mni152" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        ),
    )
    return [study for study in known if study.path.exists()]


def uploads(place: Workspace, owner: str) -> list[Study]:
    """Uploads of one owner, newest first."""
    found = [study for study in _stored(place) if study.owner == owner]
    return sorted(found, key=lambda study: study.created, reverse=True)


def find_study(place: Workspace, study_id: str, owner: str) -> Study | None:
    """The study of that id if `owner` may see it."""
    for study in [*samples(), *uploads(place, owner)]:
        if study.id == study_id:
            return study
    return None


def keep_upload(place: Workspace, owner: str, name: str, source: IO[bytes]) -> Study:
    """Store an uploaded file under a random name and return its study.

    The original file name may hold a patient's name: only its ending is kept. Raises `StudyError` for other endings.
    """
    ending = next(
        (kind for kind in sorted(UPLOAD_TYPES, key=len, reverse=True) if name.lower().endswith(f".{kind}")), None
    )
    if ending is None:
        raise StudyError("This kind of file cannot be opened. Choose NIfTI (.nii, .nii.gz), NRRD or DICOM in a .zip.")
    study_id = secrets.token_hex(8)
    folder = place.studies / study_id
    folder.mkdir(parents=True, mode=0o700)
    path = folder / f"upload.{ending}"
    source.seek(0)
    with atomic_write(path) as target:
        shutil.copyfileobj(source, target, _CHUNK)
    if path.stat().st_size == 0:
        shutil.rmtree(folder)
        raise StudyError("The file is empty. Copy it again from where it came from, then upload it.")
    created = time.time()
    kind = {"zip": "zipped DICOM", "dcm": "DICOM file", "nrrd": "NRRD"}.get(ending, "NIfTI")
    title = time.strftime("Upload of %d %b, %H:%M", time.localtime(created))
    values = {"id": study_id, "title": title, "detail": kind, "file": path.name, "owner": owner, "created": created}
    with atomic_write(folder / "study.json", "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
    return Study(study_id, title, kind, path, owner, created)


def delete_upload(place: Workspace, study: Study) -> None:
    """Remove an uploaded study from the disk. Results made from it are deleted with their jobs."""
    if not study.is_sample and study.path.parent.parent == place.studies:
        shutil.rmtree(study.path.parent, ignore_errors=True)


def _stored(place: Workspace) -> Iterator[Study]:
    for path in place.studies.glob("*/study.json"):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            yield Study(
                id=str(values["id"]),
                title=str(values["title"]),
                detail=str(values["detail"]),
                path=path.parent / Path(str(values["file"])).name,
                owner=str(values["owner"]),
                created=float(values["created"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
