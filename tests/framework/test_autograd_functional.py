"""Jacobians, Hessians and products beside torch; what gradcheck finds; Functions in all their styles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework import autograd
from framework.autograd import Function, GradcheckError, functional, gradcheck, gradgradcheck
from framework.autograd.function import once_differentiable

stream = np.random.default_rng(11)
A, B = stream.uniform(-1, 1, (2, 3)), stream.uniform(-1, 1, 3)


def leaf(*values: float) -> vh.Tensor:
    return vh.tensor(list(values), dtype=vh.float64, requires_grad=True)


def flat(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in flat(each)] if isinstance(value, tuple) else [value]


def depth(value: Any) -> Any:
    return tuple(depth(each) for each in value) if isinstance(value, tuple) else None


def one(x: Any) -> Any:
    return x.sin() * x.sum()


def two(x: Any, y: Any) -> Any:
    return (x * y).exp(), (x @ y)


def scalar(x: Any) -> Any:
    return (x**3).sum() * x.prod()


def scalar_of_two(x: Any, y: Any) -> Any:
    return (x @ y).exp().sum() + (y**3).sum()


CASES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "vjp": lambda f, a, b, how: f.vjp(one, b, b, **how),
    "vjp of two": lambda f, a, b, how: f.vjp(two, (a, b), (a, a[:, 0].detach()), **how),
    "jvp": lambda f, a, b, how: f.jvp(one, b, b, **how),
    "jvp of two": lambda f, a, b, how: f.jvp(two, (a, b), (a, b), **how),
    "jacobian": lambda f, a, b, how: f.jacobian(one, b, **how),
    "jacobian of two": lambda f, a, b, how: f.jacobian(two, (a, b), **how),
    "jacobian, vectorized": lambda f, a, b, how: f.jacobian(two, (a, b), vectorize=True, **how),
    "jacobian of a tuple": lambda f, a, b, how: f.jacobian(lambda x: (x * x, x.prod()), b, **how),
    "hessian": lambda f, a, b, how: f.hessian(scalar, b, **how),
    "hessian of two": lambda f, a, b, how: f.hessian(scalar_of_two, (a, b), **how),
    "hessian, vectorized": lambda f, a, b, how: f.hessian(scalar_of_two, (a, b), vectorize=True, **how),
    "vhp": lambda f, a, b, how: f.vhp(scalar, b, b, **how),
    "hvp": lambda f, a, b, how: f.hvp(scalar_of_two, (a, b), (a, b), **how),
}


@pytest.mark.oracle
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_torchs(name: str, create_graph: bool) -> None:
    import torch

    def run(module: Any) -> Any:
        a, b = (module.tensor(each).requires_grad_(create_graph) for each in (A, B))
        result = CASES[name](module.autograd.functional, a, b, {"create_graph": create_graph})
        parts = flat(result)
        second: tuple[Any, ...] = ()
        if create_graph:
            total = sum((part**2).sum() for part in parts)
            second = module.autograd.grad(total, [a, b], allow_unused=True)
        return depth(result), parts, second

    mine, theirs = run(vh), run(torch)
    assert mine[0] == theirs[0]
    for ours, reference in zip([*mine[1], *mine[2]], [*theirs[1], *theirs[2]], strict=True):
        if reference is None:
            assert ours is None or not ours.numpy().any()
            continue
        assert ours.requires_grad == reference.requires_grad
        np.testing.assert_allclose(ours.detach().numpy(), reference.detach().numpy(), rtol=1e-7, atol=1e-10)


def test_forward_strategy_agrees() -> None:
    a, b = vh.tensor(A), vh.tensor(B)
    forward = functional.jacobian(two, (a, b), vectorize=True, strategy="forward-mode")
    for mine, reference in zip(flat(forward), flat(functional.jacobian(two, (a, b))), strict=True):
        np.testing.assert_allclose(mine.numpy(), reference.numpy(), atol=1e-12)
    outer = functional.hessian(scalar, b, vectorize=True, outer_jacobian_strategy="forward-mode")
    np.testing.assert_allclose(outer.numpy(), functional.hessian(scalar, b).numpy(), atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "ask",
    [
        lambda f, a, b: f.vjp(one, b, a),
        lambda f, a, b: f.vjp(one, b),
        lambda f, a, b: f.jvp(one, b),
        lambda f, a, b: f.hessian(one, b),
        lambda f, a, b: f.jacobian(lambda x: 3, b),
        lambda f, a, b: f.jacobian(one, "b"),
        lambda f, a, b: f.jacobian(lambda x: a, b, strict=True),
        lambda f, a, b: f.jacobian(lambda x, y: x * 2, (b, b), strict=True),
    ],
)
def test_refusals_are_torchs(ask: Any) -> None:
    import torch

    kinds = []
    for module in (vh, torch):
        with pytest.raises((RuntimeError, TypeError, ValueError)) as caught:
            ask(module.autograd.functional, module.tensor(A), module.tensor(B))
        kinds.append((caught.type, str(caught.value)[:29]))
    assert kinds[0] == kinds[1]


# -- gradcheck --------------------------------------------------------------------------------------------------------


def wrong_by(factor: float) -> Any:
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g * 2 * factor

    return Wrong.apply


@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradcheck_finds_what_is_wrong(fast_mode: bool) -> None:
    x = leaf(1, 2, 3)
    assert gradcheck(wrong_by(1), [x], fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(wrong_by(1.01), [x], fast_mode=fast_mode)
    assert not gradcheck(wrong_by(1.01), [x], fast_mode=fast_mode, raise_exception=False)
    z = vh.tensor([1 + 2j, 0.5 - 1j], requires_grad=True)
    assert gradcheck(lambda v: v * v.conj() * v, [z.to(vh.complex128)], fast_mode=fast_mode)
    with pytest.raises(GradcheckError):
        gradcheck(wrong_by(1j), [z.detach().to(vh.complex128).requires_grad_()], fast_mode=fast_mode)
    assert gradgradcheck(lambda v, w: vh.tanh(v) * w, [x, leaf(1, 2, 3)], fast_mode=fast_mode)


def test_gradcheck_finds_backward_that_changes() -> None:
    calls = [0]

    class Drifting(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            calls[0] += 1
            return g * (2 + 1e-9 * calls[0])

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Drifting.apply, [leaf(1, 2)])
    assert gradcheck(Drifting.apply, [leaf(1, 2)], nondet_tol=1e-6)


def test_gradcheck_finds_missing_gradients_that_are_not_zeros() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):  # type: ignore[no-untyped-def]
            if g is None or h is None:
                return h * 3 if g is None else g * 2
            return g * 2 + h * 3 + 1

    with pytest.raises(GradcheckError, match="undefined output grads"):
        gradcheck(Two.apply, [leaf(1, 2)])
    assert gradcheck(Two.apply, [leaf(1, 2)], check_undefined_grad=False)


def test_gradcheck_by_vmap_and_types() -> None:
    class ThroughNumPy(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return vh.from_numpy(g.numpy() * 2)

    assert gradcheck(ThroughNumPy.apply, [leaf(1, 2)])
    with pytest.raises(GradcheckError, match="check_batched_grad"):
        gradcheck(ThroughNumPy.apply, [leaf(1, 2)], check_batched_grad=True)
    assert gradcheck(lambda x: (x.cumsum(0), x.prod()), [leaf(1, 2)], check_batched_grad=True, check_grad_dtypes=True)
    assert gradgradcheck(lambda x: x.exp(), [leaf(1, 2)], gen_non_contig_grad_outputs=True, check_batched_grad=True)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(vh.exp, [vh.ones(2)])
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(vh.exp, [vh.ones(1, dtype=vh.float64).expand(3).detach().requires_grad_()])


# -- Function ---------------------------------------------------------------------------------------------------------


class Scaled(Function):
    """forward without ctx."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, factor: float) -> Any:
        return x * factor, x.sum()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.factor = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, g: Any, _: Any) -> Any:
        assert len(ctx.saved_tensors) == 1
        return g * ctx.factor, None


