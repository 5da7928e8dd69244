"""Checkpointing: the same gradients from less memory, run again as the first time."""

from typing import Any

import numpy as np
import pytest

import framework as vh
from framework import autograd, nn
from framework.autograd import graph
from framework.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def leaf(*shape: int) -> vh.Tensor:
    return vh.tensor(np.random.default_rng(3).uniform(0.5, 1.5, shape)).requires_grad_()


def both(function: Any, *inputs: vh.Tensor, **options: Any) -> None:
    """The gradients with and without checkpointing are the same to the last bit."""
    results = []
    for run in (lambda: function(*inputs), lambda: checkpoint(function, *inputs, use_reentrant=False, **options)):
        vh.manual_seed(1)
        out = run()
        after = vh.rand(3)
        results.append([out.detach(), after, *autograd.grad(out.sum(), inputs)])
    for plain, again in zip(*results):
        np.testing.assert_array_equal(plain.numpy(), again.numpy())


def test_gradients_are_the_same() -> None:
    both(lambda a, b: (a @ b).tanh().exp() * a.sum(), leaf(3, 3), leaf(3, 3))
    both(lambda a: nn.functional.dropout(a, 0.5) * a, leaf(50))
    both(lambda a: nn.functional.dropout(a, 0.5) * a, leaf(50), early_stop=False)
    both(lambda a: checkpoint(lambda x: nn.functional.dropout(x.exp()) * x, a.sin()).cos() * a, leaf(20))


def test_only_inputs_are_kept() -> None:
    x = leaf(100, 100)
    calls = []

    def part(a: vh.Tensor, *, power: int) -> vh.Tensor:
        calls.append(power)
        for _ in range(10):
            a = (a * 0.5).exp()
        return a

    plain = part(x, power=2)
    kept = checkpoint(part, x * 1, power=2)
    assert graph.saved_bytes(plain) == 10 * x.nbytes
    assert graph.saved_bytes(kept) <= x.nbytes
    kept.sum().backward()
    assert calls == [2, 2, 2]


def test_second_run_ends_early() -> None:
    ran = []

    def part(a: vh.Tensor) -> vh.Tensor:
        b = a.exp() * a
        ran.append("saved")
        c = b + 1
        ran.append("end")
        return c

    x = leaf(3)
    checkpoint(part, x).sum().backward()
    assert ran.count("end") == 1
    checkpoint(part, x, early_stop=False).sum().backward()
    assert ran.count("end") == 3


def test_derivatives_of_higher_order_and_retained_graphs() -> None:
    x = leaf(4)
    y = checkpoint(lambda a: (a**4).sum(), x)
    (g,) = autograd.grad(y, x, create_graph=True)
    (h,) = autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), 12 * x.detach().numpy() ** 2)
    z = checkpoint(lambda a: a.exp() * a, x).sum()
    first = autograd.grad(z, x, retain_graph=True)[0]
    second = autograd.grad(z, x)[0]
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert autograd.gradcheck(lambda a: checkpoint(vh.tanh, a), [x])


def test_nested_parts_keep_no_inner_inputs() -> None:
    x = leaf(1000)

    def inner(a: vh.Tensor) -> vh.Tensor:
        return a.exp().sin()

    def outer(a: vh.Tensor) -> vh.Tensor:
        for _ in range(4):
            a = checkpoint(inner, a.cos())
        return a

    plain = x
    for _ in range(4):
        plain = inner(plain.cos())
    y = checkpoint(outer, x)
    assert graph.saved_bytes(y) == 0  # the leaf is all that is left
    mine, reference = autograd.grad(y.sum(), x)[0], autograd.grad(plain.sum(), x)[0]
    np.testing.assert_array_equal(mine.numpy(), reference.numpy())


def test_modes_of_the_first_run_come_back() -> None:
    x = leaf(3)
    seen = []

    def part(a: vh.Tensor) -> vh.Tensor:
        seen.append((vh.is_grad_enabled(), autograd.is_anomaly_enabled()))
        with vh.no_grad():
            a.exp()
        return a.exp() * a

    with autograd.detect_anomaly():
        y = checkpoint(part, x)
    y.sum().backward()
    assert seen == [(True, True), (True, True)]
    assert not autograd.is_anomaly_enabled()


def test_autocast_comes_back() -> None:
    w = vh.randn(4, 4, requires_grad=True)
    with vh.autocast("cpu", vh.bfloat16):
        y = checkpoint(lambda a: (a @ w).tanh() @ w, vh.randn(2, 4))
    assert y.dtype is vh.bfloat16
    y.float().sum().backward()
    assert w.grad.dtype is vh.float32


def test_a_second_run_that_differs_is_found() -> None:
    x = leaf(3)
    count = [0]

    def changing(a: vh.Tensor) -> vh.Tensor:
        count[0] += 1
        return a.exp() if count[0] == 1 else a.exp().reshape(1, 3).sin()[0]

    with pytest.raises(CheckpointError, match="different number of tensors"):
        checkpoint(changing, x, early_stop=False).sum().backward()
    count[0] = 0

    def reshaping(a: vh.Tensor) -> vh.Tensor:
        count[0] += 1
        return (a if count[0] == 1 else a[:2]).exp().sum()

    with pytest.raises(CheckpointError, match=r"different metadata(?s:.*)shape \[3\](?s:.*)shape \[2\]"):
        checkpoint(reshaping, x).backward()
    with pytest.raises(ValueError, match="use_reentrant=False"):
        checkpoint(vh.exp, x, use_reentrant=True)


def test_input_written_after_the_first_run_is_found() -> None:
    x = leaf(3)
    a = x * 2
    y = checkpoint(lambda v: v.exp(), a)
    with vh.no_grad():
        a.add_(1)
    with pytest.raises(RuntimeError, match=r"inplace operation.*checkpoint"):
        y.sum().backward()


def test_contexts_of_both_runs() -> None:
    import contextlib

    entered = []

    def context(name: str) -> Any:
        @contextlib.contextmanager
        def manager() -> Any:
            entered.append(name)
            yield

        return manager()

    y = checkpoint(lambda a: a.exp(), leaf(2), context_fn=lambda: (context("first"), context("second")))
    assert entered == ["first"]
    y.sum().backward()
    assert entered == ["first", "second"]


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequences_in_segments(segments: int) -> None:
    vh.manual_seed(0)
    net = nn.Sequential(*(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(5)))
    x = vh.randn(3, 6)
    net(x).sum().backward()
    plain = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    checkpoint_sequential(net, segments, x, use_reentrant=False).sum().backward()
    for parameter, reference in zip(net.parameters(), plain):
        np.testing.assert_array_equal(parameter.grad.numpy(), reference.numpy())


def test_inside_vmap() -> None:
    w, x = leaf(3, 3), leaf(5, 3)

    def loss(v: vh.Tensor) -> vh.Tensor:
        return checkpoint(lambda a: nn.functional.dropout((w @ a).exp()).sum(), v)

    def plain(v: vh.Tensor) -> vh.Tensor:
        return nn.functional.dropout((w @ v).exp()).sum()

    results = []
    for function in (loss, plain):
        vh.manual_seed(4)
        results.append(autograd.grad(vh.vmap(function, randomness="different")(x).sum(), [w, x]))
    for mine, reference in zip(*results):
        np.testing.assert_array_equal(mine.numpy(), reference.numpy())
