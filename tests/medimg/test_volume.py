"""Volume, provenance and the geometry of affines."""

import itertools
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medimg
from medimg import ImageError, Provenance, Volume, geometry

ORIENTATIONS = [
    "".join(choice) for order in itertools.permutations(("LR", "PA", "IS")) for choice in itertools.product(*order)
]

ROOT = Path(__file__).resolve().parents[2]


def affine_of(codes: str, spacing=(1.0, 2.0, 3.0)) -> np.ndarray:
    axes = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    affine = np.eye(4)
    affine[:3, :3] = np.array([axes[c] for c in codes], dtype=float).T * spacing
    affine[:3, 3] = (-10, 20, 30)
    return affine


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation by three angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians((x, y, z))), np.sin(np.radians((x, y, z)))
    return (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )


class TestVolume:
    def test_an_array_and_an_affine_are_enough(self):
        volume = Volume(np.zeros((3, 4, 5), np.int16), np.diag([1, 2, 3, 1]))
        assert volume.shape == (3, 4, 5)
        assert volume.spacing == (1, 2, 3)
        assert (volume.units, volume.provenance) == ("unknown", Provenance())
        assert volume.voxel_volume_ml == pytest.approx(0.006)
        assert repr(volume) == "Volume(3x4x5 int16, 1x2x3 mm, RAS, unknown)"

    def test_the_array_is_not_copied_and_the_affine_is_safe(self):
        array, affine = np.zeros((2, 2, 2)), np.eye(4)
        volume = Volume(array, affine)
        assert volume.array is array
        affine[0, 0] = 7
        assert volume.affine[0, 0] == 1
        with pytest.raises(ValueError, match="read-only"):
            volume.affine[0, 0] = 2

    @pytest.mark.parametrize(
        ("array", "affine", "words"),
        [
            (np.zeros((2, 2)), np.eye(4), "three-dimensional"),
            (np.zeros((2, 0, 2)), np.eye(4), "non-empty"),
            (np.zeros((2, 2, 2), complex), np.eye(4), "real numbers"),
            (np.zeros((2, 2, 2)), np.eye(3), "4x4"),
            (np.zeros((2, 2, 2)), np.diag([1, 1, np.nan, 1]), "NaN"),
            (np.zeros((2, 2, 2)), np.diag([1, 1, 0, 1]), "singular"),
            (np.zeros((2, 2, 2)), np.ones((4, 4)), "last row"),
        ],
    )
    def test_what_is_no_volume_is_refused(self, array, affine, words):
        with pytest.raises(ImageError, match=words):
            Volume(array, affine)

    def test_with_array_keeps_the_grid_and_refuses_another_shape(self):
        volume = Volume(np.zeros((2, 3, 4)), np.diag([1, 2, 3, 1]), "HU", Provenance(notes=("a",)))
        labels = volume.with_array(np.ones((2, 3, 4), np.uint8), units="label")
        assert labels.same_grid(volume)
        assert (labels.units, labels.provenance.notes) == ("label", ("a",))
        assert volume.with_array(np.ones((2, 3, 4))).units == "HU"
        with pytest.raises(ImageError, match="new affine"):
            volume.with_array(np.ones((3, 2, 4)))

    def test_same_grid_looks_at_every_corner(self):
        volume = Volume(np.zeros((101, 2, 2)), np.eye(4))
        turned = np.eye(4)
        turned[1, 0] = 0.0002  # 0.02 mm at the far end
        assert not volume.same_grid(Volume(volume.array, turned))
        assert volume.same_grid(Volume(volume.array, turned), tolerance=0.03)
        assert not volume.same_grid(Volume(np.zeros((100, 2, 2)), np.eye(4)))

    def test_notes_and_history_are_appended(self):
        volume = Volume(np.zeros((2, 2, 2)), np.eye(4)).with_notes("one").with_notes("two").with_history("resampled")
        assert volume.provenance.notes == ("one", "two")
        assert volume.provenance.history == ("resampled",)

    def test_voxels_and_world_are_inverse(self):
        affine = affine_of("LPS", (0.7, 0.8, 2.0))
        affine[:3, :3] = rotation(10, 20, 30) @ affine[:3, :3]
        volume = Volume(np.zeros((5, 6, 7)), affine)
        points = np.random.default_rng(0).uniform(-5, 12, (4, 3, 3))
        np.testing.assert_allclose(volume.world_to_voxel(volume.voxel_to_world(points)), points, atol=1e-12)
        np.testing.assert_allclose(volume.voxel_to_world((0, 0, 0)), volume.origin)
        with pytest.raises(ImageError, match=r"\(\.\.\., 3\)"):
            volume.voxel_to_world((1, 2))


