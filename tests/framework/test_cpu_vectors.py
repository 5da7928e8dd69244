"""Vector kernels: exact where one rounding decides, beside the plain form, the same bytes on any number of threads."""

import math
from fractions import Fraction

import numpy as np
import pytest

from framework.backends.cpu import threads, vectors
from framework.ops.vectors import ordered_dot, scaled_sum


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 8, 12, 70001])
def test_beside_the_plain_form(dtype, size):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(vectors.scaled_sum(y, x, 0.3), y + x * dtype(0.3), rtol=2 * eps, atol=2 * eps)
    exact = math.fsum(x.astype(np.float64) * y)
    assert abs(float(vectors.ordered_dot(x, y)) - exact) <= 2 * eps * abs(x.astype(np.float64) * y).sum()
    assert vectors.ordered_dot(x, y).dtype == dtype


def test_a_product_and_a_sum_are_rounded_together():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(100), rng.standard_normal(100)
    wanted = [float(Fraction(0.1) * Fraction(a) + Fraction(b)) for a, b in zip(x.tolist(), y.tolist())]
    assert vectors.scaled_sum(y, x, 0.1).tolist() == wanted


def test_the_order_does_not_depend_on_threads():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(200001), rng.standard_normal(200001)
    before, results = threads.get_num_threads(), set()
    for number in (1, 3):
        threads.set_num_threads(number)
        results.add(float(vectors.ordered_dot(x, y)))
    threads.set_num_threads(before)
    assert len(results) == 1


def test_what_is_not_served_falls_back():
    x = np.arange(10.0)[::2]
    assert vectors.ordered_dot(x, x) is NotImplemented
    assert ordered_dot(x, x) == 120
    np.testing.assert_array_equal(scaled_sum(x, x, 0.5), 1.5 * x)
    half = np.ones(3, np.float16)
    assert scaled_sum(half, half, 2.0).dtype == np.float16