def test_forward_and_setup_apart() -> None:
    x = leaf(1, 2)
    y, total = Scaled.apply(x, 3.0)
    assert not total.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]
    batched = vh.vmap(lambda v: Scaled.apply(v, 2.0)[0])(vh.ones(3, 2))
    assert batched.tolist() == [[2, 2]] * 3


SEEN: list[Any] = []


class ThroughNumPy(Function):
    """An operation that leaves tensors, with a rule of its own for batches."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return vh.from_numpy(np.sin(x.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * vh.cos(ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        SEEN.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return ThroughNumPy.apply(x), 0


def test_a_function_with_a_rule_for_batches() -> None:
    x = vh.tensor(A).requires_grad_()
    y = vh.vmap(ThroughNumPy.apply, in_dims=1, out_dims=1)(x)
    assert SEEN[-1] == (3, "error", (0,), (3, 2))
    np.testing.assert_allclose(y.detach().numpy(), np.sin(A))
    (g,) = autograd.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), np.cos(A))
    each = vh.vmap(vh.func.grad(lambda v: ThroughNumPy.apply(v).sum()))(vh.tensor(A))
    np.testing.assert_allclose(each.numpy(), np.cos(A))


def test_marks_inputs_that_are_written() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g * 2

    x = leaf(1, 2)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    assert z.tolist() == [6, 12]
    assert z.grad_fn.name() == "DoubleBackward"
    (z * z).sum().backward()
    assert x.grad.tolist() == [72, 144]
    base = x * 1
    part = base[0:1]
    Double.apply(part)
    (g,) = autograd.grad(base.sum(), x)
    assert g.tolist() == [2, 1]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        Double.apply(leaf(1))


def test_once_differentiable_says_so() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @once_differentiable
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            assert not vh.is_grad_enabled()
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(3)
    (g,) = autograd.grad(Once.apply(x), x)
    assert g.tolist() == [6]
    y = Once.apply(x) * x
    (g,) = autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


def test_wrong_backwards_are_named() -> None:
    def returning(*values: Any) -> Any:
        class Odd(Function):
            @staticmethod
            def forward(ctx, x, n):  # type: ignore[no-untyped-def]
                return x * n

            @staticmethod
            def backward(ctx, g):  # type: ignore[no-untyped-def]
                return values

        return Odd.apply(leaf(1), 2)

    one = vh.ones(1, dtype=vh.float64)
    with pytest.raises(RuntimeError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        returning(one).backward()
    with pytest.raises(RuntimeError, match="different from None at position 1"):
        returning(one, one).backward()
    with pytest.raises(TypeError, match="returned a float at position 0"):
        returning(1.0, None).backward()
    returning(one, None, None).backward()
