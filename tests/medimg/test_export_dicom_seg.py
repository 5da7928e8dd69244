import hashlib
import io
import itertools
import logging
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from dicom_factory import lps_affine, make_enhanced, make_series, phantom, save

import medimg
from medimg import ImageError, Volume
from medimg.export import ModelInfo, write_dicom_seg, write_nifti_labels
from medimg.export.labels import onto_grid
from medimg.export.seg_proof import prove_segmentation
from medimg.structures import structure

NAMES = {1: "liver", 4: "kidney_left", 9: "back_muscles", 12: "kidney_cyst_right", 13: "spleen"}
PRESENT = [1, 4, 9, 12]
MODEL = ModelInfo("demo U-Net", "1.2", "ab" * 32, {"overlap": "0.5"})
TURNED = (np.cos(0.3), np.sin(0.3), 0.0), (-np.sin(0.3) * np.cos(0.5), np.cos(0.3) * np.cos(0.5), np.sin(0.5))
ORIENTATIONS = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "oblique": TURNED,
    "feet first": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "prone": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
}


@pytest.fixture(scope="module", params=list(ORIENTATIONS))
def study(request, tmp_path_factory):
    """A series, stored in an order that is not that of its positions, and labels on its grid."""
    folder = tmp_path_factory.mktemp("study")
    datasets = make_series(phantom(), lps_affine(ORIENTATIONS[request.param]))
    order = np.random.default_rng(3).permutation(len(datasets))
    save([datasets[k] for k in order], folder / "series")
    source = medimg.read(folder / "series")
    return source, label_map(source)


@pytest.fixture(scope="module")
def axial(tmp_path_factory):
    source = medimg.read(save(make_series(phantom(), lps_affine()), tmp_path_factory.mktemp("axial") / "series"))
    return source, label_map(source)


def label_map(source):
    """No label is symmetric, none fills the grid, one touches a corner."""
    array = np.zeros(source.shape, np.int32)
    array[1:6, 2:9, 1:5] = 1
    array[2, 3, 2] = 0
    array[7:11, 0:3, 5] = 4
    array[8:, 5:, 6:] = 9
    array[0, 0, 0] = array[0, 1, 0] = 12
    return source.with_array(array, "label")


def centres(array, affine, numbers):
    """Centre of mass in mm, straight from the definition."""
    return {n: (affine @ [*np.argwhere(array == n).mean(axis=0), 1])[:3] for n in numbers}


def test_nifti_and_seg_put_every_label_in_the_same_place(study, tmp_path):
    source, labels = study
    nifti = nibabel.load(write_nifti_labels(labels, tmp_path / "labels.nii.gz", NAMES))
    expected = centres(np.asanyarray(nifti.dataobj), nifti.affine, PRESENT)
    volume = highdicom.seg.segread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL)).get_volume(
        combine_segments=True
    )
    to_ras = np.diag([-1, -1, 1, 1]) @ volume.affine
    found = centres(volume.array, to_ras, [1, 2, 3, 4])
    for number, label in enumerate(PRESENT, start=1):
        np.testing.assert_allclose(found[number], expected[label], atol=1e-3)
        assert (volume.array == number).sum() == (labels.array == label).sum()


def test_itk_finds_every_voxel_where_the_frames_say(study, tmp_path):
    """The source by ITK, the segmentation frame by frame from its own header."""
    sitk = pytest.importorskip("SimpleITK")
    source, labels = study
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source.provenance.slices[0].path.parent))
    image = sitk.ReadImage(files)
    dataset = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL))
    shared = dataset.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    seen = {}
    for group, plane in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(plane):
            place = corner + column * column_mm * cosines[0] + row * row_mm * cosines[1]
            index = np.array(image.TransformPhysicalPointToContinuousIndex(place.tolist()))
            np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
            seen[tuple(np.rint(index).astype(int).tolist())] = PRESENT[number - 1]
    # ITK may stack the slices in the other direction: compare places, not indices.
    assert len(seen) == (labels.array > 0).sum()
    for index, label in seen.items():
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        voxel = np.rint(source.world_to_voxel(ras)).astype(int)
        assert labels.array[tuple(voxel)] == label


