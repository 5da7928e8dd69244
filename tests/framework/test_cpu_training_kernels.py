"""Pooling, cross-entropy, leaky ReLU and optimizer steps on generated kernels against PyTorch."""

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
F = torch.nn.functional

from framework.backends.cpu import loss, memory, pool, threads, update  # noqa: E402
from framework.ops.foreach import foreach_adam  # noqa: E402
from framework.ops.pool import max_pool_grad  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.fixture(autouse=True)
def poisoned_outputs(monkeypatch):
    monkeypatch.setattr(memory, "poison", True)


def last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_cross_entropy(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    shape = (
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(1, 40)),
        *data.draw(st.lists(st.integers(1, 9), max_size=3)),
    )
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    x = (rng.standard_normal(shape) * 6).astype(dtype)
    x = last(x) if data.draw(st.booleans()) else x
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target[rng.random(target.shape) < 0.2] = 255
    target = target.astype(data.draw(st.sampled_from([np.uint8, np.int64])))
    weight = rng.random(shape[1]).astype(dtype) if data.draw(st.booleans()) else None
    g = rng.standard_normal(target.shape).astype(dtype)

    wide = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    weights = None if weight is None else torch.from_numpy(weight.astype(np.float64))
    expected = F.cross_entropy(
        wide, torch.from_numpy(target.astype(np.int64)), weights, ignore_index=255, reduction="none"
    )
    expected.backward(torch.from_numpy(g.astype(np.float64)))

    limit = 1e-5 if dtype == np.float32 else 1e-12
    result, whole = loss.softmax_cross_entropy(x, target, weight, 255)
    np.testing.assert_allclose(result, expected.detach().numpy(), rtol=0, atol=limit)
    np.testing.assert_allclose(whole, torch.logsumexp(wide, 1).detach().numpy(), rtol=0, atol=limit)
    gradient = loss.softmax_cross_entropy_grad(g, x, target, weight, 255, whole)
    np.testing.assert_allclose(gradient, wide.grad.numpy(), rtol=0, atol=limit)


def test_cross_entropy_of_extreme_logits():
    x = np.array([[1e4, -1e4, 0.0], [-3e38, 3e38, 0.0], [np.nan, 0.0, 0.0]], np.float32)
    result, _ = loss.softmax_cross_entropy(x, np.array([0, 1, 1]), None, -100)
    np.testing.assert_array_equal(result, [0, 0, np.nan])


def test_target_out_of_range_is_an_error():
    x = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(IndexError, match="target 2 is out of bounds for 2 classes"):
        loss.softmax_cross_entropy(x, np.array([[0, 1, 2]]), None, -100)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_max_pool(data):
    rank = data.draw(st.integers(1, 3))

    def each(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2)
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 8)) for k, d in zip(kernel, dilation, strict=True))
    x = np.random.default_rng(0).standard_normal((2, data.draw(st.integers(1, 20)), *size)).astype(np.float32)
    x.flat[x.size // 2] = np.nan
    x = last(x) if data.draw(st.booleans()) else x
    ceil_mode = data.draw(st.booleans())
    values, index = getattr(F, f"max_pool{rank}d")(
        torch.from_numpy(np.ascontiguousarray(x)), kernel, stride, padding, dilation, ceil_mode, True
    )
    ours = pool.max_pool(x, kernel, stride, padding, dilation, ceil_mode)
    if ours is NotImplemented:  # a dilated window may lie outside; PyTorch's answer there has no meaning
        return
    np.testing.assert_array_equal(ours[0], values.numpy())
    np.testing.assert_array_equal(ours[1], index.numpy())
    g = np.random.default_rng(1).standard_normal(values.shape).astype(np.float32)
    back = pool.max_pool_grad(g, ours[1], size)
    np.testing.assert_array_equal(back, max_pool_grad.record.forward(np, g, index.numpy(), size))


def test_a_window_outside_the_volume_is_left_to_the_reference():
    assert pool.max_pool(np.ones((1, 1, 2), np.float32), (2,), (1,), (1,), (3,), False) is NotImplemented


@pytest.mark.parametrize("layout", [last, np.asarray])
def test_leaky_relu(layout):
    rng = np.random.default_rng(0)
    x, g = (layout(rng.standard_normal((2, 5, 33, 41, 7), dtype=np.float32)) for _ in range(2))
    x[0, 0, 0, 0, :3] = np.nan, 0.0, -0.0
    np.testing.assert_array_equal(update.leaky_relu(x, 0.25), F.leaky_relu(torch.tensor(x), 0.25).numpy())
    np.testing.assert_array_equal(update.leaky_relu_grad(g, x, 0.25), np.where(x > 0, g, g * np.float32(0.25)))
    assert update.leaky_relu(x, 0.25).strides == x.strides
    assert update.leaky_relu(x[..., ::2], 0.25) is NotImplemented


SHAPES = ((3, 4, 5), (70001,), (1,), (16, 3, 3, 3, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.1, "nesterov": False},
        {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.1, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.0, "nesterov": False},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sgd(options, dtype):
    rng = np.random.default_rng(0)
    ours = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    theirs = [torch.tensor(p, requires_grad=True) for p in ours]
    buffers = [np.full_like(p, np.nan) for p in ours]
    optimizer = torch.optim.SGD(theirs, lr=0.1, **options)
    for step in range(3):
        gradients = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        gradients[-1] = last(gradients[-1])  # another layout than the parameter's
        update.foreach_sgd(
            ours, gradients, buffers if options["momentum"] else [None] * len(ours), 0.1, options["momentum"],
            options["dampening"], options["weight_decay"], options["nesterov"], step == 0,
        )  # fmt: skip
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam(name, amsgrad, dtype):
    rng = np.random.default_rng(0)
    ours = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    plain = [p.copy() for p in ours]
    theirs = [torch.tensor(p, requires_grad=True) for p in ours]
    state, plain_state = ([[np.zeros_like(p) for p in ours] for _ in range(2 + amsgrad)] for _ in range(2))
    optimizer = getattr(torch.optim, name)(theirs, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=amsgrad)
    for step in range(1, 6):
        gradients = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        settings = step, 0.01, 0.8, 0.95, 1e-8, 0.1, name == "AdamW"
        for params, (m, v, *tops), function in (
            (ours, state, update.foreach_adam), (plain, plain_state, partial(foreach_adam.record.forward, np)),
        ):  # fmt: skip
            assert function(params, gradients, m, v, tops[0] if tops else [], *settings) is not NotImplemented
    for p, q, r in zip(ours, theirs, plain, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=0, atol=20 * np.finfo(dtype).eps)
        np.testing.assert_allclose(p, r, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_an_optimizer_step_that_is_not_served_changes_nothing():
    p, spaced = np.ones(10, np.float32), np.ones(20, np.float32)[::2]
    g = np.ones(10, np.float32)
    assert update.foreach_sgd([p, spaced], [g, g], [None, None], 0.1, 0.0, 0.0, 0.0, False, True) is NotImplemented
    np.testing.assert_array_equal(p, 1)


def test_same_bytes_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    x = last(rng.standard_normal((2, 7, 30, 31, 9), dtype=np.float32))
    target = rng.integers(0, 7, (2, 30, 31, 9))
    before = threads.get_num_threads()
    results = []
    for number in (1, 4):
        threads.set_num_threads(number)
        part, whole = loss.softmax_cross_entropy(x, target, None, -100)
        gradient = loss.softmax_cross_entropy_grad(part, x, target, None, -100, whole)
        results.append(part.tobytes() + whole.tobytes() + gradient.tobytes())
    threads.set_num_threads(before)
    assert results[0] == results[1]
