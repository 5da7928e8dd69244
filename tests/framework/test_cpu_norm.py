"""Fused normalisation and activation against PyTorch's group norm in float64."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from framework.backends.cpu import memory, threads  # noqa: E402
from framework.backends.cpu.norm import norm_act, norm_act_grad  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    monkeypatch.setattr(memory, "poison", True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 24), st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.01, 1.0]), st.booleans(), st.sampled_from(["first", "last", "sliced"]),
    st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_any_norm(images, groups, each, size, slope, affine, layout, dtype):
    if each * np.prod(size) == 1:
        size = [2]  # one value has no spread
    check(np.random.default_rng(images), (images, groups * each, *size), groups, slope, affine, layout, dtype)


@pytest.mark.parametrize("layout", ["first", "last"])
def test_more_than_one_chunk(layout):
    check(np.random.default_rng(0), (2, 35, 31, 30, 9), 35, 0.01, True, layout, np.float32)


def check(rng, shape, groups, slope, affine, layout, dtype):
    x, g = (arrange((rng.standard_normal(shape) * 2 + 1).astype(dtype), layout) for _ in range(2))
    weight, bias = ((rng.standard_normal(shape[1]).astype(dtype) if affine else None) for _ in range(2))
    wide = [None if a is None else torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, weight, bias)]
    normed = torch.nn.functional.group_norm(wide[0], groups, *wide[1:], eps=1e-5)
    expected = torch.nn.functional.leaky_relu(normed, slope)
    smooth = slope == 1 or float(normed.detach().abs().min()) > 1e-5  # at the kink either side is right
    expected.backward(torch.from_numpy(g.astype(np.float64)))

    y, mean, rstd = norm_act(x, weight, bias, groups, 1e-5, slope)
    assert mean.shape == rstd.shape == (shape[0], groups)
    if layout != "sliced":
        assert y.strides == x.strides
    gx, gw, gb = norm_act_grad(g, x, mean, rstd, weight, bias, groups, slope)
    pairs = [(y, expected.detach())] + ([(gx, wide[0].grad)] if smooth else [])
    if affine and smooth:
        pairs += [(gw, wide[1].grad), (gb, wide[2].grad)]
    if not affine:
        assert gw is gb is None
    limit = 4e-5 if dtype == np.float32 else 1e-11
    for result, reference in pairs:
        scale = max(1.0, float(reference.abs().max()))
        np.testing.assert_allclose(result, reference.numpy(), rtol=0, atol=limit * scale)


def test_far_from_zero():
    """Hounsfield-like values: a mean of 1000 and a spread of 1 keep their digits."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((1, 4, 20, 20, 20)) + 1000).astype(np.float32)
    y, mean, rstd = norm_act(x, None, None, 4, 0.0, 1.0)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean((2, 3, 4), keepdims=True)) / wide.std((2, 3, 4), keepdims=True)
    np.testing.assert_allclose(y, expected, atol=1e-4)
    np.testing.assert_allclose(1 / rstd[0], wide.std((0, 2, 3, 4)), rtol=1e-5)
    np.testing.assert_allclose(mean[0], wide.mean((0, 2, 3, 4)), rtol=1e-7)


def test_same_bytes_on_any_number_of_threads():
    x = np.random.default_rng(0).standard_normal((2, 12, 40, 41, 9), dtype=np.float32)
    before = threads.get_num_threads()
    results = []
    for number in (1, 4):
        threads.set_num_threads(number)
        y, mean, rstd = norm_act(x, None, None, 3, 1e-5, 0.1)
        results.append(
            b"".join(a.tobytes() for a in (y, mean, rstd, norm_act_grad(y, x, mean, rstd, None, None, 3, 0.1)[0]))
        )
    threads.set_num_threads(before)
    assert results[0] == results[1]


def arrange(array, layout):
    if layout == "first":
        return array
    if layout == "last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    wide = np.full([n + 1 for n in array.shape], np.nan, array.dtype)
    inner = wide[tuple(slice(1, None) for _ in array.shape)]
    inner[...] = array
    return inner