def test_each_frame_refers_to_the_image_it_was_made_from(study, tmp_path):
    source, labels = study
    dataset = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL))
    images = {item.sop_instance_uid: pydicom.dcmread(item.path) for item in source.provenance.slices}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[reference.ReferencedSOPInstanceUID]
        assert reference.ReferencedSOPClassUID == image.SOPClassUID
        np.testing.assert_allclose(
            np.array(group.PlanePositionSequence[0].ImagePositionPatient, float),
            np.array(image.ImagePositionPatient, float),
            atol=1e-6,
        )
    any_image = next(iter(images.values()))
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert dataset[keyword].value == any_image[keyword].value
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == any_image.SeriesInstanceUID
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == len(images)


def test_dciodvfy_finds_no_error(study, tmp_path):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    source, labels = study
    path = write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL)
    said = subprocess.run([program, path], capture_output=True, text=True, check=False).stderr
    assert "Segmentation" in said
    assert "Error" not in said


@pytest.mark.parametrize(
    ("order", "flips"), list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
)
def test_labels_may_be_stored_in_any_direction(axial, order, flips):
    source, labels = axial
    array = labels.array[:: flips[0], :: flips[1], :: flips[2]].transpose(order)
    turn = np.diag([*flips, 1.0])
    turn[:3, 3] = [0 if flip == 1 else size - 1 for flip, size in zip(flips, labels.shape)]
    turned = Volume(array, labels.affine @ turn @ np.eye(4)[:, [*order, 3]])
    np.testing.assert_array_equal(onto_grid(turned, source), labels.array)


def test_turned_labels_give_the_same_file(axial, tmp_path):
    source, labels = axial
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = labels.shape[0] - 1
    turned = Volume(labels.array[::-1], labels.affine @ turn)
    one = write_dicom_seg(labels, tmp_path / "one.dcm", source, NAMES, MODEL).read_bytes()
    assert write_dicom_seg(turned, tmp_path / "other.dcm", source, NAMES, MODEL).read_bytes() == one


