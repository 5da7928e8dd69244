"""Every voxel of a DICOM series at its own place: 48 orientations, oblique ones, real data, against other readers."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import lps_affine, make_enhanced, make_series, phantom, save

import medimg
from medimg import geometry

AXES = [np.array(axis) * sign for axis in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)) for sign in (1, -1)]
UPRIGHT = [(row, column) for row, column in itertools.product(AXES, AXES) if row @ column == 0]


def turned(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column directions of a random oblique plane."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q[:, 0], q[:, 1]


OBLIQUE = [turned(seed) for seed in range(8)]


def assert_every_voxel_in_place(volume, stored, affine_lps, offset=-1024):
    """The volume holds each stored value at the place where the series put it."""
    assert volume.array.size == stored.size
    indices = np.indices(volume.shape).reshape(3, -1).T
    there = geometry.apply(np.linalg.inv(geometry.lps_to_ras(affine_lps)), volume.voxel_to_world(indices))
    nearest = np.rint(there).astype(int)
    assert np.abs(there - nearest).max() < 1e-4
    np.testing.assert_array_equal(volume.array[tuple(indices.T)], stored[tuple(nearest.T)].astype(int) + offset)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("row", "column"), UPRIGHT)
def test_48_upright_orientations(tmp_path, row, column, reverse):
    """24 pairs of in-plane directions, slices along or against their normal in file order: all 48."""
    assert len(UPRIGHT) == 24
    normal = np.cross(row, column)
    affine = lps_affine((row, column), step=normal * (-2.5 if reverse else 2.5))
    stored = phantom((6, 5, 4))
    volume = medimg.read(save(make_series(stored, affine), tmp_path))
    assert_every_voxel_in_place(volume, stored, affine)
    assert volume.handedness == 1
    assert volume.axcodes == "".join(nib.aff2axcodes(geometry.lps_to_ras(lps_affine((row, column), step=normal * 2.5))))


@pytest.mark.parametrize("case", range(len(OBLIQUE)))
def test_oblique_orientations_single_and_multi_frame(tmp_path, case):
    affine = lps_affine(OBLIQUE[case])
    stored = phantom((7, 6, 5), seed=case)
    assert_every_voxel_in_place(medimg.read(save(make_series(stored, affine), tmp_path / "a")), stored, affine)
    enhanced = make_enhanced(stored, affine, order=[3, 0, 4, 2, 1])
    assert_every_voxel_in_place(medimg.read(save([enhanced], tmp_path / "b")), stored, affine, offset=0)


@pytest.mark.oracle
@pytest.mark.parametrize(("row", "column"), UPRIGHT[::5] + OBLIQUE)
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
def test_simpleitk_puts_every_voxel_where_we_do(tmp_path, row, column):
    sitk = pytest.importorskip("SimpleITK")
    stored = phantom((7, 6, 5))
    save(make_series(stored, lps_affine((row, column))), tmp_path, names=["d", "a", "e", "c", "b"])
    ours = medimg.read(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    theirs = sitk.GetArrayFromImage(image).T
    for index in itertools.product((0, 6), (0, 5), (0, 1, 4)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        at = ours.world_to_voxel(lps * (-1, -1, 1))
        np.testing.assert_allclose(at, np.rint(at), atol=1e-3)
        assert ours.array[tuple(np.rint(at).astype(int))] == theirs[index]


@pytest.mark.oracle
@pytest.mark.parametrize(("row", "column"), UPRIGHT[::5] + OBLIQUE)
def test_highdicom_has_the_same_affine(tmp_path, row, column):
    highdicom = pytest.importorskip("highdicom")
    stored = phantom((7, 6, 5))
    datasets = make_series(stored, lps_affine((row, column)))
    theirs = highdicom.get_volume_from_series(datasets, rtol=1e-3)
    ours = medimg.read(save(datasets, tmp_path))
    for index in itertools.product((0, 4), (0, 5), (0, 6)):  # theirs: slice, row, column
        lps = (theirs.affine @ (*index, 1))[:3]
        at = ours.world_to_voxel(lps * (-1, -1, 1))
        np.testing.assert_allclose(at, np.rint(at), atol=1e-3)
        assert ours.array[tuple(np.rint(at).astype(int))] == theirs.array[index]


class TestSampleStudy:
    """The CT series in data_samples and its label map, which is stored flipped in y against the slices."""

    def test_pixels_and_places_are_those_of_the_slices(self, sample_study):
        volume, _ = sample_study
        assert volume.shape == (512, 512, 20)
        assert volume.array.dtype == np.int16
        assert (volume.units, volume.provenance.modality, volume.axcodes) == ("HU", "CT", "LPS")
        assert volume.spacing == pytest.approx((0.9765625, 0.9765625, 2.0))
        assert len(volume.provenance.slices) == 20
        assert volume.array.min() == -1024

    def test_label_map_fits_through_physical_space(self, sample_study):
        volume, labels = sample_study
        assert labels.axcodes != volume.axcodes
        indices = np.argwhere(labels.array == 5)  # liver
        at = volume.world_to_voxel(labels.voxel_to_world(indices))
        np.testing.assert_allclose(at, np.rint(at), atol=0.01)
        hu = volume.array[tuple(np.rint(at).astype(int).T)]
        assert 80 < hu.mean() < 110
        assert hu.std() < 40
        wrong = volume.array[tuple(indices.T)]
        assert wrong.std() > 3 * hu.std()

    def test_organ_volumes_in_ml(self, sample_study):
        _, labels = sample_study
        ml = {label: (labels.array == label).sum() * labels.voxel_volume_ml for label in (1, 5)}
        assert ml[1] == pytest.approx(249, abs=1)
        assert ml[5] == pytest.approx(699, abs=1)

    @pytest.mark.oracle
    @pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
    def test_simpleitk_reads_the_same_values(self, sample_study, data_samples):
        sitk = pytest.importorskip("SimpleITK")
        volume, _ = sample_study
        for k in (0, 7, 19):
            image = sitk.ReadImage(str(volume.provenance.slices[k].path))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image)[0].T, volume.array[:, :, k])
            corner = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0))) * (-1, -1, 1)
            np.testing.assert_allclose(volume.voxel_to_world((0, 0, k)), corner, atol=1e-4)


@pytest.fixture(scope="module")
def data_samples(request):
    return request.config.rootpath / "data_samples"


@pytest.fixture(scope="module")
def sample_study(data_samples):
    folder = data_samples / "ct_dicom"
    return medimg.read(folder), medimg.read(folder / "example_seg_dicom.nii.gz", units="label")
