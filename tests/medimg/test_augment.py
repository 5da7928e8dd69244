"""Random augmentation: reproducible, geometrically right, and what its names say."""

import numpy as np
import pytest

from medimg.transforms.augment import (
    Augmentation,
    IntensityAugmentation,
    SpatialAugmentation,
    change_gamma,
    extract_patch,
    gaussian_blur,
    low_resolution,
    nnunet,
)

_NEVER = {
    f"{name}_probability": 0.0 for name in ("noise", "blur", "brightness", "contrast", "low_resolution", "gamma")
} | {"gamma_inverted_probability": 0.0}


def patch(size: tuple[int, int, int] = (24, 20, 16), channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = gaussian_blur(rng.standard_normal(size).astype(np.float32), 1.5)
    image = np.stack([image / image.std() + c for c in range(channels)])
    return image, (image[0] > 0.5).astype(np.uint8) * 7


def always(**changes: float) -> IntensityAugmentation:
    on = {f"{name}_probability": 1.0 for name in changes}
    on |= {f"{name}_channel_probability": 1.0 for name in changes if name in ("blur", "low_resolution")}
    return IntensityAugmentation(**(_NEVER | on | changes))


class TestReproducible:
    @pytest.mark.parametrize("augment", [nnunet((24, 20, 16)), nnunet((64, 64, 8)), Augmentation(spatial=None)])
    def test_same_state_same_bytes(self, augment):
        image, label = patch()
        for seed in range(8):
            one = augment(image, label, np.random.default_rng(seed), (1, 1, 2))
            two = augment(image, label, np.random.default_rng(seed), (1, 1, 2))
            assert one[0].tobytes() == two[0].tobytes()
            assert one[1].tobytes() == two[1].tobytes()

    def test_different_state_different_bytes(self):
        image, label = patch()
        results = {nnunet(label.shape)(image, label, np.random.default_rng(s))[0].tobytes() for s in range(8)}
        assert len(results) == 8

    def test_shapes_dtypes_and_untouched_input(self):
        image, label = patch()
        before = image.copy(), label.copy()
        everything = Augmentation(
            SpatialAugmentation(rotation_probability=1, scale_probability=1, elastic_probability=1),
            IntensityAugmentation(**dict.fromkeys(_NEVER, 1.0)),
        )
        for seed in range(10):
            out, target = everything(image, label, np.random.default_rng(seed))
            assert out.shape == image.shape
            assert out.dtype == np.float32
            assert target.shape == label.shape
            assert target.dtype == label.dtype
            assert np.isfinite(out).all()
            assert set(np.unique(target)) <= {0, 7}
        assert np.array_equal(image, before[0])
        assert np.array_equal(label, before[1])


class TestSpatial:
    def test_mirroring_only_reverses(self):
        image, label = patch()
        augment = Augmentation(SpatialAugmentation(rotation_probability=0, scale_probability=0), None)
        seen = set()
        for seed in range(40):
            out, target = augment(image, label, np.random.default_rng(seed))
            axes = [
                axes
                for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
                if np.array_equal(np.flip(image, [a + 1 for a in axes]), out)
            ]
            assert len(axes) == 1
            assert np.array_equal(np.flip(label, axes[0]), target)
            seen.add(axes[0])
        assert len(seen) == 8

    def test_axes_left_out_are_not_mirrored(self):
        image, label = patch()
        augment = Augmentation(SpatialAugmentation(rotation_probability=0, scale_probability=0, mirror_axes=(2,)), None)
        for seed in range(12):
            out, _ = augment(image, label, np.random.default_rng(seed))
            assert np.array_equal(out, image) or np.array_equal(out, image[..., ::-1])

    def test_rotation_is_in_millimetres(self):
        """A ball in mm is an ellipsoid in anisotropic voxels; any rotation about its centre leaves it."""
        spacing = np.array([1.0, 1.0, 3.0])
        size = (40, 40, 14)
        offset = (np.stack(np.indices(size), -1) - (np.array(size) - 1) / 2) * spacing
        ball = (np.linalg.norm(offset, axis=-1) < 14).astype(np.uint8)
        turn = SpatialAugmentation(rotation=(40, 40, 40), rotation_probability=1, scale_probability=0)
        for seed in range(5):
            _, target = Augmentation(turn, None)(
                ball[None].astype(np.float32), ball, np.random.default_rng(seed), spacing
            )
            overlap = 2 * np.count_nonzero(target & ball) / (target.sum() + ball.sum())
            assert overlap > 0.95

    def test_scale_changes_size_as_said(self):
        size = (40, 40, 40)
        offset = np.stack(np.indices(size), -1) - 19.5
        ball = (np.linalg.norm(offset, axis=-1) < 10).astype(np.uint8)
        for factor in (0.7, 1.3):
            scale = SpatialAugmentation(rotation_probability=0, scale=(factor, factor), scale_probability=1)
            _, target = Augmentation(scale, None)(ball[None].astype(np.float32), ball, np.random.default_rng(0))
            assert target.sum() == pytest.approx(ball.sum() / factor**3, rel=0.05)

    def test_image_and_label_move_together(self):
        image, _ = patch((32, 32, 20), 1)
        label = (image[0] > 0).astype(np.uint8)
        spatial = SpatialAugmentation(rotation_probability=1, scale_probability=1, elastic_probability=1, elastic_mm=2)
        for seed in range(6):
            out, target = Augmentation(spatial, None)(
                image, label, np.random.default_rng(seed), fill=-9, outside_label=255
            )
            inside = target != 255
            assert inside.sum() > 5000
            assert np.array_equal(inside, out[0] != -9)
            assert np.mean((out[0] > 0)[inside] == target[inside]) > 0.94

    def test_elastic_displacement_has_the_said_size(self):
        spatial = SpatialAugmentation(
            rotation_probability=0, scale_probability=0, elastic_probability=1, elastic_mm=4, elastic_spacing_mm=16
        )
        fields = [spatial.draw(np.random.default_rng(s), (48, 48, 24), (1, 1, 2))[1] for s in range(6)]
        mm = np.stack(fields) * np.array([1, 1, 2])[None, :, None, None, None]
        # A cubic B-spline surface has 0.33 to 0.48 of its control points' standard deviation per axis, cubed for three.
        assert 0.25 < mm.std() / 4 < 0.45
        assert np.abs(np.diff(mm, axis=2)).max() < 2  # smooth: no folding at one voxel

    def test_identity_extract_copies_and_pads(self):
        image, label = patch((6, 5, 4), 1)
        out, target = extract_patch(image, label, (-2, 1, 0), (5, 6, 4), fill=-3, outside_label=255)
        assert np.array_equal(out[:, 2:, :4], image[:, :3, 1:])
        assert np.all(out[:, :2] == -3)
        assert np.all(out[:, :, 4:] == -3)
        assert np.array_equal(target[2:, :4], label[:3, 1:])
        assert np.all(target[:2] == 255)
        assert not np.shares_memory(out, image)

    def test_patch_from_a_whole_case_has_real_voxels_at_its_corners(self):
        image, label = patch((60, 60, 30), 1)
        turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1.0]])
        whole, _ = extract_patch(image, label, (20, 20, 10), (20, 20, 10), turn, fill=-99)
        alone, _ = extract_patch(
            image[:, 20:40, 20:40, 10:20], label[20:40, 20:40, 10:20], (0, 0, 0), (20, 20, 10), turn, fill=-99
        )
        assert not np.any(whole == -99)
        assert np.any(alone == -99)
        both = (alone != -99) & (np.abs(alone - whole) < 1e-5)
        assert both.sum() > 0.8 * (alone != -99).sum()


