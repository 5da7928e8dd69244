"""Orientation, flips, crops and chains: world positions and exact ways back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from grids import CODES, affine_of, blob, centroid, coded, dice, positions
from hypothesis import given, settings
from hypothesis import strategies as st

from medimg import Provenance, Volume
from medimg.transforms import (
    Compose,
    CropForeground,
    CropPad,
    Flip,
    NormalizeIntensity,
    Orient,
    PadToMultiple,
    Resample,
    crop_foreground,
    crop_pad,
    crop_pad_to_size,
    flip,
    foreground_box,
    orient,
    pad_to_multiple,
)

ROOT = Path(__file__).resolve().parents[2]
spacings = st.tuples(*[st.floats(0.5, 4.0)] * 3)
angles = st.tuples(*[st.floats(-0.6, 0.6)] * 3)
shapes = st.tuples(*[st.integers(1, 6)] * 3)


class TestOrient:
    def test_there_are_48_codes(self):
        assert len(set(CODES)) == 48

    @pytest.mark.parametrize("codes", CODES)
    def test_every_voxel_keeps_its_place(self, codes):
        volume = coded((3, 4, 5), affine_of((1.0, 2.0, 3.0), (0.2, -0.1, 0.3), (5, -7, 11)))
        turned = orient(volume, codes)
        assert turned.axcodes == codes
        before, after = positions(volume), positions(turned)
        assert before.keys() == after.keys()
        assert max(np.abs(before[v] - after[v]).max() for v in before) < 1e-9

    @given(st.sampled_from(CODES), st.sampled_from(CODES), shapes, spacings, angles)
    @settings(max_examples=60, deadline=None)
    def test_undo_returns_home_exactly(self, first, second, shape, spacing, turn):
        volume = orient(coded(shape, affine_of(spacing, turn)), first)
        applied = Orient(second).apply(volume)
        home = applied.undo(applied.volume)
        assert np.array_equal(home.array, volume.array)
        assert home.array.dtype == volume.array.dtype
        assert np.array_equal(home.affine, volume.affine)

    def test_no_work_no_copy(self):
        volume = coded((2, 3, 4), np.eye(4))
        assert orient(volume, "RAS") is volume

    @pytest.mark.parametrize("codes", ["RA", "RRS", "RAX", "", "RASL"])
    def test_refuses_what_is_no_code(self, codes):
        with pytest.raises(ValueError, match="no axis code"):
            orient(coded((2, 2, 2), np.eye(4)), codes)
        with pytest.raises(ValueError, match="no axis code"):
            Orient(codes)

    def test_history_says_so(self):
        assert orient(coded((2, 2, 2), np.eye(4)), "LPS").provenance.history == ("oriented RAS to LPS",)

    def test_monai_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("transforms__test_orientation", "test_ornt_meta"):
            options, image, affine, expected, codes = case["args"][:5]
            if image.ndim != 4 or affine.shape != (4, 4) or len(codes) != 3:
                continue
            for channel, wanted in zip(image, expected):
                result = orient(Volume(channel, affine.astype(float)), codes)
                assert np.array_equal(result.array, wanted), options
                replayed += 1
        assert replayed >= 10


class TestFlip:
    def test_moves_the_affine_not_the_anatomy(self):
        volume = coded((3, 4, 5), affine_of((1, 2, 3), (0.1, 0.2, 0.3)))
        turned = flip(volume, (0, 2))
        assert np.array_equal(turned.array, volume.array[::-1, :, ::-1])
        before, after = positions(volume), positions(turned)
        assert max(np.abs(before[v] - after[v]).max() for v in before) < 1e-9

    def test_undo(self):
        volume = coded((3, 4, 5), affine_of((1, 2, 3)))
        applied = Flip(1).apply(volume)
        assert np.array_equal(applied.undo(applied.volume).array, volume.array)

    @pytest.mark.parametrize("axes", [3, (0, 0), (-1,)])
    def test_refuses_wrong_axes(self, axes):
        with pytest.raises(ValueError, match="flip takes"):
            flip(coded((2, 2, 2), np.eye(4)), axes)


class TestCropAndPad:
    @given(shapes, st.tuples(*[st.integers(1, 9)] * 3), spacings, angles)
    @settings(max_examples=60, deadline=None)
    def test_size_place_and_way_back(self, shape, size, spacing, turn):
        volume = coded(shape, affine_of(spacing, turn))
        applied = CropPad(size, fill=-1).apply(volume)
        assert applied.volume.shape == size
        before, after = positions(volume), positions(applied.volume)
        kept = [v for v in after if v >= 0]
        assert len(kept) == np.prod(np.minimum(shape, size))
        assert all(np.abs(before[v] - after[v]).max() < 1e-9 for v in kept)
        home = applied.undo(applied.volume, fill=-1)
        assert np.array_equal(home.array, np.where(np.isin(volume.array, kept), volume.array, -1))

    def test_window_may_reach_outside(self):
        volume = coded((3, 3, 3), np.eye(4))
        part = crop_pad(volume, (-1, 2, 0), (2, 5, 3), fill=-9)
        assert np.array_equal(part.array[1:, :1], volume.array[:2, 2:])
        assert np.all(part.array[0] == -9)
        assert np.all(part.array[:, 1:] == -9)
        assert part.origin == (-1, 2, 0)

    def test_window_wholly_outside(self):
        assert np.all(crop_pad(coded((3, 3, 3), np.eye(4)), (5, 0, -9), (7, 3, -5), fill=7).array == 7)

    def test_none_keeps_an_axis(self):
        assert crop_pad_to_size(coded((3, 4, 5), np.eye(4)), (None, 2, 9)).shape == (3, 2, 9)

    def test_multiple(self):
        volume = coded((3, 8, 5), np.eye(4))
        assert pad_to_multiple(volume, 4).shape == (4, 8, 8)
        assert pad_to_multiple(volume, (2, 1, 5)).shape == (4, 8, 5)
        applied = PadToMultiple(4).apply(volume)
        assert np.array_equal(applied.undo(applied.volume).array, volume.array)

    @pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (0, 1, 1)), ((0, 0), (1, 1)), ((2, 0, 0), (1, 1, 1))])
    def test_refuses_empty_windows(self, start, stop):
        with pytest.raises(ValueError, match="three starts"):
            crop_pad(coded((3, 3, 3), np.eye(4)), start, stop)

    def test_refuses_wrong_sizes(self):
        volume = coded((3, 3, 3), np.eye(4))
        with pytest.raises(ValueError, match="size is"):
            crop_pad_to_size(volume, (0, 1, 1))
        with pytest.raises(ValueError, match="multiple is"):
            pad_to_multiple(volume, 0)

    def test_foreground(self):
        array = np.zeros((6, 7, 8), np.int16)
        array[2:4, 3, 1:6] = 5
        assert foreground_box(array) == ((2, 3, 1), (4, 4, 6))
        assert foreground_box(array, margin=2) == ((0, 1, 0), (6, 6, 8))
        assert foreground_box(array, select=lambda a: a == 4) is None
        volume = Volume(array, affine_of((1, 2, 3)))
        cropped = crop_foreground(volume)
        assert cropped.shape == (2, 1, 5)
        assert cropped.origin == (2, 6, 3)
        assert crop_foreground(volume, select=9.0) is volume
        applied = CropForeground(margin=1).apply(volume)
        assert np.array_equal(applied.undo(applied.volume).array, array)

    def test_monai_cases(self, monai_cases):
        replayed = 0
        for case in monai_cases("transforms__test_crop_foreground", "test_value"):
            options, image, expected, _ = case["args"]
            if "k_divisible" in options or options.get("allow_smaller") is False:
                continue  # these grow the box beyond the image; here that is a second step, `pad_to_multiple`
            above = 1 if expected.size == 1 else 0  # the stored functions are x > 0 and x > 1
            box = foreground_box(image[0], above, options["margin"])
            assert np.array_equal(image[0][tuple(slice(a, b) for a, b in zip(*box))], expected[0]), options
            replayed += 1
        assert replayed >= 5


class TestCompose:
    def chain(self) -> Compose:
        return Compose([Orient("RAS"), Resample(2.0), CropPad((20, 20, 12)), NormalizeIntensity(0, 10)])

    def test_a_label_map_goes_there_and_back(self):
        volume, label = blob((40, 36, 22), affine_of((1.0, 1.1, 2.1), (0.1, 0, 0), (3, 4, 5)), "LPI")
        applied = self.chain().apply(volume)
        there = applied.follow(label)
        assert there.same_grid(applied.volume)
        back = applied.undo(there)
        assert back.same_grid(label)
        assert dice(back.array, label.array) > 0.91
        assert set(np.unique(back.array)) == {0, 3}

    def test_transforms_keep_no_state(self):
        chain = self.chain()
        one, _ = blob((40, 36, 22), affine_of((1, 1, 2)), "LPI")
        two, _ = blob((30, 30, 30), affine_of((1, 1, 1)), "SRA")
        first, second = chain.apply(one), chain.apply(two)
        assert first.undo(first.volume, label=False).shape == one.shape
        assert second.undo(second.volume, label=False).shape == two.shape

    def test_inverse_needs_only_the_source(self):
        volume, label = blob((40, 36, 22), affine_of((1, 1, 2)), "LPI")
        applied = self.chain().apply(volume)
        there = applied.follow(label)
        assert np.array_equal(self.chain().inverse(there, volume).array, applied.undo(there).array)

    def test_follow_takes_a_label_map_on_another_grid(self):
        volume, _ = blob((40, 36, 22), affine_of((1.0, 1.1, 2.1)), "LPI")
        _, other = blob((60, 60, 40), affine_of((0.8, 0.8, 1.3)), "RAS")
        applied = Compose([Orient("RAS"), Resample(2.0)]).apply(volume)
        there = applied.follow(other, fill=255)
        assert np.abs(centroid(there, 3) - centroid(other, 3)).max() < 0.5

    def test_refuses_a_volume_from_another_grid(self):
        applied = self.chain().apply(blob((40, 36, 22), np.eye(4), "RAS")[0])
        with pytest.raises(ValueError, match="transformed grid"):
            applied.undo(coded((2, 2, 2), np.eye(4)))

    def test_input_is_not_changed(self):
        volume, _ = blob((20, 20, 20), affine_of((1, 1, 2)), "PIR")
        before, affine = volume.array.copy(), volume.affine.copy()
        applied = self.chain().apply(volume)
        applied.undo(applied.volume, label=False)
        assert np.array_equal(volume.array, before)
        assert np.array_equal(volume.affine, affine)

    def test_provenance_stays(self):
        provenance = Provenance(format="nifti", modality="CT")
        volume = Volume(np.zeros((4, 4, 4)), np.eye(4), "HU", provenance)
        result = self.chain()(volume)
        assert result.provenance.modality == "CT"
        assert len(result.provenance.history) == 3  # it was RAS already


def test_importing_costs_no_scipy_and_no_numba():
    modules = "medimg.transforms.augment, medimg.transforms.probabilities, medimg.data.patches, medimg.metrics.table"
    code = f"import sys, {modules}, medimg.postprocess; print(sorted({{'scipy', 'numba'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
