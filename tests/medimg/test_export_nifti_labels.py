import gzip
import hashlib

import nibabel
import numpy as np
import pytest

from medimg import ImageError, Volume
from medimg.export import read_label_names, write_nifti_labels
from medimg.structures import structure

NAMES = {1: "liver", 2: "spleen", 7: "kidney_left & <odd>"}


def label_map(affine=None):
    array = np.zeros((6, 7, 8), np.int64)
    array[1:3, 2:5, 3:6] = 1
    array[4, 5, 1:7] = 7
    return Volume(array, np.diag([0.9765625, 0.9765625, 3.0, 1.0]) if affine is None else affine, "label")


def oblique():
    angle = np.radians(17)
    affine = np.eye(4)
    affine[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    affine[:3, :3] = affine[:3, :3] @ np.diag([-0.7, 0.7, 2.5])
    affine[:3, 3] = [-123.4567, 87.6543, -766.5]
    return affine


def sheared():
    affine = oblique()
    affine[:3, 2] += [0, 0.4, 0]
    return affine


@pytest.mark.parametrize("name", ["labels.nii", "labels.nii.gz"])
@pytest.mark.parametrize("affine", [None, oblique(), sheared()])
def test_voxels_grid_and_names_come_back(tmp_path, name, affine):
    labels = label_map(affine)
    path = write_nifti_labels(labels, tmp_path / name, NAMES)
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels.array)
    np.testing.assert_allclose(image.affine, labels.affine, atol=1e-4)
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_intent()[0] == "label"
    assert int(image.header["sform_code"]) == 1
    assert read_label_names(path) == NAMES
    assert b"research use only" in bytes(image.header["descrip"])


def test_the_background_needs_no_name(tmp_path):
    path = write_nifti_labels(label_map(), tmp_path / "labels.nii", {0: "background", **NAMES})
    assert read_label_names(path) == NAMES
    with pytest.raises(ImageError, match="cannot be named"):
        write_nifti_labels(label_map(), path, {**NAMES, -1: "nothing"})
    with pytest.raises(ImageError, match="cannot be named"):
        write_nifti_labels(label_map(), path, {**NAMES, 2: ""})


def test_qform_agrees_or_is_absent(tmp_path):
    """ITK reads the qform first where it has a code."""
    straight = nibabel.load(write_nifti_labels(label_map(oblique()), tmp_path / "a.nii", NAMES)).header
    np.testing.assert_allclose(straight.get_qform(), oblique(), atol=1e-3)
    tilted = nibabel.load(write_nifti_labels(label_map(sheared()), tmp_path / "b.nii", NAMES)).header
    assert int(tilted["qform_code"]) == 0


def test_simpleitk_puts_voxels_in_the_same_place(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    labels = label_map(oblique())
    image = sitk.ReadImage(str(write_nifti_labels(labels, tmp_path / "labels.nii.gz", NAMES)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, labels.array)
    for voxel in ([0, 0, 0], [5, 6, 7]):
        lps = np.array(image.TransformIndexToPhysicalPoint(voxel))
        np.testing.assert_allclose(lps * [-1, -1, 1], labels.voxel_to_world(voxel), atol=1e-3)


def test_the_label_table_is_the_one_that_others_read(tmp_path):
    from xml.etree import ElementTree

    extension = nibabel.load(write_nifti_labels(label_map(), tmp_path / "labels.nii.gz", NAMES)).header.extensions[0]
    assert extension.get_code() == 0
    entry = ElementTree.fromstring(extension.get_content().rstrip(b"\0")).find("VolumeInformation/LabelTable/Label")
    assert (entry.attrib["Key"], entry.text) == ("1", "liver")
    colour = tuple(round(255 * float(entry.attrib[channel])) for channel in ("Red", "Green", "Blue"))
    assert colour == structure("liver").colour


def test_same_input_gives_same_bytes(tmp_path):
    one = write_nifti_labels(label_map(), tmp_path / "one.nii.gz", NAMES).read_bytes()
    other = write_nifti_labels(label_map(), tmp_path / "other.nii.gz", dict(reversed(NAMES.items()))).read_bytes()
    assert hashlib.sha256(one).digest() == hashlib.sha256(other).digest()
    assert one[4:8] == bytes(4)  # gzip's time


def test_many_labels_take_sixteen_bits(tmp_path):
    labels = label_map()
    labels.array[0, 0, 0] = 300
    path = write_nifti_labels(labels, tmp_path / "labels.nii", {**NAMES, 300: "tumour"})
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.uint16
    assert int(image.dataobj[0, 0, 0]) == 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array.astype(float), "integers"),
        (lambda array: array - 1, "-1 to 6"),
        (lambda array: array * 9, "without a name: 9, 63"),
    ],
)
def test_what_is_not_a_label_map_is_refused(tmp_path, change, message):
    labels = label_map()
    with pytest.raises(ImageError, match=message):
        write_nifti_labels(labels.with_array(change(labels.array)), tmp_path / "labels.nii.gz", NAMES)
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"\.nii"):
        write_nifti_labels(label_map(), tmp_path / "labels.mha", NAMES)


def test_nothing_is_saved_where_reading_back_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(gzip.GzipFile, "write", lambda self, data: len(data))
    with pytest.raises(ImageError):
        write_nifti_labels(label_map(), tmp_path / "labels.nii.gz", NAMES)
    assert not list(tmp_path.iterdir())


def test_a_name_survives_as_totalsegmentator_reads_it(tmp_path):
    """Its reader takes the first extension's content for the XML."""
    image = nibabel.load(write_nifti_labels(label_map(), tmp_path / "labels.nii.gz", NAMES))
    content = image.header.extensions[0].get_content()
    assert content.rstrip(b"\0").decode().endswith("</CaretExtension>")


@pytest.mark.parametrize(
    "content", [b"<CaretExtension><Label Key='x'>a</Label>", b"<!DOCTYPE a><CaretExtension/>", b"\0"]
)
def test_a_damaged_label_table_names_nothing(tmp_path, content):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, content))
    nibabel.save(image, tmp_path / "odd.nii")
    assert read_label_names(tmp_path / "odd.nii") == {}


def test_a_file_without_names_has_none(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "plain.nii")
    assert read_label_names(tmp_path / "plain.nii") == {}
