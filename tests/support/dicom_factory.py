"""Small DICOM series made to measure, for tests of reading and export."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def lps_affine(
    orientation: Sequence[Sequence[float]] = AXIAL,
    origin: Sequence[float] = (-40.0, -30.0, 10.0),
    spacing: Sequence[float] = (0.8, 0.9, 2.5),
    step: Sequence[float] | None = None,
) -> npt.NDArray[np.float64]:
    """Affine (column, row, slice) -> LPS mm; `step` replaces the slice vector (normal x spacing), to tilt it."""
    row, column = (np.asarray(v, dtype=np.float64) for v in orientation)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[0]
    affine[:3, 1] = column * spacing[1]
    affine[:3, 2] = np.cross(row, column) * spacing[2] if step is None else step
    affine[:3, 3] = origin
    return affine


def phantom(shape: Sequence[int] = (12, 10, 8), seed: int = 0) -> npt.NDArray[np.int16]:
    """Random stored values (X, Y, Z), so that any flip, shift or transposition shows."""
    return np.random.default_rng(seed).integers(0, 3000, tuple(shape)).astype(np.int16)


def make_series(
    stored: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    *,
    modality: str = "CT",
    slope: float | Sequence[float] | None = 1,
    intercept: float | Sequence[float] | None = -1024,
    series_uid: str | None = None,
    description: str = "test series",
    **attributes: Any,
) -> list[Dataset]:
    """One single-frame object for each slice of stored values (X, Y, Z), slice k at affine @ (0, 0, k, 1).

    Further keyword arguments are DICOM attributes; a callable is called with the slice's index.
    """
    series_uid, study_uid, frame_uid = series_uid or generate_uid(), generate_uid(), generate_uid()
    datasets = []
    for k in range(stored.shape[2]):
        ds = _common(modality, study_uid, frame_uid)
        ds.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        ds.SOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID = series_uid
        ds.SeriesDescription = description
        ds.InstanceNumber = k + 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImageOrientationPatient = _decimals(_cosines(affine))
        ds.ImagePositionPatient = _decimals((affine @ (0, 0, k, 1))[:3])
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        ds.PixelSpacing = _decimals([lengths[1], lengths[0]])
        ds.SliceThickness = _decimals([lengths[2]])[0]
        if slope is not None:
            ds.RescaleSlope = _decimals([slope if np.isscalar(slope) else slope[k]])[0]
            ds.RescaleIntercept = _decimals([intercept if np.isscalar(intercept) else intercept[k]])[0]
        set_pixels(ds, stored[:, :, k].T)
        for keyword, value in attributes.items():
            setattr(ds, keyword, value(k) if isinstance(value, Callable) else value)
        datasets.append(ds)
    return datasets


def make_enhanced(
    stored: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    *,
    order: Sequence[int] | None = None,
    slope: float | Sequence[float] = 1,
    intercept: float = 0,
    echo_times: Sequence[float] = (),
) -> Dataset:
    """One enhanced MR object. `order` is the order of the slices in the file; with `echo_times` the slices repeat, one
    volume for each echo time, whose values are the stored ones plus the number of the echo."""
    ds = _common("MR", generate_uid(), generate_uid())
    ds.SOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SeriesDescription = "enhanced"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _decimals([lengths[1], lengths[0]])
    measures.SliceThickness = _decimals([lengths[2]])[0]
    orientation.ImageOrientationPatient = _decimals(_cosines(affine))
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames, groups = [], []
    for echo, time in enumerate(echo_times or (None,)):
        for k in order if order is not None else range(stored.shape[2]):
            item, position, values = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = _decimals((affine @ (0, 0, k, 1))[:3])
            values.RescaleSlope = _decimals([slope if np.isscalar(slope) else slope[k]])[0]
            values.RescaleIntercept = _decimals([intercept])[0]
            values.RescaleType = "US"
            item.PlanePositionSequence, item.PixelValueTransformationSequence = [position], [values]
            if time is not None:
                item.MREchoSequence = [Dataset()]
                item.MREchoSequence[0].EffectiveEchoTime = time
            groups.append(item)
            frames.append(stored[:, :, k].T + echo)
    ds.PerFrameFunctionalGroupsSequence = groups
    set_pixels(ds, np.stack(frames).astype(stored.dtype))
    ds.NumberOfFrames = len(frames)
    return ds


def set_pixels(ds: Dataset, pixels: npt.NDArray[Any], bits_stored: int | None = None) -> None:
    """Put pixels ([frames,] rows, columns) of an integer type into a data set, uncompressed."""
    bits = pixels.dtype.itemsize * 8
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored = bits, bits_stored or bits
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()


def save(datasets: Sequence[Dataset], folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write data sets into a folder under `names` (numbered by default) and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(datasets):
        ds.save_as(folder / (names[k] if names else f"IM{k:04d}"), enforce_file_format=True)
    return folder


def _common(modality: str, study_uid: str, frame_uid: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "SECRET^NAME", "SECRET-ID", "19700102"
    ds.PatientSex, ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "O", "1", "", ""
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20260101"
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "120000"
    ds.Modality, ds.Manufacturer = modality, "voxhelix tests"
    ds.StudyInstanceUID, ds.FrameOfReferenceUID = study_uid, frame_uid
    ds.SeriesNumber = 1
    return ds


def _cosines(affine: npt.NDArray[np.float64]) -> list[float]:
    unit = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    return [*unit[:, 0], *unit[:, 1]]


def _decimals(values: Any) -> list[str]:
    """DICOM decimal strings of at most 16 characters, as scanners write them."""
    texts = []
    for value in values:
        text = next(text for digits in range(14, 0, -1) if len(text := f"{float(value):.{digits}g}") <= 16)
        texts.append(text)
    return texts
