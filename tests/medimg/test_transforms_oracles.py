"""Resampling against SimpleITK, Pillow and scipy, and on the real CT series."""

from pathlib import Path

import numpy as np
import pytest

from medimg import Volume
from medimg.geometry import axcodes
from medimg.transforms import Compose, Grid, Orient, Resample, orient, resample, resample_to, spaced_grid
from medimg.transforms.sampling import gather

pytestmark = pytest.mark.oracle

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "imaging"


def tilted(spacing: tuple[float, float, float], turn: float, origin: tuple[float, float, float]) -> np.ndarray:
    c, s = np.cos(turn), np.sin(turn)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def to_sitk(volume: Volume):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    affine = _LPS @ volume.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def sitk_resample(volume: Volume, target: Grid, nearest: bool = False) -> np.ndarray:
    sitk = pytest.importorskip("SimpleITK")
    reference = to_sitk(Volume(np.zeros(target.shape, np.float32), target.affine))
    kind = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    result = sitk.Resample(to_sitk(volume), reference, sitk.Transform(), kind, -7.0)
    return sitk.GetArrayFromImage(result).transpose(2, 1, 0)


def noise(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    return Volume(np.random.default_rng(0).normal(size=shape).astype(np.float32), affine)


class TestSimpleITK:
    @pytest.mark.parametrize("source_turn", [0.0, 0.35])
    @pytest.mark.parametrize("target_turn", [0.0, 0.35, -0.6])
    @pytest.mark.parametrize("nearest", [False, True])
    def test_any_pair_of_grids(self, source_turn, target_turn, nearest):
        volume = noise((22, 25, 17), tilted((1.0, 1.2, 2.0), source_turn, (5, -6, 7)))
        target = Grid((30, 28, 33), tilted((0.9, 0.8, 1.1), target_turn, (3, -3, 9)))
        got = resample_to(volume, target, interpolation="nearest" if nearest else "linear", antialias=False, fill=-7)
        expected = sitk_resample(volume, target, nearest)
        differs = np.abs(got.array - expected) > 1e-4
        # A point within rounding of a border between voxels or of the volume's face may fall on either side.
        assert differs.mean() < (2e-3 if source_turn == target_turn else 1e-4)
        assert (expected != -7).mean() > 0.1

    @pytest.mark.parametrize("codes", ["LPS", "SRA", "IAL"])
    def test_oriented_sources(self, codes):
        volume = noise((22, 25, 17), tilted((1.0, 1.2, 2.0), 0.2, (5, -6, 7)))
        target = spaced_grid(volume, 0.85)
        got = resample_to(orient(volume, codes), target, fill=-7).array
        assert np.abs(got - sitk_resample(volume, target)).max() < 1e-4


class TestPillow:
    @pytest.mark.parametrize(("size", "new"), [((32, 24), (16, 8)), ((32, 24), (8, 6)), ((12, 10), (36, 25))])
    def test_linear(self, size, new):
        self.compare("linear", size, new, margin=0)

    @pytest.mark.parametrize(("size", "new"), [((64, 48), (32, 16)), ((12, 10), (36, 25))])
    def test_cubic_inside(self, size, new):
        self.compare("cubic", size, new, margin=max(3, 2 * new[0] // size[0]))

    def compare(self, interpolation: str, size: tuple[int, int], new: tuple[int, int], margin: int) -> None:
        """Pillow widens its filters for downsampling too; at whole factors both must agree."""
        image_module = pytest.importorskip("PIL.Image")
        array = np.random.default_rng(0).normal(size=size).astype(np.float32)
        kind = image_module.Resampling.BILINEAR if interpolation == "linear" else image_module.Resampling.BICUBIC
        expected = np.asarray(image_module.fromarray(array).resize(new[::-1], kind))
        factor = np.array(size) / np.array(new)
        got = resample(Volume(array[..., None], np.eye(4)), (*factor, 1.0), interpolation=interpolation).array[..., 0]
        assert got.shape == expected.shape
        inner = (slice(margin, -margin or None),) * 2
        assert np.abs(got - expected)[inner].max() < 1e-4


class TestScipy:
    def test_gather_at_arbitrary_positions(self):
        from scipy.ndimage import map_coordinates

        rng = np.random.default_rng(1)
        image = rng.normal(size=(2, 9, 10, 11)).astype(np.float32)
        matrix = np.column_stack([np.diag([0.9, 0.8, 0.7]) + rng.normal(0, 0.05, (3, 3)), [1.0, 1.1, 1.2]])
        shift = rng.normal(0, 0.3, (3, 6, 7, 8)).astype(np.float32)
        index = np.stack(np.indices((6, 7, 8)), 0)
        position = np.einsum("ij,jxyz->ixyz", matrix[:, :3], index) + matrix[:, 3:, None, None] + shift
        got = gather(image, matrix, (6, 7, 8), shift)
        for channel, result in zip(image, got):
            expected = map_coordinates(channel, position, order=1, mode="nearest", output=np.float64)
            assert np.abs(result - expected).max() < 1e-4


class TestMonai:
    def test_flips_and_permutations(self, monai_cases):
        """MONAI places the result by its affine's directions alone, which is what `orient` does."""
        replayed = 0
        for case in monai_cases("transforms__test_spatial_resample", "test_flips", "test_inverse"):
            image, _, options, expected = case["args"]
            affine = options["dst_affine"].astype(float)
            if affine.shape != (4, 4) or image.ndim != 4:
                continue
            volume = Volume(image[0], np.eye(4))
            turned = orient(volume, axcodes(affine))
            assert np.array_equal(turned.array, expected[0])
            assert np.array_equal(resample_to(volume, turned).array, expected[0])
            replayed += 1
        assert replayed >= 40

    def test_spacing_that_keeps_the_extent(self, monai_cases):
        replayed = 0
        for case in monai_cases("transforms__test_spacing", "test_spacing"):
            options, image, affine, _, expected = case["args"][:5]
            if image.ndim == 4 and options.get("scale_extent"):
                assert (
                    spaced_grid(Grid(image.shape[1:], affine.astype(float)), options["pixdim"]).shape
                    == expected.shape[1:]
                )
                replayed += 1
        assert replayed == 1


class TestRealSeries:
    def test_labels_survive_the_network_grid(self):
        """The 117 labels of the CT series, to 2 mm and back: structures of some size agree with themselves."""
        path = _DATA / "ct_dicom_totalseg" / "example_seg_dicom.nii.gz"
        if not path.exists():
            pytest.skip("the CT series (../shared/data) is not here")
        nibabel = pytest.importorskip("nibabel")
        image = nibabel.load(path)
        labels = Volume(np.asarray(image.dataobj).astype(np.uint8), image.affine, "label")
        applied = Compose([Orient("RAS"), Resample(2.0)]).apply(labels.with_array(labels.array.astype(np.int16)))
        there = applied.follow(labels)
        back = applied.undo(there)
        assert back.same_grid(labels)
        assert set(np.unique(back.array)) <= set(np.unique(labels.array))
        values, counts = np.unique(labels.array, return_counts=True)
        large = [v for v, n in zip(values, counts) if v and n > 20_000]
        assert len(large) >= 4
        for value in large:
            a, b = back.array == value, labels.array == value
            assert 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)) > 0.94
            drift = np.argwhere(a).mean(0) - np.argwhere(b).mean(0)
            assert np.abs(drift).max() < 0.5
