"""The engine: accumulation, freeing, hooks, higher orders, custom functions, threads."""

import gc
import threading
import weakref

import numpy as np
import pytest

import framework as vh
from framework.autograd import Function, detect_anomaly, grad, gradcheck, gradgradcheck


def leaf(*values: float) -> vh.Tensor:
    return vh.tensor(list(values), dtype=vh.float64, requires_grad=True)


def test_gradients_of_all_uses_add_up() -> None:
    x = leaf(1, 2)
    (x * x + x * 3 + x).sum().backward()
    assert x.grad.tolist() == [6, 8]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [8, 10]


def test_two_leaves_never_share_a_gradient() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).sum().backward()
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1]


def test_broadcast_operands_get_summed_gradients() -> None:
    a, b = vh.ones(3, 1, requires_grad=True), vh.ones(4, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.tolist() == [[4], [4], [4]]
    assert b.grad.tolist() == [3, 3, 3, 3]


def test_gradient_has_the_type_of_its_leaf() -> None:
    a, b = vh.ones(2, requires_grad=True), vh.ones(2, dtype=vh.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype is vh.float32
    assert b.grad.dtype is vh.float64


def test_second_backward_says_why_not() -> None:
    x = leaf(1)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    z = x * x
    z.backward(retain_graph=True)
    z.backward()


def test_saved_arrays_are_freed_as_backward_goes() -> None:
    x = leaf(1, 2)
    middle = vh.exp(x)
    reference = weakref.ref(middle)
    y = (middle * middle).sum()
    del middle
    y.backward()
    gc.collect()
    assert reference() is None
    assert y.grad_fn.next_functions[0][0].saved is None


def test_write_to_a_saved_tensor_is_found() -> None:
    x = leaf(1, 2)
    y = vh.exp(x)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"inplace operation.*version 1; expected version 0"):
        y.sum().backward()


def test_no_grad_records_nothing() -> None:
    x = leaf(1)
    with vh.no_grad():
        assert not (x * 2).requires_grad
        with vh.enable_grad():
            assert (x * 2).requires_grad

    @vh.no_grad
    def plain() -> vh.Tensor:
        return x * 2

    assert not plain().requires_grad
    with vh.inference_mode():
        y = x * 2
    with pytest.raises(RuntimeError, match="inference"):
        y.requires_grad_()


def test_recording_by_a_flag() -> None:
    x = leaf(1)
    with vh.set_grad_enabled(False):
        assert not (x * 2).requires_grad

    @vh.set_grad_enabled(False)
    def plain() -> vh.Tensor:
        return x * 2

    assert vh.is_grad_enabled()
    assert not plain().requires_grad
    vh.set_grad_enabled(False)
    assert not vh.is_grad_enabled()
    vh.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_grad_returns_only_what_is_asked() -> None:
    x, y = leaf(2), leaf(3)
    z = x * x * y
    (only,) = grad(z, x)
    assert only.tolist() == [12]
    assert x.grad is None
    with pytest.raises(RuntimeError, match="not have been used"):
        grad(x * 2, [y])
    assert grad(x * 2, [y], allow_unused=True) == (None,)


def test_gradient_with_respect_to_a_middle_tensor() -> None:
    x = leaf(2)
    middle = x * 3
    (g,) = grad(middle * middle, middle)
    assert g.tolist() == [12]


def test_several_roots_share_their_way_down() -> None:
    x, y = leaf(1, 2), leaf(0.5, 0.7)
    first = grad((x - y).square().sum(), [x, y], create_graph=True)
    gx, gy = grad(list(first), [x, y], [leaf(1, 10), leaf(100, 1000)])
    assert gx.tolist() == [-198, -1980]
    assert gy.tolist() == [198, 1980]


def test_third_derivative() -> None:
    x = leaf(1.5)
    y = vh.tanh(x) * x**3
    for _ in range(3):
        (y,) = grad(y.sum(), x, create_graph=True)
    h = 1e-3
    f = lambda v: np.tanh(v) * v**3  # noqa: E731
    numeric = (f(1.5 + 2 * h) - 2 * f(1.5 + h) + 2 * f(1.5 - h) - f(1.5 - 2 * h)) / (2 * h**3)
    assert y.item() == pytest.approx(numeric, rel=1e-4)


def test_long_chains_do_not_overflow_the_stack() -> None:
    x = leaf(1)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert x.grad.tolist() == [1]
    del y


def test_hooks() -> None:
    x = leaf(1, 2)
    y = x * 2
    seen = []
    y.retain_grad()
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    y.sum().backward()
    assert seen == [[1, 1], [20, 20]]
    assert y.grad.tolist() == [1, 1]
    handle.remove()
    (x * 2).register_hook(lambda g: None)
    assert len(seen) == 2


def test_anomaly_names_the_line() -> None:
    x = leaf(0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"(?s)SqrtBackward.*nan.*test_autograd"):
        (vh.sqrt(x) * 0).backward()


class Cube(Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return 3 * g * x * x


def test_custom_function() -> None:
    x = leaf(2, 3)
    assert gradcheck(Cube.apply, [x])
    assert gradgradcheck(Cube.apply, [x])


def test_gradcheck_finds_a_wrong_derivative() -> None:
    class Wrong(Cube):
        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, [leaf(2, 3)])


def test_threads_accumulate_into_one_leaf() -> None:
    x = leaf(1)
    threads = [threading.Thread(target=lambda: (x * 2).sum().backward()) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad.tolist() == [32]


def test_backward_inside_backward() -> None:
    x = leaf(3)

    class Inner(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            with vh.enable_grad():
                ctx.source = x.detach().requires_grad_()
                ctx.result = ctx.source * ctx.source
            return ctx.result.detach()

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            (inner,) = grad(ctx.result, ctx.source)
            return g * inner

    Inner.apply(x).backward()
    assert x.grad.tolist() == [6]


def test_bad_requests_are_refused() -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="does not require grad"):
        vh.ones(1).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(vh.ones(3))
    with pytest.raises(RuntimeError, match="leaf variables"):
        (x * 2).requires_grad_(False)
