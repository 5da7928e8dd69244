"""Generated convolution kernels against PyTorch in float64, over shapes, strides, padding, groups and layouts."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from framework.backends.cpu import conv as C  # noqa: E402
from framework.backends.cpu import memory, threads  # noqa: E402

pytestmark = pytest.mark.oracle

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-13}


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    """New arrays are full of NaN, so an element that a kernel does not write is seen."""
    monkeypatch.setattr(memory, "poison", True)


@st.composite
def problems(draw):
    rank = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = each(1, 4), each(1, 3), each(1, 3)
    padding = each(0, 3)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(draw(st.integers(low, low + 9)) for low in least)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, outputs = draw(st.integers(1, 21)) * groups, draw(st.integers(1, 35)) * groups
    return {
        "images": draw(st.integers(1, 2)), "channels": channels, "outputs": outputs, "size": size, "kernel": kernel,
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "dtype": draw(st.sampled_from([np.float32, np.float32, np.float64])),
        "layout": draw(st.sampled_from(["last", "first", "sliced", "flipped"])), "seed": draw(st.integers(0, 2**31)),
    }  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problems())
def test_any_convolution(problem):
    check(**problem)


# name: channels, outputs, size, kernel, and what differs from stride 1, padding 0, one group
NAMED = {
    "stem": (1, 32, (9, 10, 11), (3, 3, 3), {"padding": (1, 1, 1)}),
    "stem of two channels": (2, 17, (9, 10, 8), (3, 3, 1), {"padding": (1, 1, 0)}),
    "strided stem": (1, 20, (9, 13, 20), (3, 3, 3), {"padding": (1, 0, 2), "stride": (1, 2, 2), "dilation": (1, 1, 2)}),
    "head of three classes": (33, 3, (7, 8, 9), (1, 1, 1), {}),
    "head of one class": (16, 1, (5, 4, 3), (1, 1, 1), {}),
    "anisotropic stride": (8, 24, (9, 9, 8), (3, 3, 1), {"stride": (2, 2, 1), "padding": (1, 1, 0)}),
    "upsampling by two": (24, 16, (8, 6, 10), (2, 2, 2), {"stride": (2, 2, 2)}),
    "upsampling in the plane": (24, 40, (8, 6, 5), (2, 2, 1), {"stride": (2, 2, 1)}),
    "stride beyond kernel": (5, 7, (9, 8, 7), (1, 1, 1), {"stride": (3, 2, 2)}),
    "depthwise": (20, 20, (6, 7, 5), (3, 3, 3), {"padding": (1, 1, 1), "groups": 20}),
    "depthwise, two each": (9, 18, (12, 7), (3, 5), {"padding": (1, 2), "groups": 9}),
    "reduction beyond one block": (150, 40, (3, 4, 5), (3, 3, 3), {"padding": (1, 1, 1)}),
    "one position": (40, 50, (1, 1, 1), (3, 3, 3), {"padding": (1, 1, 1)}),
    "many rows": (3, 6, (40, 33, 5), (3, 3, 3), {"padding": (1, 1, 1)}),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_named_convolution(name, dtype):
    channels, outputs, size, kernel, form = NAMED[name]
    rank = len(size)
    form = {"stride": (1,) * rank, "padding": (0,) * rank, "dilation": (1,) * rank, "groups": 1} | form
    check(2, channels, outputs, size, kernel, **form, dtype=dtype, layout="last", seed=3)


def check(images, channels, outputs, size, kernel, stride, padding, dilation, groups, dtype, layout, seed):
    rng = np.random.default_rng(seed)
    x = arrange(rng.standard_normal((images, channels, *size)).astype(dtype), layout)
    w = arrange(rng.standard_normal((outputs, channels // groups, *kernel)).astype(dtype), layout)
    bias = rng.standard_normal(outputs).astype(dtype)
    form = stride, padding, dilation, groups
    wide_x, wide_w = (torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, w))
    convolve = getattr(torch.nn.functional, f"conv{len(size)}d")
    expected = convolve(wide_x, wide_w, torch.from_numpy(bias.astype(np.float64)), *form)
    g = arrange(rng.standard_normal(expected.shape).astype(dtype), layout)
    expected.backward(torch.from_numpy(g.astype(np.float64)))

    y = C.conv(x, w, bias, *form)
    close(y, expected.detach(), channels * np.prod(kernel))
    close(C.conv(x, w, None, *form), expected.detach() - channel_column(bias, len(size)), channels * np.prod(kernel))
    close(C.conv_grad_input(g, w, size, *form), wide_x.grad, outputs * np.prod(kernel))
    close(C.conv_grad_weight(g, x, kernel, *form), wide_w.grad, y[0, 0].size * images)
    assert y.shape[1] == 1 or y.strides[1] == y.itemsize


def arrange(array, layout):
    if layout == "first":
        return array
    if layout == "last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "flipped":
        back = array[(slice(None), slice(None), *[slice(None, None, -1)] * (array.ndim - 2))]
        return arrange(np.ascontiguousarray(back), "last")[(..., *[slice(None, None, -1)] * (array.ndim - 2))]
    wide = np.full([n + 2 for n in array.shape], np.nan, array.dtype)[::-1]
    inner = wide[tuple(slice(1, -1) for _ in array.shape)]
    inner[...] = array
    return inner


def channel_column(bias, rank):
    return torch.from_numpy(bias.astype(np.float64)).reshape(-1, *[1] * rank)


def close(result, expected, terms):
    expected = expected.numpy()
    assert result.shape == expected.shape
    limit = TOLERANCE[result.dtype] * np.sqrt(terms) * max(1.0, np.abs(expected).max() / np.sqrt(terms))
    np.testing.assert_allclose(result, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_same_bytes_on_any_number_of_threads(count):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 19, 13, 12, 11), dtype=np.float32)
    w = rng.standard_normal((37, 19, 3, 3, 3), dtype=np.float32)
    form = (1, 1, 1), (1, 1, 1), (1, 1, 1), 1
    before = threads.get_num_threads()
    results = []
    for number in (1, count):
        threads.set_num_threads(number)
        y = C.conv(x, w, None, *form)
        results.append((y, C.conv_grad_input(y, w, (13, 12, 11), *form), C.conv_grad_weight(y, x, (3, 3, 3), *form)))
    threads.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        assert one.tobytes() == many.tobytes()


def test_not_served_is_said():
    x, w = np.ones((1, 2, 5), np.float32), np.ones((3, 2, 3), np.float32)
    form = (1,), (0,), (1,), 1
    assert C.conv(x.astype(np.float16), w.astype(np.float16), None, *form) is NotImplemented
    assert C.conv(x, w.astype(np.float64), None, *form) is NotImplemented
    assert C.conv(x.astype(">f4"), w.astype(">f4"), None, *form) is NotImplemented
    assert C.conv(x[:0], w, None, *form) is NotImplemented
    assert C.conv(x, np.ones((3, 2, 6), np.float32), None, *form) is NotImplemented


def test_not_a_number_reaches_only_what_it_touches():
    x = np.zeros((1, 3, 9, 9), np.float32)
    x[0, 1, 4, 4] = np.nan
    y = C.conv(x, np.ones((2, 3, 3, 3), np.float32), None, (1, 1), (1, 1), (1, 1), 1)
    reached = np.zeros((9, 9), bool)
    reached[3:6, 3:6] = True
    np.testing.assert_array_equal(np.isnan(y[0, 0]), reached)
