"""Recurrent layers on generated kernels against the reference operation and PyTorch."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import framework
from framework.backends.cpu import memory, recurrent, threads
from framework.ops import recurrent as ops

CELLS = ["tanh", "relu", "lstm", "gru"]


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    monkeypatch.setattr(memory, "poison", True)


def arguments(cell, sizes, hidden, width=0, dtype=np.float64, bias=True, seed=0):
    rng = np.random.default_rng(seed)
    gates, count = recurrent.GATES[cell] * hidden, sizes[0]

    def random(*shape):
        return rng.standard_normal(shape).astype(dtype)

    return (
        random(sum(sizes), gates), random(gates, width or hidden) / 2, random(gates) if bias else None,
        random(count, width or hidden), random(count, hidden) if cell == "lstm" else None,
        random(width, hidden) if width else None,
    )  # fmt: skip


def forward_reference(*values):
    return ops.recurrent.record.forward(np, *values)


def backward_reference(*values):
    return ops.recurrent_grad.record.forward(np, *values)


def check(cell, sizes, hidden, width=0, dtype=np.float64, bias=True, reverse=False, given=(True, True, True)):
    inputs = arguments(cell, sizes, hidden, width, dtype, bias)
    tolerance = np.finfo(dtype).eps * 64 * max(hidden, 8) * len(sizes)
    run = (cell, sizes, reverse)
    results = recurrent.recurrent(*inputs, *run, True)
    expected = forward_reference(*inputs, *run, True)
    compare(results, expected, tolerance)
    lean = recurrent.recurrent(*inputs, *run, False)
    assert all(np.array_equal(a, b) for a, b in zip(lean[:3], results))
    assert len(lean[3]) == 0
    rng = np.random.default_rng(1)
    slants = [rng.standard_normal(out.shape).astype(dtype) if wanted else None for out, wanted in zip(results, given)]
    if cell != "lstm":
        slants[2] = None
    _, w_hh, _, h0, c0, w_hr = inputs
    y, kept = expected[0], expected[3]
    compare(
        recurrent.recurrent_grad(*slants, w_hh, h0, c0, w_hr, y, kept, *run),
        backward_reference(*slants, w_hh, h0, c0, w_hr, y, kept, *run),
        tolerance * 8,
    )


def compare(results, expected, tolerance):
    for result, right in zip(results, expected, strict=True):
        assert (result is None) == (right is None)
        if right is not None:
            assert result.dtype == right.dtype
            np.testing.assert_allclose(result, right, rtol=tolerance, atol=tolerance)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(CELLS), st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 70),
    st.sampled_from([np.float64, np.float32]), st.booleans(), st.booleans(),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)  # fmt: skip
def test_any_cell_and_packed_sizes(cell, sizes, hidden, dtype, bias, reverse, given):
    check(cell, tuple(sorted(sizes, reverse=True)), hidden, 0, dtype, bias, reverse, given)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("hidden", "width"), [(7, 3), (37, 33), (16, 40)])
def test_projected_lstm(hidden, width, reverse):
    check("lstm", (9, 9, 4), hidden, width, reverse=reverse)


@pytest.mark.parametrize("cell", CELLS)
def test_same_bytes_on_any_number_of_threads(cell):
    inputs = arguments(cell, (37, 37, 20), 24, dtype=np.float32)
    before = threads.get_num_threads()
    found = set()
    try:
        for count in (1, 2, 5):
            threads.set_num_threads(count)
            y, h, c, kept = recurrent.recurrent(*inputs, cell, (37, 37, 20), False, True)
            _, w_hh, _, h0, c0, _ = inputs
            grads = recurrent.recurrent_grad(y, h, None, w_hh, h0, c0, None, y, kept, cell, (37, 37, 20), False)
            found.add(b"".join(a.tobytes() for a in (y, h, c, kept, *grads) if a is not None))
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize(("dtype", "ulps"), [(np.float32, 4), (np.float64, 4)])
def test_nonlinearities_are_accurate_everywhere(dtype, ulps):
    """Through an Elman layer without weights on the state: tanh of any size, infinite and NaN."""
    small = np.logspace(-30, 2, 4001)
    x = np.concatenate([-small, small, [0.0, np.inf, -np.inf, np.nan]]).astype(dtype)[:, None]
    zeros = np.zeros((len(x), 1), dtype), np.zeros((1, 1), dtype)
    y = recurrent.recurrent(x, zeros[1], None, zeros[0], None, None, "tanh", (len(x),), False, False)[0]
    expected = np.tanh(x.astype(np.longdouble))
    np.testing.assert_allclose(y, expected.astype(dtype), rtol=ulps * np.finfo(dtype).eps, atol=0)
    y = recurrent.recurrent(x, zeros[1], None, zeros[0], None, None, "relu", (len(x),), False, False)[0]
    np.testing.assert_array_equal(y, np.where(np.isnan(x), x, np.maximum(x, 0)))


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_half_precision_is_rounded_once(cell):
    half = framework.bfloat16.numpy_dtype
    inputs = [None if x is None else x.astype(half) for x in arguments(cell, (12, 12), 20, dtype=np.float32)]
    wide = [None if x is None else x.astype(np.float32) for x in inputs]
    results = recurrent.recurrent(*inputs, cell, (12, 12), False, True)
    expected = recurrent.recurrent(*wide, cell, (12, 12), False, True)
    for result, right in zip(results[:3], expected):
        assert result.dtype == half
        np.testing.assert_array_equal(result.view(np.uint16), right.astype(half).view(np.uint16))


def test_not_served_is_said():
    inputs = arguments("gru", (3, 3), 4)
    strange = (inputs[0].astype(np.float32), *inputs[1:])
    assert recurrent.recurrent(*strange, "gru", (3, 3), False, True) is NotImplemented


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("kind", "options"),
    [("LSTM", {}), ("LSTM", {"bias": False}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})],
)
def test_two_layers_both_ways_beside_pytorch(kind, options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(6, 21, 2, bidirectional=True, dtype=torch.float64, **options)
    ours = getattr(framework.nn, kind)(6, 21, 2, bidirectional=True, dtype=framework.float64, **options)
    ours.load_state_dict({name: framework.tensor(w.numpy()) for name, w in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 19, 6))
    xt, xo = torch.tensor(x, requires_grad=True), framework.tensor(x, requires_grad=True)
    yt, yo = theirs(xt)[0], ours(xo)[0]
    yt.sin().sum().backward()
    yo.sin().sum().backward()
    np.testing.assert_allclose(yo.detach().numpy(), yt.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(xo.grad.numpy(), xt.grad.numpy(), rtol=1e-10, atol=1e-12)
    for (name, mine), right in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), right.grad.numpy(), rtol=1e-10, atol=1e-11, err_msg=name)
