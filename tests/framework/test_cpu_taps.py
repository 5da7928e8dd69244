"""Separable weighted sums by the kernel against the reference, and average pools and interpolation beside PyTorch."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import framework
from framework.backends.cpu import memory, taps
from framework.nn import functional as F
from framework.ops.taps import Taps, weigh
from tests.support.beside_torch import assert_same, uniform


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    monkeypatch.setattr(memory, "poison", True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 2), st.sampled_from([1, 3, 16, 35, 70]),
    st.lists(st.integers(1, 21), min_size=1, max_size=3), st.sampled_from(["first", "last", "sliced"]),
    st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_any_weights(seed, images, channels, size, layout, dtype):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, channels, *size)).astype(dtype)
    if layout == "last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    elif layout == "sliced":
        x = np.repeat(x, 2, -1)[..., ::2]
    weights = []
    for length in size:
        shape = int(rng.integers(1, 40)), int(rng.integers(1, 6))
        weight = rng.standard_normal(shape) * (rng.random(shape) > 0.3)
        some = Taps(rng.integers(0, length, shape), weight if rng.random() < 0.7 else np.sign(weight**2), length)
        weights.append(some if rng.random() < 0.8 else None)
    expected = weigh.record.forward(np, x.astype(np.float64), tuple(weights))
    result = taps.weigh(x, tuple(weights))
    assert result.shape == expected.shape
    limit = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(result, expected, rtol=0, atol=limit * max(1.0, float(np.abs(expected).max())))
    turned = tuple(None if each is None else each.transposed for each in weights)
    g = rng.standard_normal(result.shape)
    back = taps.weigh(g, turned)
    np.testing.assert_allclose((back * x).sum(), (g * expected).sum(), rtol=1e-6, atol=1e-6 * np.abs(g).sum())


def test_rows_longer_than_a_part():
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 9000), np.float32)
    for y in (x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)):
        result = F.interpolate(framework.tensor(y), (5, 17001), mode="bilinear").numpy()
        expected = F.interpolate(framework.tensor(y.astype(np.float64)), (5, 17001), mode="bilinear").numpy()
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_only_the_taps_are_read():
    x = np.full((1, 20, 6, 6), np.inf, np.float32)
    x[:, :, 2:4, 2:4] = 1
    for y in (x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)):
        assert (F.avg_pool2d(framework.tensor(y), 2).numpy()[:, :, 1, 1] == 1).all()


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "trilinear"])
@pytest.mark.parametrize("target", [{"size": (9, 4, 7)}, {"scale_factor": 2}, {"scale_factor": (0.6, 1.7, 2.3)}])
@pytest.mark.parametrize("align", [False, True])
def test_volumes_interpolated_as_pytorch_does(mode, target, align):
    options = {"align_corners": align} if mode == "trilinear" else {}
    assert_same(lambda m, x: m.nn.functional.interpolate(x, mode=mode, **target, **options), uniform([(2, 3, 5, 6, 4)]))
