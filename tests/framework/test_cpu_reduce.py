"""Sums over positions on generated kernels against NumPy in float64."""

import numpy as np
import pytest

from framework.backends.cpu import threads
from framework.backends.cpu.reduce import sum as fast_sum


def last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


@pytest.mark.parametrize("layout", [last, np.asarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 43, 31, 10, 9), (1, 3, 200, 101), (3, 1, 9001), (2, 32, 4096)])
def test_sums(shape, dtype, layout):
    x = layout((np.random.default_rng(0).standard_normal(shape) + 3).astype(dtype))
    spatial = tuple(range(2, len(shape)))
    for axes in (spatial, (0, *spatial), (1, *spatial), None, (0, *range(1 - len(shape) + 1, 0)), (0, 1, *spatial)):
        for keepdim in (False, True):
            result = fast_sum(x, axes, keepdim)
            expected = x.astype(np.float64).sum(axes, keepdims=keepdim)
            assert result.shape == expected.shape
            assert result.dtype == dtype
            np.testing.assert_allclose(result, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)


def test_same_bytes_on_any_number_of_threads():
    x = last(np.random.default_rng(0).standard_normal((2, 43, 31, 30, 9), dtype=np.float32))
    before = threads.get_num_threads()
    results = []
    for number in (1, 2, 5):
        threads.set_num_threads(number)
        results.append(fast_sum(x, (0, 2, 3, 4)).tobytes())
    threads.set_num_threads(before)
    assert len(set(results)) == 1


def test_not_served_is_said():
    x = np.ones((2, 32, 4096), np.float32)
    assert fast_sum(x, (0,)) is NotImplemented
    assert fast_sum(x[:, :, ::2], (2,)) is NotImplemented
    assert fast_sum(x.astype(np.int64), (2,)) is NotImplemented
    assert fast_sum(x[:1, :1], (2,)) is NotImplemented
    assert fast_sum(x[0], (0, 1)) is NotImplemented
    assert fast_sum(x, (2, 5)) is NotImplemented
    assert fast_sum(x, (2, -1)) is NotImplemented