class TestIntensity:
    def test_noise(self):
        image = np.zeros((1, 40, 40, 40), np.float32)
        out = always(noise=(0.3, 0.3))(image, np.random.default_rng(0))
        assert out.std() == pytest.approx(0.3, rel=0.02)
        assert abs(out.mean()) < 0.01

    def test_brightness_multiplies(self):
        image, _ = patch()
        assert np.allclose(always(brightness=(1.2, 1.2))(image, np.random.default_rng(0)), image * 1.2)

    def test_contrast_keeps_mean_and_range(self):
        image, _ = patch()
        out = always(contrast=(1.25, 1.25))(image, np.random.default_rng(0))
        assert out.max() <= image.max()
        assert out.min() >= image.min()
        out = always(contrast=(0.75, 0.75))(image, np.random.default_rng(0))
        assert np.allclose(out.mean(axis=(1, 2, 3)), image.mean(axis=(1, 2, 3)), atol=1e-4)
        assert np.allclose(out.std(axis=(1, 2, 3)), 0.75 * image.std(axis=(1, 2, 3)), rtol=1e-3)

    def test_gamma_keeps_moments_and_order(self):
        image, _ = patch()
        changed = change_gamma(image[0], 1.5)
        assert changed.mean() == pytest.approx(float(image[0].mean()), abs=1e-4)
        assert changed.std() == pytest.approx(float(image[0].std()), rel=1e-3)
        order = np.argsort(image[0].ravel())
        assert np.all(np.diff(changed.ravel()[order]) >= -1e-5)
        assert np.allclose(change_gamma(image[0], 1.0), image[0], atol=1e-4)
        flat = np.full((3, 3, 3), 2, np.float32)
        assert np.array_equal(change_gamma(flat, 1.4), flat)

    def test_inverted_gamma_is_gamma_of_the_negative(self):
        image, _ = patch(channels=1)
        invert = IntensityAugmentation(**(_NEVER | {"gamma": (1.5, 1.5), "gamma_inverted_probability": 1.0}))
        got = invert(image, np.random.default_rng(0))
        assert np.allclose(got[0], -change_gamma(-image[0], 1.5), atol=1e-5)

    def test_blur_against_scipy(self):
        from scipy.ndimage import gaussian_filter

        image, _ = patch()
        expected = gaussian_filter(image[0], 0.9)
        got = gaussian_blur(image[0], 0.9)
        inner = (slice(4, -4),) * 3
        assert np.abs(got - expected)[inner].max() < 1e-4
        assert np.allclose(gaussian_blur(np.ones((5, 2, 1), np.float32), 0.8), 1, atol=1e-6)

    def test_low_resolution(self):
        ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[:, None, None], (32, 8, 8)).copy()
        coarse = low_resolution(ramp, 0.5)
        assert np.abs(coarse - ramp)[2:-2].max() <= 1.01
        noisy = np.random.default_rng(0).standard_normal((32, 32, 8)).astype(np.float32)
        assert low_resolution(noisy, 0.5, axes=(0, 1)).std() < 0.8 * noisy.std()
        assert np.array_equal(low_resolution(noisy, 1.0), noisy)

    def test_nothing_drawn_nothing_changed(self):
        image, _ = patch()
        assert np.array_equal(IntensityAugmentation(**_NEVER)(image, np.random.default_rng(0)), image)


