"""Sliding-window prediction: tiling, weights, padding, mirroring, memory, and MONAI's recorded cases."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import framework
from framework import nn
from medimg.inference import gaussian_weights, sliding_window, window_starts

MONAI = Path(__file__).parents[3] / "shared/conformance/monai_cases/inferers__test_sliding_window_inference.json"
RNG = np.random.default_rng(3)


def plus_one(x):
    return x + 1


def test_windows_lie_as_nnunet_lays_them():
    assert window_starts(110, 64) == [0, 23, 46]
    # Seven windows, 91 / 6 = 15.17 voxels apart, rounded.
    assert window_starts(123, 32, 0.5) == [0, 15, 30, 46, 61, 76, 91]
    assert window_starts(64, 64) == [0]
    assert window_starts(10, 64) == [0]
    assert window_starts(65, 64) == [0, 1]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8, 0.99])
def test_windows_cover_every_voxel_with_the_wanted_overlap(overlap):
    for size in range(1, 60):
        for window in range(1, 20):
            starts = window_starts(size, window, overlap)
            covered = np.zeros(max(size, window), bool)
            for start in starts:
                covered[start : start + window] = True
            assert covered.all()
            assert starts[0] == 0
            assert starts[-1] == max(size - window, 0)
            steps = np.diff(starts)
            assert (steps > 0).all()
            assert not len(steps) or steps.max() <= max(window * (1 - overlap), 1) + 1


def test_impossible_tilings_are_refused():
    with pytest.raises(ValueError, match="below 1"):
        window_starts(10, 4, 1.0)
    with pytest.raises(ValueError, match="at least one voxel"):
        window_starts(10, 0)


def test_gaussian_weights_are_nnunets():
    ndimage = pytest.importorskip("scipy.ndimage")
    weights = gaussian_weights((24, 17, 9))
    assert weights.dtype == np.float32
    assert weights.shape == (24, 17, 9)
    assert weights.max() == 1
    # nnU-Net blurs a point in the middle; for odd sizes its centre is ours.
    point = np.zeros((17, 9))
    point[8, 4] = 1
    reference = ndimage.gaussian_filter(point, [17 / 8, 9 / 8], mode="constant", cval=0, truncate=8)
    ours = gaussian_weights((17, 9))
    np.testing.assert_allclose(ours, np.maximum(reference / reference.max(), ours.min()), rtol=0.02, atol=1e-3)
    np.testing.assert_array_equal(weights, weights[::-1, ::-1, ::-1])
    assert gaussian_weights((8,), sigma=1 / 64).min() > 0


CASES = []
if MONAI.exists():
    for case in json.loads(MONAI.read_text()):
        if case["test"] == "test_sliding_window_default":
            shape, roi, batch, overlap, mode, _ = case["args"]
            shape = tuple(shape["__tuple__"])
            roi = tuple(roi["__tuple__"]) if isinstance(roi, dict) else (roi,) * (len(shape) - 2)
            CASES.append((shape, tuple(None if r <= 0 else r for r in roi), batch, overlap, mode))


@pytest.mark.parametrize("number", range(17))
def test_monai_default_cases(number):
    if not CASES:
        pytest.skip("MONAI's cases are not here")
    shape, roi, batch, overlap, mode = CASES[number]
    volume = np.ones(shape, np.float32)
    result = sliding_window(plus_one, volume, roi, overlap=overlap, batch_size=batch, weighting=mode)
    np.testing.assert_allclose(result, np.full(shape, 2), rtol=1e-5)
    assert (volume == 1).all()


def test_all_of_monais_default_cases_are_replayed():
    if not CASES:
        pytest.skip("MONAI's cases are not here")
    assert len(CASES) == 17


def by_hand(predict, volume, window, overlap, weighting):
    """The definition: weighted mean over all windows, at every voxel."""
    weights = gaussian_weights(window) if weighting == "gaussian" else np.ones(window, np.float32)
    starts = [window_starts(s, w, overlap) for s, w in zip(volume.shape[1:], window)]
    total, norm = 0.0, np.zeros(volume.shape[1:])
    for corner in np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(window)):
        place = tuple(slice(c, c + w) for c, w in zip(corner, window))
        value = np.asarray(predict(volume[(slice(None), *place)][None])[0], np.float64)
        if isinstance(total, float):
            total = np.zeros((len(value), *volume.shape[1:]))
        total[(slice(None), *place)] += value * weights
        norm[place] += weights
    return total / norm


def local(window_batch):
    """A 'network' whose answer depends on the whole window, so that blending matters."""
    x = np.asarray(window_batch)
    axes = tuple(range(2, x.ndim))
    return np.concatenate([x - x.mean(axes, keepdims=True), x * x.max(axes, keepdims=True), x * 0 + x.std()], 1)


def local_each(x):
    return framework.from_numpy(np.concatenate([local(single[None]) for single in x.numpy()]))


@pytest.mark.parametrize("weighting", ["gaussian", "constant"])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize(("size", "window"), [((23, 9, 12), (8, 9, 6)), ((9, 40), (6, 7)), ((31,), (7,))])
def test_blending_equals_the_definition(size, window, weighting, batch_size):
    volume = RNG.standard_normal((2, *size)).astype(np.float32)
    result = sliding_window(local_each, volume, window, overlap=0.4, weighting=weighting, batch_size=batch_size)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_hand(local, volume, window, 0.4, weighting), rtol=1e-4, atol=1e-5)


def test_labels_are_the_largest_class():
    volume = RNG.standard_normal((1, 20, 15)).astype(np.float32)
    values = sliding_window(local_each, volume, (8, 6))
    labels = sliding_window(local_each, volume, (8, 6), labels=True)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, values.argmax(0))


def test_activation_is_applied_before_blending():
    volume = RNG.standard_normal((1, 20, 15)).astype(np.float32)
    result = sliding_window(local_each, volume, (8, 6), activation="softmax")
    np.testing.assert_allclose(result.sum(0), 1, rtol=1e-5)

    def softmax(x):
        e = np.exp(local(x))
        return e / e.sum(1, keepdims=True)

    np.testing.assert_allclose(result, by_hand(softmax, volume, (8, 6), 0.5, "gaussian"), rtol=1e-4, atol=1e-6)
    sigmoid = sliding_window(lambda x: x, volume, (None, 6), activation="sigmoid")
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-volume)), rtol=1e-5)


def test_small_volumes_are_padded_evenly_and_cropped():
    seen = []

    def predict(x):
        seen.append(x.numpy().copy())
        return x

    volume = RNG.standard_normal((1, 5, 3)).astype(np.float32)
    result = sliding_window(predict, volume, (8, 3), pad_value=-7)
    np.testing.assert_allclose(result, volume, rtol=1e-6)
    assert [x.shape for x in seen] == [(1, 1, 8, 3)]
    np.testing.assert_array_equal(seen[0][0, :, 1:6], volume)
    assert (seen[0][0, :, [0, 6, 7]] == -7).all()


def test_every_window_has_the_training_size():
    shapes = set()

    def predict(x):
        shapes.add(tuple(x.shape[2:]))
        return x

    for size in [(3, 30), (17, 9), (8, 8)]:
        sliding_window(predict, np.zeros((1, *size), np.float32), (8, 8))
    assert shapes == {(8, 8)}


def test_mirroring_averages_over_all_subsets_of_axes():
    volume = RNG.standard_normal((1, 6, 7, 8)).astype(np.float32)
    ramp = np.arange(6.0, dtype=np.float32).reshape(6, 1, 1)

    def directional(x):  # knows its axes' directions
        return framework.from_numpy(x.numpy() * ramp + np.roll(x.numpy(), 1, 3) + np.roll(x.numpy(), 1, 4))

    result = sliding_window(directional, volume, (6, 7, 8), mirror_axes=(0, 2))
    expected = np.zeros_like(volume)
    for axes in [(), (1,), (3,), (1, 3)]:
        flipped = np.flip(volume, axes)
        value = flipped * ramp + np.roll(flipped, 1, 2) + np.roll(flipped, 1, 3)
        expected += np.flip(value, axes) / 4
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    symmetric = sliding_window(plus_one, volume, (6, 7, 8), mirror_axes=(0, 1, 2))
    np.testing.assert_allclose(symmetric, volume + 1, rtol=1e-5)


def test_the_volume_is_never_written():
    volume = RNG.standard_normal((1, 12, 12)).astype(np.float32)
    before = volume.copy()
    volume.flags.writeable = False

    def in_place(x):
        return x.add_(100.0)

    sliding_window(in_place, volume, (6, 6), batch_size=2, mirror_axes=(0,))
    sliding_window(in_place, volume, (12, 12))
    np.testing.assert_array_equal(volume, before)


def test_tensors_and_batches():
    volume = RNG.standard_normal((2, 1, 12, 10)).astype(np.float32)
    both = sliding_window(local_each, framework.from_numpy(volume), (6, 6))
    assert isinstance(both, framework.Tensor)
    for number in range(2):
        np.testing.assert_array_equal(both.numpy()[number], sliding_window(local_each, volume[number], (6, 6)))
    integers = (volume * 10).astype(np.int16)
    result = sliding_window(lambda x: x, integers, (6, 6))
    np.testing.assert_allclose(result, integers, rtol=1e-5)


def test_progress_counts_windows_and_can_stop():
    calls = []
    volume = np.zeros((2, 1, 16, 8), np.float32)
    sliding_window(plus_one, volume, (8, 8), batch_size=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sliding_window(plus_one, volume, (8, 8), progress=stop)


def test_module_predicts_in_evaluation_mode_without_recording():
    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Dropout(0.9)
            self.frozen = nn.Dropout(0.9).eval()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            y = self.inner(self.conv(x))
            assert not y.requires_grad
            return [y, y * 0]

    net = Watching()
    volume = RNG.standard_normal((1, 9, 9)).astype(np.float32)
    result = sliding_window(net, volume, (4, 4))
    wanted = net.conv(framework.from_numpy(volume[None])).detach().numpy()[0]
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)
    assert net.training
    assert net.inner.training
    assert not net.frozen.training


def test_memory_is_bounded_by_a_slab():
    classes = 20
    volume = np.zeros((1, 320, 24, 24), np.float32)

    def predict(x):
        return framework.zeros(x.shape[0], classes, *x.shape[2:])

    tracemalloc.start()
    labels = sliding_window(predict, volume, (16, 16, 16), labels=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = classes * volume.size * 4
    assert labels.shape == (320, 24, 24)
    assert peak < whole / 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": (4, 4, 4)}, "needs a volume"),
        ({"weighting": "cosine"}, "weighting must be"),
        ({"mirror_axes": (2,)}, "mirror_axes must be distinct spatial axes from 0 to 1"),
        ({"mirror_axes": (0, 0)}, "distinct"),
        ({"activation": "tanh"}, "activation must be"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"overlap": (0.5,)}, "overlap must be one number or 2"),
        ({"overlap": 1.0}, "below 1"),
        ({"predict": lambda x: x[:, :, 1:]}, "it must keep the batch and the spatial size"),
    ],
)
def test_what_cannot_work_is_refused(settings, message):
    given = {"predict": plus_one, "volume": np.zeros((1, 8, 8), np.float32), "window": (4, 4), **settings}
    with pytest.raises(ValueError, match=message):
        sliding_window(**given)
