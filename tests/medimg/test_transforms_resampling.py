"""Resampling: extents, world positions, label values; decisions from class scores."""

import numpy as np
import pytest
from grids import CODES, affine_of, blob, centroid, coded, dice, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from medimg import Volume
from medimg.transforms import (
    Compose,
    Grid,
    Orient,
    Resample,
    ResampleTo,
    label_from_probabilities,
    orient,
    resample,
    resample_to,
    spaced_grid,
)

spacings = st.tuples(*[st.floats(0.5, 4.0)] * 3)
angles = st.tuples(*[st.floats(-0.6, 0.6)] * 3)
shapes = st.tuples(*[st.integers(1, 6)] * 3)


class TestResample:
    @given(shapes, spacings, st.tuples(*[st.floats(0.3, 6.0)] * 3), angles)
    @settings(max_examples=80, deadline=None)
    def test_extent_and_centre_are_kept(self, shape, spacing, new, turn):
        grid = Grid(shape, affine_of(spacing, turn, (10, 20, 30)))
        result = spaced_grid(grid, new)
        assert np.allclose(result.spacing, new)
        assert np.allclose(grid.to_world((np.array(shape) - 1) / 2), result.to_world((np.array(result.shape) - 1) / 2))
        lost = np.abs(np.array(shape) * spacing - np.array(result.shape) * new)
        assert np.all((lost <= np.array(new) / 2 + 1e-9) | (np.array(result.shape) == 1))
        if max(np.divide(spacing, new)) < 3:
            volume = resample(Volume(np.ones(shape, np.int16), grid.affine), new)
            assert volume.shape == result.shape
            assert np.allclose(volume.array, 1, atol=1e-6)

    @given(st.sampled_from(CODES), spacings, angles, st.floats(1.0, 3.0), angles)
    @settings(max_examples=50, deadline=None)
    def test_a_blob_stays_in_its_place(self, codes, spacing, turn, new, other_turn):
        _, label = blob((16, 18, 14), affine_of(spacing, turn, (7, -5, 3)), codes)
        place = centroid(label, 3)
        finer = resample(label, min(new, min(spacing)), label=True)
        assert np.linalg.norm(centroid(finer, 3) - place) < 0.5 * min(spacing)
        oblique = Grid((32, 32, 32), affine_of((new, new, new), other_turn))
        oblique.affine[:3, 3] += place - oblique.to_world((15.5, 15.5, 15.5))
        there = resample_to(label, oblique, label=True)
        whole = not any(there.array.take(side, axis).any() for axis in range(3) for side in (0, -1))
        if whole and np.count_nonzero(there.array) > 60:
            assert np.linalg.norm(centroid(there, 3) - place) < 0.5 * max(new, min(spacing))
        assert set(np.unique(there.array)) <= {0, 3}
        assert there.array.dtype == label.array.dtype

    @pytest.mark.parametrize("interpolation", ["linear", "cubic"])
    @pytest.mark.parametrize("oblique", [False, True])
    @pytest.mark.parametrize("new", [0.7, 2.6])
    @pytest.mark.parametrize("codes", ["RAS", "PIL", "SRA"])
    def test_a_ramp_in_world_space_is_kept(self, interpolation, oblique, new, codes):
        """Both interpolations reproduce linear functions, so each voxel must show the ramp's value at its own place."""
        slope = np.array([1.0, -2.0, 0.5])
        shape = (20, 24, 22)
        affine = affine_of((1.5, 1.0, 1.3), (0.1, 0.2, -0.1), (4, 5, 6))
        index = np.stack(np.indices(shape), -1)
        ramp = (Grid(shape, affine).to_world(index) @ slope).astype(np.float32)
        volume = orient(Volume(ramp, affine), codes)
        target = spaced_grid(Grid(shape, affine), new)
        if oblique:
            centre = target.to_world((np.array(target.shape) - 1) / 2)
            target.affine[:3, :3] = rotation((0.3, -0.2, 0.4)) @ target.affine[:3, :3]
            target.affine[:3, 3] += centre - target.to_world((np.array(target.shape) - 1) / 2)
        result = resample_to(volume, target, interpolation=interpolation, fill=np.nan)
        at = np.stack(np.indices(target.shape), -1)
        world = target.to_world(at)
        depth = volume.world_to_voxel(world)
        margin = 2 * max(1.0, new)
        inner = np.all((depth > margin) & (depth < np.array(volume.shape) - 1 - margin), axis=-1)
        assert inner.sum() > 20
        assert np.abs(result.array - world @ slope)[inner].max() < 2e-4
        outside = np.any((depth < -0.6) | (depth > np.array(volume.shape) - 0.4), axis=-1)
        assert np.isnan(result.array[outside]).all() or oblique

    def test_downsampling_averages(self):
        board = (np.indices((32, 32, 32)).sum(axis=0) % 2).astype(np.float32)
        fine = Volume(board, np.eye(4))
        inner = (slice(2, -2),) * 3
        assert np.allclose(resample(fine, 2.0).array[inner], 0.5, atol=1e-6)
        oblique = Grid((6, 6, 6), affine_of((2, 2, 2), (0.2, 0.1, 0.3), (12, 9, 10)))
        assert np.abs(resample_to(fine, oblique).array - 0.5).max() < 0.2
        assert np.abs(resample_to(fine, oblique, antialias=False).array - 0.5).max() > 0.3

    @pytest.mark.parametrize("label", [False, True])
    def test_spacing_off_by_rounding_only(self, label):
        """Scales of 1 + 1e-10, with another axis that does change."""
        volume = Volume(np.random.default_rng(0).integers(0, 3, (6, 6, 6)).astype(np.uint8), np.eye(4))
        target = Grid((6, 6, 12), np.diag([1 + 1e-10, 1 - 1e-10, 0.5, 1]))
        target.affine[2, 3] = -0.25
        result = resample_to(volume, target, label=label).array
        assert np.allclose(result[..., 0], volume.array[..., 0], atol=1e-6)
        assert np.allclose(result[..., -1], volume.array[..., -1], atol=1e-6)

    def test_none_keeps_a_spacing(self):
        volume = coded((4, 4, 4), affine_of((1, 2, 3)))
        assert resample(volume, (2, None, None)).spacing == pytest.approx((2, 2, 3))

    def test_same_spacing_copies(self):
        volume = coded((3, 4, 5), affine_of((1, 2, 3), (0.2, 0.1, 0)))
        result = resample(volume, (1, 2, 3))
        assert np.array_equal(result.array, volume.array)
        assert not np.shares_memory(result.array, volume.array)

    def test_rounded_direction_cosines_still_copy(self):
        affine = affine_of((0.8, 0.8, 2.0), (0.1, 0.2, 0.3))
        volume = Volume(np.arange(60 * 50 * 20, dtype=np.int16).reshape(60, 50, 20), affine)
        shifted = Volume(np.zeros((60, 50, 20), np.int16), np.round(affine, 6))
        assert np.array_equal(resample_to(volume, shifted).array, volume.array)

    def test_votes_beat_nearest(self):
        grid = affine_of((1.7, 1.7, 3.0))
        _, coarse = blob((24, 26, 15), grid, "RAS")
        fine_shape = tuple(round(n * s / 0.6) for n, s in zip(coarse.shape, (1.7, 1.7, 3.0)))
        fine = spaced_grid(coarse, 0.6)
        assert fine.shape == fine_shape
        centre = Grid.of(coarse).to_world((np.array(coarse.shape) - 1) / 2)
        radii = np.array(coarse.shape) * (1.7, 1.7, 3.0) / 2 * np.array([0.55, 0.6, 0.65])
        truth = (((fine.to_world(np.stack(np.indices(fine.shape), -1)) - centre) / radii) ** 2).sum(-1) < 1
        votes = resample_to(coarse, fine, label=True).array
        nearest = resample_to(coarse, fine, label=True, interpolation="nearest").array
        assert dice(votes, truth) > dice(nearest, truth) + 0.005
        back = resample_to(Volume(truth.astype(np.uint8), fine.affine), coarse, label=True).array
        picked = resample_to(Volume(truth.astype(np.uint8), fine.affine), coarse, True, "nearest").array
        assert dice(back, coarse.array) >= dice(picked, coarse.array) - 0.01

    def test_votes_equal_the_largest_interpolated_indicator(self):
        rng = np.random.default_rng(3)
        labels = rng.integers(0, 4, (7, 8, 9)).astype(np.uint8)
        volume = Volume(labels, affine_of((1, 1.3, 2)))
        for target in (
            spaced_grid(volume, 0.77),
            Grid((9, 8, 7), affine_of((0.8, 0.9, 1.0), (0.2, 0.3, 0.1), (1, 1, 2))),
        ):
            scores = np.stack(
                [resample_to(Volume((labels == c).astype(np.float32), volume.affine), target).array for c in range(4)]
            )
            got = resample_to(volume, target, label=True).array
            chosen = np.take_along_axis(scores, got[None].astype(int), 0)[0]
            covered = scores.sum(axis=0) > 0.5
            assert np.all(chosen[covered] >= scores.max(axis=0)[covered] - 1e-4)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, bool, np.float32])
    def test_label_dtype_and_large_values(self, dtype):
        values = np.array([0, 1]) if dtype is bool else np.array([0, 200 if dtype == np.uint8 else 1000])
        array = values[np.random.default_rng(0).integers(0, 2, (6, 6, 6))].astype(dtype)
        for oblique in (0.0, 0.2):
            target = Grid((8, 8, 8), affine_of((0.7, 0.7, 0.7), (oblique, 0, 0)))
            result = resample_to(Volume(array, np.eye(4)), target, label=True)
            assert result.array.dtype == dtype
            assert set(np.unique(result.array)) <= set(values.tolist())

    def test_negative_labels(self):
        array = np.full((4, 4, 4), -1, np.int16)
        array[2:] = 300
        assert set(np.unique(resample(Volume(array, np.eye(4)), 0.5, label=True).array)) == {-1, 300}

    def test_fill(self):
        volume = Volume(np.full((4, 4, 4), 5, np.int16), np.eye(4))
        for turn in (0.0, 0.3):
            far = Grid((3, 3, 3), affine_of((1, 1, 1.01), (turn, 0, 0), (50, 0, 0)))
            assert np.all(resample_to(volume, far, fill=-1000).array == -1000)
            assert np.all(resample_to(volume, far, label=True, fill=9).array == 9)
            assert np.all(resample_to(volume, far, label=True, interpolation="nearest", fill=9).array == 9)
            assert np.all(resample_to(volume, far, interpolation="nearest", fill=9).array == 9)

    def test_single_slices(self):
        volume = Volume(np.arange(16.0).reshape(4, 4, 1), affine_of((1, 1, 5)))
        assert resample(volume, 1.0).shape == (4, 4, 5)
        assert np.allclose(resample(volume, 1.0).array, volume.array)

    def test_fortran_order_gives_the_same(self):
        array = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
        c = resample(Volume(array, np.eye(4)), (0.6, 1.7, 1.2)).array
        f = resample(Volume(np.asfortranarray(array), np.eye(4)), (0.6, 1.7, 1.2)).array
        assert np.allclose(c, f, atol=1e-5)

    def test_refuses_bad_requests(self):
        volume = coded((3, 3, 3), np.eye(4))
        with pytest.raises(ValueError, match="must be positive"):
            resample(volume, (1, 0, 1))
        with pytest.raises(ValueError, match="one number or three"):
            resample(volume, (1, 1))
        with pytest.raises(ValueError, match="no interpolation"):
            resample(volume, 2, interpolation="bspline")
        with pytest.raises(ValueError, match="no interpolation"):
            Resample(2, interpolation="bspline")
        with pytest.raises(ValueError, match="not 'cubic'"):
            resample(volume, 2, label=True, interpolation="cubic")
        with pytest.raises(ValueError, match="holds fractions"):
            resample(Volume(np.full((3, 3, 3), 0.5), np.eye(4)), 2, label=True)

    def test_resample_to_as_transform(self):
        volume, label = blob((20, 20, 20), affine_of((1, 1, 1)), "RAS")
        applied = ResampleTo(Grid((25, 25, 25), affine_of((0.8, 0.8, 0.8))), "cubic").apply(volume)
        assert applied.volume.shape == (25, 25, 25)
        assert dice(applied.undo(applied.follow(label)).array, label.array) > 0.97