class TestPreset:
    def test_compact_patches_turn_about_all_axes(self):
        augment = nnunet((96, 96, 64))
        assert augment.spatial is not None
        assert augment.spatial.rotation == (30, 30, 30)
        assert augment.spatial.scale_axes == (0, 1, 2)

    def test_thin_patches_turn_in_the_plane(self):
        augment = nnunet((96, 96, 16), mirror_axes=(1,))
        assert augment.spatial is not None
        assert augment.intensity is not None
        assert augment.spatial.rotation == (0, 0, 180)
        assert augment.spatial.scale_axes == (0, 1)
        assert augment.spatial.mirror_axes == (1,)
        assert augment.intensity.low_resolution_axes == (0, 1)
        for seed in range(20):
            matrix, shift = augment.spatial.draw(np.random.default_rng(seed), (96, 96, 16), (2, 2, 2))
            assert shift is None
            assert np.array_equal(matrix[2], [0, 0, 1])
            assert np.array_equal(matrix[:2, 2], [0, 0])

    def test_probabilities_are_those_documented(self):
        spatial = SpatialAugmentation()
        draws = [spatial.draw(np.random.default_rng(s), (32, 32, 32), (1, 1, 1))[0] for s in range(1500)]
        turned = np.mean([np.abs(m - np.diag(np.diagonal(m))).max() > 1e-9 for m in draws])
        scaled = np.mean([abs(abs(np.linalg.det(m)) - 1) > 1e-9 for m in draws])
        mirrored = np.mean([np.linalg.det(m) < 0 for m in draws])
        assert turned == pytest.approx(0.2, abs=0.035)
        assert scaled == pytest.approx(0.2, abs=0.035)
        assert mirrored == pytest.approx(0.5, abs=0.045)
        factors = [abs(np.linalg.det(m)) ** (1 / 3) for m in draws if abs(abs(np.linalg.det(m)) - 1) > 1e-9]
        assert 0.7 <= min(factors) < 0.75
        assert 1.35 < max(factors) <= 1.4
