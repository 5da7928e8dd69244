"""Clean-up of label maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medimg.postprocess import fill_holes, keep_largest_component, remove_small

label_maps = hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 7)] * 3), elements=st.integers(0, 3))


class TestKeepLargest:
    def labels(self) -> np.ndarray:
        return np.array(
            [
                [1, 1, 0, 2, 2, 2],
                [1, 0, 1, 0, 0, 0],
                [0, 0, 0, 2, 0, 1],
            ],
            np.int16,
        )

    def test_by_hand(self):
        kept = keep_largest_component(self.labels())
        # Across corners 1-0-1 of the second row touches the first; the 2 below and the 1 at the end stand alone.
        expected = self.labels()
        expected[1, 2] = expected[2, 3] = expected[2, 5] = 0
        expected_corner = expected.copy()
        expected_corner[1, 2] = 1
        assert np.array_equal(kept, expected_corner)
        assert np.array_equal(keep_largest_component(self.labels(), connectivity=1), expected)

    def test_only_the_labels_named(self):
        kept = keep_largest_component(self.labels(), applied=[2])
        assert np.array_equal(kept == 1, self.labels() == 1)
        assert (kept == 2).sum() == 3

    def test_together(self):
        kept = keep_largest_component(self.labels(), independent=False)
        assert np.array_equal(kept[:2], self.labels()[:2])
        assert not kept[2, 5]

    def test_several(self):
        assert np.array_equal(keep_largest_component(self.labels(), components=3), self.labels())

    def test_ties_go_to_the_first(self):
        assert keep_largest_component(np.array([3, 0, 3, 0, 3])).tolist() == [3, 0, 0, 0, 0]

    def test_input_is_not_changed(self):
        labels = self.labels()
        keep_largest_component(labels)
        assert np.array_equal(labels, self.labels())

    @given(label_maps, st.integers(1, 3))
    @settings(max_examples=60, deadline=None)
    def test_properties(self, labels, connectivity):
        from scipy import ndimage

        kept = keep_largest_component(labels, connectivity=connectivity)
        assert np.all((kept == labels) | (kept == 0))
        for value in np.unique(labels[labels > 0]):
            structure = ndimage.generate_binary_structure(3, connectivity)
            assert ndimage.label(kept == value, structure)[1] == 1
            numbered, _ = ndimage.label(labels == value, structure)
            assert (kept == value).sum() == np.bincount(numbered.ravel())[1:].max()
        assert np.array_equal(keep_largest_component(kept, connectivity=connectivity), kept)

    def test_empty_and_wrong(self):
        assert not keep_largest_component(np.zeros((3, 3, 3), np.uint8)).any()
        assert not keep_largest_component(np.zeros((3, 3, 3), np.uint8), independent=False).any()
        with pytest.raises(ValueError, match="connectivity is 1 to 2"):
            keep_largest_component(np.ones((3, 3)), connectivity=3)
        with pytest.raises(ValueError, match="at least one"):
            keep_largest_component(np.ones((3, 3)), components=0)

    def test_monai_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("transforms__test_keep_largest_connected_component", "test_correct_results"):
            name, options, labels, expected = case["args"]
            if labels.shape[0] != 1 or options.get("is_onehot") or options.get("num_components") == 0:
                continue
            applied = options.get("applied_labels")
            result = keep_largest_component(
                labels[0],
                applied=[applied] if isinstance(applied, int) else applied,
                connectivity=options.get("connectivity"),
                independent=options.get("independent", True),
                components=options.get("num_components", 1),
            )
            assert np.array_equal(result, expected[0]), name
            replayed += 1
        assert replayed >= 20


class TestRemoveSmall:
    def test_by_hand(self):
        labels = np.array([[1, 1, 1, 0, 1, 0, 2, 2, 0, 2]])
        assert remove_small(labels, 3 * 2.0, (1, 2.0)).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]]
        assert remove_small(labels, 2 * 2.0, (1, 2.0)).tolist() == [[1, 1, 1, 0, 0, 0, 2, 2, 0, 0]]
        assert remove_small(labels, 3 * 2.0, (1, 2.0), applied=[1]).tolist() == [[1, 1, 1, 0, 0, 0, 2, 2, 0, 2]]
        assert remove_small(labels, 0, (1, 2.0)).tolist() == labels.tolist()

    def test_connectivity(self):
        labels = np.eye(4, dtype=np.uint8)
        assert remove_small(labels, 4, (1, 1)).sum() == 4
        assert remove_small(labels, 4, (1, 1), connectivity=1).sum() == 0

    def test_refusals(self):
        with pytest.raises(ValueError, match="spacing must be"):
            remove_small(np.ones((2, 2)), 1, (1, 1, 1))


class TestFillHoles:
    def test_other_labels_in_a_hole_stay(self):
        labels = np.ones((5, 5), np.uint8)
        labels[2, 1:4] = 0, 2, 0
        assert fill_holes(labels, connectivity=1).tolist() == [[1] * 5] * 2 + [[1, 1, 2, 1, 1]] + [[1] * 5] * 2

    @given(label_maps)
    @settings(max_examples=40, deadline=None)
    def test_only_background_changes(self, labels):
        filled = fill_holes(labels)
        assert np.array_equal(filled[labels > 0], labels[labels > 0])
        assert set(np.unique(filled)) <= set(np.unique(labels))

    def test_monai_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("transforms__test_fill_holes", "test_correct_results"):
            name, options, labels, expected = case["args"]
            if labels.shape[0] != 1:
                continue
            applied = options.get("applied_labels")
            chosen = [applied] if isinstance(applied, int) else applied
            result = fill_holes(labels[0], chosen, options.get("connectivity"))
            assert np.array_equal(result, expected[0]), name
            replayed += 1
        assert replayed >= 15