class TestProbabilities:
    def scores(self) -> tuple[np.ndarray, Grid]:
        rng = np.random.default_rng(5)
        return rng.random((3, 8, 9, 10), dtype=np.float32), Grid(
            (8, 9, 10), affine_of((2, 2, 3), (0, 0, 0.1), (1, 2, 3))
        )

    @pytest.mark.parametrize("turn", [0.0, 0.3])
    def test_equals_interpolating_everything_first(self, turn):
        scores, source = self.scores()
        target = Grid((17, 12, 20), affine_of((1.1, 1.3, 1.7), (0, turn, 0.1), (2, 3, 4)))
        dense = np.stack([resample_to(Volume(s, source.affine), target, fill=-np.inf).array for s in scores])
        expected = np.where(np.isfinite(dense).all(axis=0), dense.argmax(axis=0), 0)
        for memory in (1, 20_000, 1 << 30):
            got = label_from_probabilities(scores, source, target, memory=memory)
            assert got.dtype == np.uint8
            # Slabs shift the affine, so positions differ by rounding; only near-ties may fall otherwise.
            assert np.mean(got != expected) < 2e-3

    def test_exact_on_the_same_lattice(self):
        scores, source = self.scores()
        target = source.window((-1, 2, 0), (5, 9, 12))
        got = label_from_probabilities(scores, source, target, labels=[0, 700, 4])
        assert got.dtype == np.int32
        assert np.array_equal(got[1:, :, :10], np.array([0, 700, 4])[scores.argmax(0)][:5, 2:])
        assert not got[0].any()
        assert not got[:, :, 10:].any()

    def test_undo_probabilities(self):
        volume, label = blob((30, 30, 20), affine_of((1, 1, 2)), "LPI")
        applied = Compose([Orient("RAS"), Resample(2.0)]).apply(volume)
        there = applied.follow(label).array > 0
        scores = np.stack([1.0 - there, there]).astype(np.float32)
        assert dice(applied.undo_probabilities(scores), label.array) > 0.93

    def test_refuses_other_shapes(self):
        scores, source = self.scores()
        with pytest.raises(ValueError, match="scores must have"):
            label_from_probabilities(scores[:, 1:], source, source)
        with pytest.raises(ValueError, match="2 labels"):
            label_from_probabilities(scores, source, source, labels=[0, 1])