class TestGeometry:
    @pytest.mark.parametrize("codes", ORIENTATIONS)
    def test_axcodes_of_all_48_orientations(self, codes):
        assert len(ORIENTATIONS) == 48
        affine = affine_of(codes)
        assert geometry.axcodes(affine) == codes
        assert geometry.spacing(affine) == (1, 2, 3)
        assert geometry.handedness(affine) == np.sign(np.linalg.det(affine[:3, :3]))

    @settings(max_examples=200, deadline=None)
    @given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(0.2, 8)] * 3), st.sampled_from(ORIENTATIONS))
    def test_axcodes_of_oblique_grids_agree_with_nibabel(self, angles, spacing, codes):
        affine = affine_of(codes, spacing)
        affine[:3, :3] = rotation(*angles) @ affine[:3, :3]
        cosines = np.sort(np.abs(geometry.directions(affine)), axis=0)
        ours = geometry.axcodes(affine)
        assert sorted(geometry.axcodes(affine).translate(str.maketrans("LPI", "RAS"))) == ["A", "R", "S"]
        if (cosines[2] - cosines[1]).min() > 0.2:  # elsewhere the nearest axis is a matter of taste
            assert ours == "".join(nib.aff2axcodes(affine))

    @pytest.mark.parametrize("degrees", [-20.0, -3.0, 0.0, 0.5, 15.0])
    def test_tilt_is_measured_on_the_affine(self, degrees):
        affine = affine_of("LPS", (0.8, 0.8, 5.0))
        affine[:3, 2] += affine[:3, 1] / 0.8 * 5.0 * np.tan(np.radians(degrees))
        assert geometry.tilt(affine) == pytest.approx(degrees, abs=1e-9)
        assert geometry.is_orthogonal(affine) == (degrees == 0)
        assert geometry.shear(affine) == pytest.approx(abs(np.sin(np.radians(degrees))))

    def test_volume_of_a_sheared_voxel_is_that_of_its_base_times_height(self):
        affine = np.eye(4)
        affine[0, 2] = 5.0
        assert Volume(np.zeros((2, 2, 2)), affine).voxel_volume_ml == pytest.approx(0.001)

    def test_rounding_is_repaired_and_said(self):
        exact = affine_of("LPS", (0.7, 0.7, 3.0))
        exact[:3, :3] = rotation(5, -12, 40) @ exact[:3, :3]
        rounded = exact.copy()
        rounded[:3, :3] = np.round(exact[:3, :3], 4)
        volume = Volume(np.zeros((50, 50, 10)), rounded)
        assert geometry.shear(rounded) > 1e-6
        repaired = volume.with_orthogonal_axes()
        assert geometry.shear(repaired.affine) < 1e-12
        assert repaired.spacing == pytest.approx(volume.spacing)
        assert repaired.same_grid(volume, tolerance=0.02)
        assert "exactly orthogonal" in repaired.provenance.notes[-1]

    def test_a_real_shear_is_not_repaired(self):
        affine = np.eye(4)
        affine[1, 2] = 0.1
        volume = Volume(np.zeros((2, 2, 2)), affine)
        assert not volume.is_orthogonal
        assert volume.tilt == pytest.approx(np.degrees(np.arctan(0.1)))
        with pytest.raises(ImageError, match=r"tilt 5.71 degrees.*resample"):
            volume.with_orthogonal_axes()

    def test_obliquity(self):
        affine = np.eye(4)
        affine[:3, :3] = rotation(0, 0, 30)
        assert geometry.obliquity(affine) == pytest.approx((30, 30, 0))

    def test_lps_and_ras_are_each_others_mirror(self):
        affine = affine_of("LPS")
        np.testing.assert_array_equal(geometry.lps_to_ras(geometry.lps_to_ras(affine)), affine)
        assert geometry.axcodes(geometry.lps_to_ras(affine)) == "RAS"


def test_names_are_lazy():
    """`import medimg` must not load nibabel or pydicom: the command line's help waits for it."""
    code = (
        "import sys, medimg; medimg.Volume, medimg.ImageError;"
        "print([m for m in ('nibabel', 'pydicom', 'nrrd', 'scipy', 'numba', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nonsense"):
        medimg.nonsense  # noqa: B018
