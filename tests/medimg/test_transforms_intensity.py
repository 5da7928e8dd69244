"""Clipping, windows and normalisation."""

import numpy as np
import pytest
from grids import affine_of

from medimg import Volume
from medimg.transforms import (
    ClipIntensity,
    ClipPercentiles,
    Compose,
    NormalizeIntensity,
    Orient,
    Window,
    clip_intensity,
    intensity_statistics,
    normalize_intensity,
    window,
)


class TestIntensity:
    def volume(self) -> Volume:
        return Volume(np.array([[[-1000, 0, 100, 3000]]], np.int16), np.eye(4), "HU")

    def test_clip_and_window(self):
        assert clip_intensity(self.volume(), -100, 300).array.ravel().tolist() == [-100, 0, 100, 300]
        assert np.allclose(window(self.volume(), -100, 300).array.ravel(), [0, 0.25, 0.5, 1])
        assert clip_intensity(self.volume(), -100, 300).units == "HU"
        assert window(self.volume(), -100, 300).units == "normalised"

    def test_normalise(self):
        array = np.random.default_rng(0).normal(40, 7, (5, 6, 7))
        own = normalize_intensity(Volume(array, np.eye(4)))
        assert abs(own.array.mean()) < 1e-5
        assert abs(own.array.std() - 1) < 1e-5
        given = normalize_intensity(self.volume(), mean=100, std=50)
        assert np.allclose(given.array.ravel(), [-22, -2, 0, 58])
        assert given.array.dtype == np.float32

    def test_constant_volume_becomes_zero(self):
        assert not normalize_intensity(Volume(np.full((2, 2, 2), 7.0), np.eye(4))).array.any()

    def test_percentiles(self):
        volume = Volume(np.arange(1000.0).reshape(10, 10, 10), np.eye(4))
        clipped = ClipPercentiles(1, 99)(volume).array
        assert clipped.min() == pytest.approx(9.99)
        assert clipped.max() == pytest.approx(989.01)
        flat = Volume(np.zeros((2, 2, 2)), np.eye(4))
        assert ClipPercentiles()(flat) is flat

    def test_statistics(self):
        array = np.arange(101.0).reshape(1, 1, 101)
        stats = intensity_statistics(array, array > 49, (0, 50))
        assert stats == pytest.approx((75, array[array > 49].std(), 50, 75))
        with pytest.raises(ValueError, match="no voxel"):
            intensity_statistics(array, array > 500)

    def test_undo_of_a_chain_restores_unclipped_values(self):
        array = np.random.default_rng(1).uniform(-150, 250, (4, 5, 6)).astype(np.float32)
        volume = Volume(array, affine_of((1, 1, 2)), "HU")
        chain = Compose([Orient("LPS"), ClipIntensity(-160, 240), Window(-160, 240), NormalizeIntensity()])
        applied = chain.apply(volume)
        home = applied.undo(applied.volume, label=False)
        assert np.allclose(home.array, np.clip(array, -160, 240), atol=1e-3)
        assert np.array_equal(home.affine, volume.affine)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: ClipIntensity(1, 1),
            lambda: Window(2, 1),
            lambda: NormalizeIntensity(0, 0),
            lambda: ClipPercentiles(50, 20),
            lambda: normalize_intensity(Volume(np.zeros((1, 1, 1)), np.eye(4)), std=-1),
            lambda: clip_intensity(Volume(np.zeros((1, 1, 1)), np.eye(4)), 3, 2),
        ],
    )
    def test_refuses_impossible_ranges(self, make):
        with pytest.raises(ValueError, match=r"needs|positive|low < high"):
            make()
