"""A small phantom study as NIfTI and as zipped DICOM, and a finished job over it, all written for real."""

import hashlib
import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.workspace import LOCAL_OWNER, Workspace
from pipelines.jobs import Job, JobState

SPACING = (2.0, 2.0, 3.0)
SHAPE = (40, 36, 12)


def phantom() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, labels (1 liver on the patient's right, 2 spleen on the left, at the back) and affine, RAS+."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    body = ((x - 19.5) / 18) ** 2 + ((y - 17.5) / 15) ** 2 < 1
    liver = ((x - 28) / 7) ** 2 + ((y - 20) / 7) ** 2 + ((z - 7) / 4) ** 2 < 1
    spleen = ((x - 9) / 4) ** 2 + ((y - 11) / 4) ** 2 + ((z - 6) / 4) ** 2 < 1
    image = np.where(body, 20, -1000).astype(np.int16)
    image[liver], image[spleen] = 110, 140
    image[19:22, 4:7, :] = 700  # a bone behind
    labels = (liver * 1 + spleen * 2).astype(np.uint8)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-40.0, -30.0, 100.0)
    return image, labels, affine


@pytest.fixture(scope="session")
def nifti_bytes() -> bytes:
    import nibabel

    image, _, affine = phantom()
    return bytes(nibabel.Nifti1Image(image, affine).to_bytes())


@pytest.fixture(scope="session")
def dicom_zip() -> Callable[..., bytes]:
    """Makes a zip of one CT series a description; the patient's name must never be seen again."""

    def make(*descriptions: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, description in enumerate(descriptions, start=1):
                for k in range(SHAPE[2]):
                    archive.writestr(f"Doe_Jane/{number}/slice{SHAPE[2] - k}.dcm", _dicom_slice(k, number, description))
        return buffer.getvalue()

    return make


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty work folder that the app will use, away from this checkout's models."""
    folder = tmp_path / "work"
    monkeypatch.setattr(sys, "argv", ["main.py", "--work", str(folder)])
    monkeypatch.setattr("app.workspace._CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Workspace(folder)


@pytest.fixture
def finished_job(work: Workspace, nifti_bytes: bytes) -> Job:
    """A study that was uploaded and segmented, as the real jobs leave it."""
    import nibabel

    from app.studies import keep_upload

    study = keep_upload(work, LOCAL_OWNER, "Doe_Jane.nii", io.BytesIO(nifti_bytes))
    _, labels, affine = phantom()
    folder = work.folder / "jobs" / "0123456789abcdef"
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), outputs / "segmentation.nii.gz")
    (outputs / "report.html").write_text("<h1>Report</h1><p>Research use only</p>")
    counts = np.bincount(labels.ravel(), minlength=3)
    record = {
        "case": "upload",
        "warnings": ["the input is unlike the training data: it shows only 36 mm head-foot"],
        "labels": {"liver": 1, "spleen": 2},
        "volumes_ml": {"liver": counts[1] * 0.012, "spleen": counts[2] * 0.012},
        "input": {"sha256": hashlib.sha256(nifti_bytes).hexdigest()},
        "model": {"name": "phantom", "weights_sha256": "2a" * 32, "config_sha256": "3b" * 32},
        "versions": {"voxhelix": "0.1.0"},
        "outputs": {"nifti": {"file": "segmentation.nii.gz"}, "report": {"file": "report.html"}},
    }
    (outputs / "result.json").write_text(json.dumps(record))
    now = time.time()
    return Job(
        id=folder.name,
        folder=folder,
        kind="predict",
        title="Upload \u2014 phantom",
        command=(),
        owner=LOCAL_OWNER,
        state=JobState.FINISHED,
        created=now,
        started=now,
        ended=now + 12.0,
        exit_code=0,
        context={"study": study.id, "series": ""},
    ).write()


@pytest.fixture
def model_card() -> dict[str, Any]:
    """The card of a model of the phantom's two structures."""
    from pipelines.card import Card, Intensity, Source
    from pipelines.fingerprint import PERCENTILES, Appearance, Fingerprint

    image = Appearance(
        modality="CT",
        units="HU",
        spacing=SPACING,
        extent=(80.0, 72.0, 36.0),
        tissue_percentiles=tuple(float(value) for value in PERCENTILES),
        range=(-1000.0, 700.0),
    )
    card = Card(
        name="phantom",
        created="2026-11-23T05:00:00+00:00",
        labels={"liver": 1, "spleen": 2},
        spacing=(2.0, 2.0, 3.0),
        intensity=Intensity(window=(-100.0, 300.0), mean=60.0, std=50.0),
        fingerprint=Fingerprint(
            images=(image,), foreground={"mean": 60.0, "std": 50.0}, patch_extent=(64.0, 64.0, 36.0)
        ),
        sources=(
            Source(name="phantom", image_sha256="1" * 64, label_sha256="2" * 64, voxels={"liver": 9, "spleen": 9}),
        ),
        config_sha256="3" * 64,
        weights_sha256="4" * 64,
        seed=0,
        iterations=10,
        seconds=1.0,
        device="cpu",
        versions={"voxhelix": "0.1.0"},
    )
    return card.model_dump(mode="json")


def _dicom_slice(k: int, series: int, description: str) -> bytes:
    """One CT slice. DICOM counts from right to left and front to back, so rows and columns are those of LPS."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    image, _, affine = phantom()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{series}.{k + 1}"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.Modality = "Doe^Jane", "4711", "CT"
    data.StudyInstanceUID, data.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.7", "1.2.826.0.1.3680043.8.498.8"
    data.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.9.{series}"
    data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = description, series, k + 1
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    last = affine @ [SHAPE[0] - 1, SHAPE[1] - 1, k, 1]
    data.ImagePositionPatient = [float(-last[0]), float(-last[1]), float(last[2])]
    data.PixelSpacing, data.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    data.Rows, data.Columns, data.SamplesPerPixel = SHAPE[1], SHAPE[0], 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, 0, "HU"
    data.PixelData = np.ascontiguousarray(image[::-1, ::-1, k].T).tobytes()
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