@pytest.mark.parametrize(
    "change",
    [
        lambda affine: affine @ np.diag([1, 1, 1.1, 1]),
        lambda affine: affine + np.eye(4)[:, [0, 1, 3, 2]] * 0.3,
        lambda affine: affine @ np.array([[0.99, -0.14, 0, 0], [0.14, 0.99, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["other spacing", "shifted", "turned"],
)
def test_labels_on_another_grid_are_refused(axial, tmp_path, change):
    source, labels = axial
    affine = change(labels.affine)
    affine[3] = [0, 0, 0, 1]
    with pytest.raises(ImageError, match="not on the grid of the source"):
        write_dicom_seg(Volume(labels.array, affine), tmp_path / "seg.dcm", source, NAMES, MODEL)
    with pytest.raises(ImageError, match="resample_to"):
        write_dicom_seg(Volume(labels.array[1:], labels.affine), tmp_path / "seg.dcm", source, NAMES, MODEL)
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_not_as_it_was_read_is_refused(axial, tmp_path):
    from dataclasses import replace

    source, labels = axial
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = source.shape[0] - 1
    mirrored = replace(source, array=source.array[::-1], affine=source.affine @ turn)
    with pytest.raises(ImageError, match="as it was read"):
        write_dicom_seg(labels, tmp_path / "seg.dcm", mirrored, NAMES, MODEL)
    shift = np.eye(4)
    shift[0, 3] = 0.3
    shifted = replace(source, affine=shift @ source.affine)
    with pytest.raises(ImageError, match=r"0\.3 mm from its voxels"):
        write_dicom_seg(replace(labels, affine=shifted.affine), tmp_path / "seg.dcm", shifted, NAMES, MODEL)
    cropped = replace(source, array=source.array[:, 1:])
    with pytest.raises(ImageError, match="as it was read"):
        write_dicom_seg(replace(labels, array=labels.array[:, 1:]), tmp_path / "seg.dcm", cropped, NAMES, MODEL)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_a_segmentation_is_refused(axial, tmp_path):
    source, labels = axial
    path = tmp_path / "seg.dcm"
    with pytest.raises(ImageError, match="without a name: 12"):
        write_dicom_seg(labels, path, source, {1: "liver", 4: "kidney_left", 9: "aorta"}, MODEL)
    with pytest.raises(ImageError, match="No voxel is labelled"):
        write_dicom_seg(labels.with_array(labels.array * 0), path, source, NAMES, MODEL)
    with pytest.raises(ImageError, match="no DICOM headers"):
        write_dicom_seg(labels, path, Volume(source.array, source.affine), NAMES, MODEL)
    assert not list(tmp_path.iterdir())


def test_segments_say_what_they_are(axial, tmp_path):
    source, labels = axial
    dataset = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL))
    liver, kidney, back, cyst = dataset.SegmentSequence
    assert [item.SegmentNumber for item in dataset.SegmentSequence] == [1, 2, 3, 4]
    assert (liver.SegmentLabel, liver.SegmentDescription) == ("Liver", "liver (label 1)")
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert liver.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert tuple(liver.RecommendedDisplayCIELabValue) == structure("liver").cielab
    side = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (side.CodeValue, side.CodeMeaning) == ("7771000", "Left")
    assert back.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99VOXHELIX"
    assert cyst.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert cyst.AnatomicRegionSequence[0].CodeMeaning == "Kidney"
    assert cyst.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning == "Right"
    algorithm = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("demo U-Net", "1.2")
    assert "ab" * 32 in algorithm.AlgorithmParameters
    assert liver.SegmentAlgorithmType == "AUTOMATIC"
    assert dataset.SeriesDescription == "demo U-Net (research use only)"
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99VOXHELIX"
    assert len({item.TrackingUID for item in dataset.SegmentSequence}) == 4


def test_same_input_gives_same_bytes(axial, tmp_path):
    source, labels = axial
    made = [write_dicom_seg(labels, tmp_path / f"{k}.dcm", source, NAMES, MODEL).read_bytes() for k in range(2)]
    assert hashlib.sha256(made[0]).digest() == hashlib.sha256(made[1]).digest()
    first = pydicom.dcmread(io.BytesIO(made[0]))
    assert (first.ContentDate, first.ContentTime) == ("20260101", "120000")
    changed = labels.with_array(np.where(labels.array == 12, 0, labels.array))
    other = pydicom.dcmread(write_dicom_seg(changed, tmp_path / "other.dcm", source, NAMES, MODEL))
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SegmentSequence[0].TrackingUID == first.SegmentSequence[0].TrackingUID


def test_a_date_of_creation_may_be_given(axial, tmp_path):
    source, labels = axial
    when = datetime(2026, 11, 23, 5, 6, 7)
    dataset = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL, created=when))
    assert (dataset.ContentDate, dataset.ContentTime, dataset.SeriesDate) == ("20261123", "050607", "20261123")


def test_label_map_segmentation(study, tmp_path):
    source, labels = study
    path = write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL, kind="LABELMAP")
    seg = highdicom.seg.segread(path)
    assert seg.SegmentationType == "LABELMAP"
    volume = seg.get_volume(combine_segments=True)
    found = centres(volume.array, np.diag([-1, -1, 1, 1]) @ volume.affine, [1, 2, 3, 4])
    expected = centres(labels.array, labels.affine, PRESENT)
    for number, label in enumerate(PRESENT, start=1):
        np.testing.assert_allclose(found[number], expected[label], atol=1e-3)


def test_empty_frames_can_be_kept(axial, tmp_path):
    source, labels = axial
    few = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "few.dcm", source, NAMES, MODEL))
    path = write_dicom_seg(labels, tmp_path / "all.dcm", source, NAMES, MODEL, omit_empty_frames=False)
    assert few.NumberOfFrames == 4 + 1 + 2 + 1
    assert pydicom.dcmread(path).NumberOfFrames == 4 * source.shape[2]


