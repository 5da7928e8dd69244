"""Softmax, layer norm and activations on CPU kernels, against the reference and its derivatives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import framework as vh
import framework.nn.functional as F
from framework.autograd import gradcheck, gradgradcheck
from framework.backends.cpu import activation, memory, row_norm, softmax, threads
from framework.core.op import TABLE


@pytest.fixture(autouse=True)
def _forgotten_elements_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "poison", True)
    for module in (softmax, row_norm, activation):
        monkeypatch.setattr(module, "_FEW", 1)


def reference(name: str, *values: Any, **attributes: Any) -> Any:
    with np.errstate(all="ignore"):
        return TABLE[name].forward(np, *values, **attributes)


def close(found: Any, expected: Any, dtype: Any) -> None:
    rtol, atol = (2e-6, 1e-5) if dtype == np.float32 else (1e-13, 1e-13)  # sums of tens of terms of size one
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def arrange(x: np.ndarray, last: bool) -> np.ndarray:
    """The same values, channels-last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last and x.ndim > 2 else x


shapes = st.lists(st.integers(1, 37), min_size=1, max_size=4)
dtypes = st.sampled_from([np.float32, np.float64])


@settings(deadline=None, max_examples=60)
@given(shapes, st.data(), dtypes, st.booleans(), st.booleans())
def test_softmax_along_any_dimension(shape: list[int], data: Any, dtype: Any, log: bool, last: bool) -> None:
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(1)
    x = arrange((rng.standard_normal(shape) * 5).astype(dtype), last)
    g = rng.standard_normal(shape).astype(dtype)
    name = "_log_softmax" if log else "_softmax"
    y = (softmax.log_softmax if log else softmax.softmax)(x, dim)
    expected = reference(name, x, dim % x.ndim)
    close(y, expected, dtype)
    close(softmax.softmax_grad(g, y, dim, log), reference("softmax_grad", g, expected, dim % x.ndim, log), dtype)


def test_softmax_of_infinities_and_nan() -> None:
    x = np.array([[0, -np.inf, 1], [-np.inf] * 3, [np.nan, 0, 1], [np.inf, 0, 1]], np.float32).repeat(20, 1)
    y = softmax.softmax(x, 1)
    expected = reference("_softmax", x, 1)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert (y[0, 20:40] == 0).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 150), st.integers(1, 70), dtypes, st.booleans(), st.booleans(), st.booleans())
def test_row_norm(count: int, width: int, dtype: Any, weighted: bool, shifted: bool, centred: bool) -> None:
    rng = np.random.default_rng(2)
    x = (rng.standard_normal((count, width)) + 3).astype(dtype)
    g = rng.standard_normal(x.shape).astype(dtype)
    weight = rng.standard_normal(width).astype(dtype) if weighted else None
    bias = rng.standard_normal(width).astype(dtype) if shifted else None
    y, mean, rstd = row_norm.row_norm(x, weight, bias, 1e-3, centred)
    wide = [None if each is None else each.astype(np.float64) for each in (x, weight, bias, g)]
    exact = reference("row_norm", *wide[:3], 1e-3, centred)
    tolerance = 2e-4 if dtype == np.float32 else 1e-10
    for found, expected in zip((y, mean, rstd), exact):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    gradients = row_norm.row_norm_grad(g, x, weight, mean, rstd, centred)
    expected_gradients = reference("row_norm_grad", wide[3], wide[0], wide[1], *exact[1:], centred)
    for found, expected in zip(gradients, expected_gradients):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * (1 + np.abs(expected).max()))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3000), dtypes, st.sampled_from(["gelu", "silu", "sigmoid"]))
def test_activations(size: int, dtype: Any, name: str) -> None:
    rng = np.random.default_rng(size)
    x = (rng.standard_normal(size) * 4).astype(dtype)
    g = rng.standard_normal(size).astype(dtype)
    if name == "gelu":
        if dtype == np.float64:
            assert activation.gelu(x, "none") is NotImplemented
            return
        close(activation.gelu(x, "none"), reference("gelu", x.astype(np.float64)), dtype)
        exact = reference("gelu_grad", g.astype(np.float64), x.astype(np.float64), approximate="none")
        close(activation.gelu_grad(g, x, "none"), exact, dtype)
        return
    close(getattr(activation, name)(x), reference(name, x), dtype)
    if name == "silu":
        close(activation.silu_grad(g, x), reference("silu_grad", g, x), dtype)


def test_gelu_keeps_its_relative_precision_in_the_tail() -> None:
    from scipy.special import ndtr

    x = np.linspace(-9, -1, 4097, dtype=np.float32)
    exact = x.astype(np.float64) * ndtr(x.astype(np.float64))
    assert np.abs(activation.gelu(x, "none") / exact - 1).max() < 1e-5


def test_special_values_of_activations() -> None:
    x = np.array([0.0, np.inf, -200.0, 200.0, np.nan], np.float32)
    assert activation.sigmoid(x)[:4].tolist() == [0.5, 1.0, 0.0, 1.0]
    assert np.isnan(activation.gelu(x, "none")[4])
    assert activation.gelu(x, "none")[1] == np.inf


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: F.layer_norm(x, (5,), w, b),
        lambda x, w, b: F.rms_norm(x, (5,), w),
        lambda x, w, b: F.layer_norm(x, (3, 5)),
        lambda x, w, b: F.gelu(x),
        lambda x, w, b: F.gelu(x, approximate="tanh"),
        lambda x, w, b: F.silu(x),
        lambda x, w, b: x.softmax(0),
        lambda x, w, b: x.log_softmax(1),
    ],
)
def test_first_and_second_derivatives(function: Any) -> None:
    rng = np.random.default_rng(4)
    x, w, b = (vh.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in ((3, 5), 5, 5))
    assert gradcheck(function, (x, w, b))
    assert gradgradcheck(function, (x, w, b))


def test_same_bytes_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((777, 65)).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    results = []
    before = threads.get_num_threads()
    try:
        for number in (1, 2, 3):
            threads.set_num_threads(number)
            y, mean, rstd = row_norm.row_norm(x, None, None, 1e-5, True)
            grads = row_norm.row_norm_grad(g, x, None, mean, rstd, True)
            parts = (y, *grads, softmax.softmax(x, 0), softmax.softmax(x, 1), activation.gelu(x, "none"))
            results.append([part.tobytes() for part in parts])
    finally:
        threads.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_layer_norm_says_what_does_not_fit() -> None:
    with pytest.raises(RuntimeError, match="expected input with shape"):
        F.layer_norm(vh.ones(2, 3), (4,))
    with pytest.raises(RuntimeError, match="at least 1-dimensional"):
        F.layer_norm(vh.ones(2, 3), ())
