"""Metrics against closed forms, scipy, SimpleITK and MONAI's own test cases; the policy for empty masks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medimg.metrics import (
    SurfaceDistances,
    agreement,
    assd,
    best_threshold,
    dice,
    hausdorff,
    hd95,
    iou,
    nsd,
    overlap_counts,
    surface_distances,
    volume_ml,
)

masks = st.tuples(*[st.integers(1, 7)] * 3).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)
edges = st.tuples(*[st.floats(0.4, 4.0)] * 3)


def cube(shape: tuple[int, int, int], start: tuple[int, int, int], size: int) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(a, a + size) for a in start)] = 1
    return mask


class TestOverlap:
    def test_by_hand(self):
        a, b = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]])
        assert dice(a, b) == pytest.approx(2 / 5)
        assert iou(a, b) == pytest.approx(1 / 4)

    def test_one_label_of_several(self):
        a, b = np.array([0, 1, 2, 2, 7]), np.array([1, 1, 2, 0, 7])
        assert dice(a, b, label=1) == pytest.approx(2 / 3)
        assert dice(a, b, label=2) == pytest.approx(2 / 3)
        assert iou(a, b, label=7) == 1
        assert dice(a, b) == pytest.approx(2 * 3 / 8)

    def test_empty_policy(self):
        none, some = np.zeros(4), np.array([0, 1, 0, 0])
        assert dice(none, none) == iou(none, none) == 1.0
        assert math.isnan(dice(none, none, empty=math.nan))
        assert dice(none, some) == dice(some, none) == iou(none, some) == iou(some, none) == 0.0

    @given(masks)
    @settings(max_examples=60, deadline=None)
    def test_relations(self, pair):
        a, b = pair
        assert dice(a, b) == dice(b, a)
        assert 0 <= iou(a, b) <= dice(a, b) <= 1
        assert dice(a, b) == pytest.approx(2 * iou(a, b) / (1 + iou(a, b)))
        assert dice(a, a) == 1

    def test_volume(self):
        labels = np.array([[[0, 1, 1, 2]]])
        assert volume_ml(labels, (10, 10, 5)) == pytest.approx(1.5)
        assert volume_ml(labels, (10, 10, 5), label=1) == pytest.approx(1.0)
        assert volume_ml(labels, (10, 10, 5), label=9) == 0
        with pytest.raises(ValueError, match="spacing must be"):
            volume_ml(labels, (1, 1))

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
    def test_counts(self, dtype):
        rng = np.random.default_rng(0)
        a, b = (rng.integers(0, 5, (6, 7, 8)).astype(dtype) for _ in range(2))
        counts = overlap_counts(a, b, [3, 1, 99])
        for row, label in zip(counts, [3, 1, 99]):
            assert row.tolist() == [(a == label).sum(), (b == label).sum(), ((a == label) & (b == label)).sum()]
        assert overlap_counts(a.astype(np.int32) - 4, b.astype(np.int32) - 4, [-1])[0].tolist() == counts[0].tolist()

    def test_refusals(self):
        with pytest.raises(ValueError, match="differ in shape"):
            dice(np.zeros(3), np.zeros(4))
        with pytest.raises(ValueError, match="fractions"):
            overlap_counts(np.full(3, 0.5), np.zeros(3), [1])
        with pytest.raises(ValueError, match="too far apart"):
            overlap_counts(np.array([2**30]), np.array([0]), [1])

    @pytest.mark.parametrize(("name", "measure"), [("meandice", dice), ("meaniou", iou)])
    def test_monai_cases(self, monai_cases, name, measure):
        replayed = 0
        for case in monai_cases(f"metrics__test_compute_{name}", "test_value", "test_value_class"):
            options, expected = case["args"]
            if isinstance(options["y"], list):
                options = {**options, "y": np.stack(options["y"]), "y_pred": np.stack(options["y_pred"])}
            empty = math.nan if options.get("ignore_empty", True) else 1.0
            first = 0 if options.get("include_background", True) else 1
            for n, c in np.ndindex(np.shape(expected)):
                prediction, reference = options["y_pred"][n, c + first], options["y"][n, c + first]
                if math.isnan(expected[n][c]):
                    # MONAI leaves out every case with an empty reference; here only those empty on both sides may be.
                    assert not reference.any()
                    continue
                assert measure(prediction, reference, empty=empty) == pytest.approx(expected[n][c], abs=1e-4)
                replayed += 1
        assert replayed >= 15


class TestSurface:
    def test_two_voxels(self):
        a, b = np.zeros((9, 9, 9)), np.zeros((9, 9, 9))
        a[1, 2, 3] = b[4, 2, 7] = 1
        spacing = (2.0, 1.0, 0.5)
        expected = math.hypot(3 * 2.0, 4 * 0.5)
        assert hausdorff(a, b, spacing) == pytest.approx(expected)
        assert hd95(a, b, spacing) == pytest.approx(expected)
        assert assd(a, b, spacing) == pytest.approx(expected)
        assert nsd(a, b, spacing, expected) == 1
        assert nsd(a, b, spacing, expected - 0.01) == 0

    def test_shifted_cubes(self):
        """A cube of edge 5 moved by 2 along x: distances by counting. Its surface has 5^3 - 3^3 = 98 voxels."""
        a, b = cube((20, 20, 20), (3, 4, 5), 5), cube((20, 20, 20), (5, 4, 5), 5)
        result = surface_distances(a, b, (1, 1, 1))
        assert len(result.to_reference) == len(result.to_prediction) == 98
        assert result.hd == 2
        # Plane x=3 (25 voxels) is 2 away from plane x=5, x=4 (rim of 16) 1 away from its rim. Plane x=7 lies in the
        # other cube: its rim on the other's surface, its inner 9 at 1 (8) and 2 (the centre) from the rim there.
        assert np.sort(result.to_reference).tolist() == [0.0] * (98 - 25 - 16 - 9) + [1.0] * (16 + 8) + [2.0] * 26
        assert result.assd == pytest.approx((24 + 52) / 98)
        assert result.nsd(1.0) == pytest.approx(1 - 26 / 98)

    def test_parallel_planes(self):
        a, b = np.zeros((12, 10, 10)), np.zeros((12, 10, 10))
        a[3], b[8] = 1, 1
        result = surface_distances(a, b, (0.7, 1, 1))
        assert result.hd == result.hd95 == pytest.approx(3.5)
        assert result.assd == pytest.approx(3.5)
        assert result.nsd(3.5) == 1
        assert result.nsd(3.49) == 0

    @given(masks, edges)
    @settings(max_examples=80, deadline=None)
    def test_against_all_pairs(self, pair, spacing):
        a, b = pair

        def surface(mask: np.ndarray) -> np.ndarray:
            padded = np.pad(mask, 1)
            inner = padded.copy()
            for axis, step in itertools.product(range(3), (-1, 1)):
                inner &= np.roll(padded, step, axis)
            return np.argwhere(padded & ~inner) * np.array(spacing)

        points = surface(a), surface(b)
        result = surface_distances(a, b, spacing)
        for got, (here, there) in zip((result.to_reference, result.to_prediction), (points, points[::-1])):
            if len(there):
                expected = np.sqrt(((here[:, None] - there[None]) ** 2).sum(-1)).min(1, initial=np.inf)
                assert np.allclose(got, expected)
            else:
                assert np.all(np.isinf(got))
                assert len(got) == len(here)

    @given(masks, edges)
    @settings(max_examples=40, deadline=None)
    def test_relations(self, pair, spacing):
        a, b = pair
        one, two = surface_distances(a, b, spacing), surface_distances(b, a, spacing)
        assert (one.hd, one.hd95, one.nsd(1)) == (two.hd, two.hd95, two.nsd(1))
        assert one.assd == pytest.approx(two.assd) or one.assd == two.assd
        assert one.hd95 <= one.hd
        assert 0 <= one.nsd(0.5) <= one.nsd(2) <= 1
        assert not any(math.isnan(v) for v in (one.hd, one.hd95, one.assd, one.nsd(1)))

    def test_empty_policy(self):
        none, some = np.zeros((5, 5, 5)), cube((5, 5, 5), (1, 1, 1), 2)
        absent = surface_distances(none, none, (1, 1, 1))
        assert (absent.hd, absent.hd95, absent.assd, absent.nsd(1)) == (0, 0, 0, 1)
        for pair in ((none, some), (some, none)):
            wrong = surface_distances(*pair, (1, 1, 1))
            assert (wrong.hd, wrong.hd95, wrong.assd, wrong.nsd(1e9)) == (math.inf, math.inf, math.inf, 0)
            assert wrong.percentile(37.5) == math.inf

    def test_border_of_the_array_is_a_surface(self):
        full = np.ones((3, 3, 3))
        assert len(surface_distances(full, full, (1, 1, 1)).to_reference) == 26

    def test_two_dimensions(self):
        square = np.zeros((8, 8))
        square[1:6, 1:6] = 1
        moved = np.roll(square, 2, axis=1)
        assert len(surface_distances(square, square, (1, 1)).to_reference) == 16
        assert hausdorff(square, moved, (1, 3)) == 6

    def test_label_maps(self):
        a, b = cube((9, 9, 9), (1, 1, 1), 3), cube((9, 9, 9), (2, 1, 1), 3)
        both = surface_distances(np.where(a, 4, 1), np.where(b, 4, 1), (1, 1, 1), label=4)
        assert both.hd == surface_distances(a, b, (1, 1, 1)).hd

    def test_refusals(self):
        a = np.ones((3, 3, 3))
        with pytest.raises(ValueError, match="spacing must be"):
            hd95(a, a, (1, 1))
        with pytest.raises(ValueError, match="differ in shape"):
            hd95(a, a[1:], (1, 1, 1))
        with pytest.raises(ValueError, match="tolerance"):
            nsd(a, a, (1, 1, 1), -1)
        with pytest.raises(ValueError, match="percentile"):
            hausdorff(a, a, (1, 1, 1), percentile=101)
        with pytest.raises(ValueError, match="dimensions"):
            hd95(np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 2)), (1, 1, 1, 1))

    @pytest.mark.oracle
    def test_against_simpleitk(self):
        sitk = pytest.importorskip("SimpleITK")
        rng = np.random.default_rng(2)
        from scipy.ndimage import gaussian_filter

        a, b = (gaussian_filter(rng.standard_normal((30, 34, 28)), 3) > 0.02 for _ in range(2))
        spacing = (0.9, 1.4, 2.2)
        images = []
        for mask in (a, b):
            image = sitk.GetImageFromArray(mask.astype(np.uint8).transpose(2, 1, 0))
            image.SetSpacing(spacing)
            images.append(image)
        measures = sitk.LabelOverlapMeasuresImageFilter()
        measures.Execute(*images)
        assert dice(a, b) == pytest.approx(measures.GetDiceCoefficient())
        assert iou(a, b) == pytest.approx(measures.GetJaccardCoefficient())
        # ITK's filter measures from every voxel of a mask, not from its surface, to the other mask. Given only the
        # surfaces as masks it measures what is meant here.
        contours = [sitk.BinaryErode(image, (1, 1, 1), sitk.sitkCross, 0.0, 1.0, False) for image in images]
        surfaces = [image - contour for image, contour in zip(images, contours)]
        distance = sitk.HausdorffDistanceImageFilter()
        distance.Execute(*surfaces)
        assert hausdorff(a, b, spacing) == pytest.approx(distance.GetHausdorffDistance(), rel=1e-5)

    @pytest.mark.oracle
    def test_monai_hausdorff_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("metrics__test_hausdorff_distance", "test_value"):
            _, metric, directed, (prediction, reference, *rest), expected = case["args"]
            if metric != "euclidean" or directed:
                continue
            percentile, spacing = _monai_options(rest)
            got = hausdorff(prediction, reference, spacing, percentile=percentile)
            assert got == pytest.approx(expected, rel=1e-5)
            replayed += 1
        assert replayed >= 5

    @pytest.mark.oracle
    def test_monai_surface_distance_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("metrics__test_surface_distance", "test_value"):
            (prediction, reference, metric, *spacing), (symmetric, directed) = case["args"]
            if metric != "euclidean":
                continue
            result = surface_distances(prediction, reference, spacing[0] or (1, 1, 1))
            assert result.assd == pytest.approx(symmetric, abs=1e-4)
            if prediction.any() and reference.any():
                assert float(result.to_reference.mean()) == pytest.approx(directed, abs=1e-4)
            replayed += 1
        assert replayed >= 5


def _monai_options(rest: list) -> tuple[float, tuple[float, ...]]:
    percentile = next((value for value in rest if isinstance(value, (int, float)) and value > 1), None)
    spacing = next((tuple(value) for value in rest if isinstance(value, (tuple, list))), (1, 1, 1))
    return (100.0 if percentile is None else float(percentile)), spacing


class TestAgreement:
    def test_table(self):
        reference = cube((20, 20, 20), (3, 4, 5), 5) + 2 * cube((20, 20, 20), (12, 12, 12), 4)
        prediction = cube((20, 20, 20), (5, 4, 5), 5) + 3 * cube((20, 20, 20), (12, 12, 12), 4)
        rows = agreement(prediction, reference, {1: "liver", 2: "spleen", 3: "kidney", 4: "aorta"}, (1, 1, 2), 1.0)
        assert [row.name for row in rows] == ["liver", "spleen", "kidney", "aorta"]
        assert [row.found for row in rows] == ["both", "missed", "invented", "absent"]
        liver, spleen, kidney, aorta = rows
        assert liver.dice == pytest.approx(dice(prediction, reference, 1)) == pytest.approx(3 / 5)
        assert liver.iou == pytest.approx(iou(prediction, reference, 1))
        assert liver.volume_ml == pytest.approx(0.25)
        assert liver.difference_ml == 0
        assert liver.hd95 == hd95(prediction, reference, (1, 1, 2), 1)
        assert liver.assd == assd(prediction, reference, (1, 1, 2), 1)
        assert liver.nsd == nsd(prediction, reference, (1, 1, 2), 1.0, 1)
        assert (spleen.dice, spleen.hd95, spleen.nsd) == (0, math.inf, 0)
        assert spleen.difference_ml == pytest.approx(-0.128)
        assert (kidney.dice, kidney.assd) == (0, math.inf)
        assert (aorta.dice, aorta.iou, aorta.hd95, aorta.assd, aorta.nsd) == (1, 1, 0, 0, 1)

    def test_ignored_voxels_count_nowhere(self):
        reference = cube((8, 8, 8), (1, 1, 1), 4)
        prediction = reference.copy()
        prediction[:, :, 4:] = 1
        reference = reference.copy()
        reference[:, :, 4:] = 255
        (row,) = agreement(prediction, reference, [1], (1, 1, 1), ignore=255)
        assert row.dice == 1
        assert row.hd95 == 0
        assert row.name == "1"


class TestBestThreshold:
    @given(st.integers(0, 2**32 - 1), st.integers(1, 12))
    @settings(max_examples=60, deadline=None)
    def test_is_the_best_of_all_intervals(self, seed, span):
        rng = np.random.default_rng(seed)
        image = rng.integers(-span, span + 1, (4, 5, 6)).astype(np.int16)
        mask = rng.random(image.shape) < np.where(image > 0, 0.6, 0.1)
        mask[0, 0, 0] = True
        found = best_threshold(image, mask)
        every = range(-span, span + 1)
        best = max(dice((image >= a) & (image <= b), mask) for a in every for b in every if a <= b)
        assert found.dice == pytest.approx(best)
        assert dice(found.apply(image), mask) == pytest.approx(best)

    def test_finds_an_organ_between_fat_and_bone(self):
        rng = np.random.default_rng(0)
        means = np.array([-900, -100, 60, 700])
        tissue = rng.integers(0, 4, (20, 20, 20))
        image = rng.normal(means[tissue], 15).astype(np.float32)
        found = best_threshold(image, tissue == 2)
        assert found.dice > 0.99
        assert -60 < found.low < 40
        assert 80 < found.high < 600
        assert dice(found.apply(image), tissue == 2) == pytest.approx(found.dice)

    def test_constant_image(self):
        mask = np.zeros((3, 3, 3), bool)
        mask[0] = True
        assert best_threshold(np.full((3, 3, 3), 1.5), mask).dice == pytest.approx(2 * 9 / 36)

    def test_refusals(self):
        with pytest.raises(ValueError, match="mask is empty"):
            best_threshold(np.zeros(3), np.zeros(3))
        with pytest.raises(ValueError, match="NaN"):
            best_threshold(np.array([np.nan, 1]), np.array([0, 1]))
        with pytest.raises(ValueError, match="differ in shape"):
            best_threshold(np.zeros(3), np.ones(4))


def test_distances_are_plain_data():
    assert SurfaceDistances(np.array([1.0, 3.0]), np.array([2.0])).assd == 2
