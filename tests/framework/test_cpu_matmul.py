"""Matrix products on generated kernels against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework import from_numpy
from framework.autograd import gradcheck, gradgradcheck
from framework.backends.cpu import matmul as products
from framework.backends.cpu import memory, threads
from framework.backends.cpu.matmul import matmul
from framework.nn.functional import linear


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    monkeypatch.setattr(memory, "poison", True)


LAYOUTS = ["plain", "turned", "reversed", "spaced"]


def check(a, b):
    result = matmul(a, b)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert result.shape == expected.shape
    assert result.dtype == a.dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=np.finfo(a.dtype).eps * 8 * a.shape[-1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(8, 120), st.integers(42, 1100), st.integers(100, 150), st.sampled_from([np.float32, np.float64]),
    st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_any_matrices(rows, inner, columns, dtype, left, right):
    rng = np.random.default_rng(rows)
    check(arrange(rng, rows, inner, dtype, left), arrange(rng, inner, columns, dtype, right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4, 33, 65), (3, 4, 65, 47)), ((4, 33, 65), (3, 4, 65, 47)), ((3, 4, 33, 65), (65, 47)),
        ((3, 1, 33, 65), (4, 65, 47)), ((33, 65), (7, 65, 47)), ((2, 1, 50, 40), (1, 3, 40, 50)), ((64, 700), (700, 4)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_broadcast(left, right, dtype):
    rng = np.random.default_rng(0)
    check(rng.standard_normal(left).astype(dtype), rng.standard_normal(right).astype(dtype))
    turned = rng.standard_normal((*left[:-2], left[-1], left[-2])).astype(dtype).swapaxes(-1, -2)
    check(turned, rng.standard_normal(right).astype(dtype))


def test_heads_of_attention_are_read_in_place():
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((2, 48, 3, 64), dtype=np.float32)
    q, k = whole.transpose(0, 2, 1, 3), whole.transpose(0, 2, 3, 1)
    check(q, k)


def test_same_bytes_on_any_number_of_threads():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((211, 700), dtype=np.float32), rng.standard_normal((700, 133), dtype=np.float32)
    before = threads.get_num_threads()
    results = []
    for number in (1, 2, 5):
        threads.set_num_threads(number)
        results.append(matmul(a, b).tobytes())
    threads.set_num_threads(before)
    assert len(set(results)) == 1


def test_not_served_is_said():
    a = np.ones((40, 40), np.float32)
    assert matmul(a.astype(np.int64), a.astype(np.int64)) is NotImplemented
    assert matmul(a, a.astype(np.float64)) is NotImplemented
    assert matmul(a[0], a) is NotImplemented
    assert matmul(a[:, :0], a[:0]) is NotImplemented
    assert matmul(a, a[:30]) is NotImplemented


def arrange(rng, rows, columns, dtype, layout):
    if layout == "turned":
        return rng.standard_normal((columns, rows)).astype(dtype).T
    if layout == "reversed":
        return rng.standard_normal((rows, columns)).astype(dtype)[::-1, ::-1]
    if layout == "spaced":
        return rng.standard_normal((rows * 2, columns * 3)).astype(dtype)[::2, ::3]
    return rng.standard_normal((rows, columns)).astype(dtype)


@pytest.mark.parametrize("shape", [(1, 5), (40, 33), (3, 50, 64), (2, 3, 16, 40)])
@pytest.mark.parametrize("outputs", [1, 31, 100])
@pytest.mark.parametrize("biased", [False, True])
def test_linear_adds_the_bias_in_the_product(shape, outputs, biased, monkeypatch):
    monkeypatch.setattr(products, "_FEW_ROWS", 1)
    monkeypatch.setattr(products, "_FEW_COLUMNS", 1)
    monkeypatch.setattr(products, "_FEW_PRODUCTS", 1)
    rng = np.random.default_rng(6)
    x = rng.standard_normal(shape)
    weight = rng.standard_normal((outputs, shape[-1]))
    bias = rng.standard_normal(outputs) if biased else None
    found = products.linear(x, weight, bias)
    expected = x @ weight.T + (0 if bias is None else bias)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_derivatives_of_linear():
    rng = np.random.default_rng(7)
    for shape in ((4,), (3, 4), (2, 3, 4)):
        tensors = [from_numpy(rng.standard_normal(s)).requires_grad_() for s in (shape, (5, 4), (5,))]
        assert gradcheck(linear, tensors)
        assert gradgradcheck(linear, tensors)
        assert gradcheck(linear, tensors[:2])