@pytest.mark.parametrize("order", [range(8), [3, 1, 7, 0, 2, 6, 5, 4]])
def test_an_enhanced_image_is_one_source(tmp_path, order):
    save([make_enhanced(phantom(), lps_affine(TURNED), order=list(order))], tmp_path / "series")
    source = medimg.read(tmp_path / "series")
    labels = label_map(source)
    path = write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL)
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    found = centres(volume.array, np.diag([-1, -1, 1, 1]) @ volume.affine, [1, 2, 3, 4])
    expected = centres(labels.array, labels.affine, PRESENT)
    for number, label in enumerate(PRESENT, start=1):
        np.testing.assert_allclose(found[number], expected[label], atol=1e-3)


def test_bad_identity_fields_are_left_empty_and_never_told(tmp_path, caplog, capfd):
    with pydicom.config.disable_value_validation():
        odd = {"PatientName": "SECRET=NAME^^^^^^", "PatientBirthDate": "SECRET", "PatientSex": "SECRET"}
        series = make_series(phantom(), lps_affine(), **odd)
        for dataset in series:
            del dataset.FrameOfReferenceUID, dataset.StudyTime, dataset.AccessionNumber
        save(series, tmp_path / "series")
    with caplog.at_level(logging.DEBUG):
        source = medimg.read(tmp_path / "series")
        path = write_dicom_seg(label_map(source), tmp_path / "seg.dcm", source, NAMES, MODEL)
    dataset = pydicom.dcmread(path)
    assert (dataset.PatientBirthDate, dataset.PatientSex, dataset.AccessionNumber) == ("", "", "")
    assert dataset.FrameOfReferenceUID
    assert "SECRET" not in caplog.text
    assert "SECRET" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("damage", ["pixels", "positions", "orientation"])
def test_the_proof_sees_damage(axial, tmp_path, damage):
    source, labels = axial
    dataset = pydicom.dcmread(write_dicom_seg(labels, tmp_path / "seg.dcm", source, NAMES, MODEL))
    segments = np.searchsorted([0, *PRESENT], labels.array).astype(np.uint8)
    groups = dataset.PerFrameFunctionalGroupsSequence
    if damage == "pixels":
        dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]
    elif damage == "positions":
        groups[0].PlanePositionSequence, groups[5].PlanePositionSequence = (
            groups[5].PlanePositionSequence,
            groups[0].PlanePositionSequence,
        )
    else:
        shared = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        shared.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    buffer.seek(0)
    with pytest.raises(ImageError):
        prove_segmentation(buffer, segments, source, labels, PRESENT)


def test_nothing_is_saved_where_the_proof_fails(axial, tmp_path, monkeypatch):
    def fail(*_):
        raise ImageError("no")

    monkeypatch.setattr("medimg.export.dicom_seg.prove_segmentation", fail)
    with pytest.raises(ImageError, match="no"):
        write_dicom_seg(axial[1], tmp_path / "seg.dcm", axial[0], NAMES, MODEL)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_real_jpeg_2000_series(tmp_path):
    """A scanner's own study: compressed, its UIDs blanked, its labels stored with the other row direction."""
    folder = Path(__file__).resolve().parents[2] / "data_samples" / "ct_dicom"
    source = medimg.read(folder, series=1)
    labels = medimg.read(folder / "example_seg_dicom.nii.gz", units="label")
    keep = {5: "liver", 1: "spleen", 86: "autochthon_left", 79: "spinal_cord"}
    labels = labels.with_array(np.where(np.isin(labels.array, list(keep)), labels.array, 0))
    path = write_dicom_seg(labels, tmp_path / "seg.dcm", source, keep, MODEL)
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    found = centres(volume.array, np.diag([-1, -1, 1, 1]) @ volume.affine, [1, 2, 3, 4])
    expected = centres(labels.array, labels.affine, sorted(keep))
    for number, label in enumerate(sorted(keep), start=1):
        np.testing.assert_allclose(found[number], expected[label], atol=1e-3)
    if shutil.which("dciodvfy"):
        assert "Error" not in subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
