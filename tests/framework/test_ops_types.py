"""Operations in half precision, on integers, booleans and complex numbers: types and values as PyTorch's."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

import framework as vh

pytestmark = pytest.mark.oracle
HALVES = ["bfloat16", "float16"]


def in_both(function: Callable[..., Any], *arrays: Any, kind: str | None = None) -> tuple[Any, Any]:
    """The function with ours and with PyTorch, on tensors of a type."""
    results = []
    for module in (vh, torch):
        tensors = [module.tensor(array) for array in arrays]
        results.append(function(module, *(each.to(getattr(module, kind)) if kind else each for each in tensors)))
    return results[0], results[1]


def assert_equal(function: Callable[..., Any], *arrays: Any) -> None:
    ours, theirs = in_both(function, *arrays)
    assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize(
    "function",
    [
        lambda m, a, b: m.nn.functional.layer_norm(a, (16,), b[0], b[1]),
        lambda m, a, b: m.nn.functional.rms_norm(a, (16,)),
        lambda m, a, b: m.nn.functional.normalize(a, dim=1),
        lambda m, a, b: m.addmm(a[:, :4], a, b.T[:, :4], beta=0.3, alpha=0.7),
        lambda m, a, b: m.nn.functional.conv1d(a[None], b[:, :, None].expand(4, 16, 3)[:, :4], b[:, 0]),
        lambda m, a, b: m.nn.functional.scaled_dot_product_attention(a, b, b),
        lambda m, a, b: m.add(a, b, alpha=0.37),
        lambda m, a, b: m.cumsum(a, 1),
        lambda m, a, b: m.special.log_ndtr(a),
    ],
)
def test_half_precision_rounds_once(function: Callable[..., Any], kind: str) -> None:
    """Half an ulp from the float64 result of the same numbers, and gradients close to its gradients."""
    stream = np.random.default_rng(3)
    arrays = [stream.uniform(-3, 3, (4, 16)).astype(np.float32) for _ in range(2)]
    tensors = [vh.tensor(array).to(getattr(vh, kind)).requires_grad_() for array in arrays]
    exact = [torch.tensor(each.detach().float().numpy(), dtype=torch.float64).requires_grad_() for each in tensors]
    ours, theirs = function(vh, *tensors), function(torch, *exact)
    assert ours.dtype is getattr(vh, kind)
    ulp = 2.0**-8 if kind == "bfloat16" else 2.0**-11
    np.testing.assert_allclose(ours.detach().float().numpy(), theirs.detach().numpy(), rtol=1.01 * ulp, atol=1e-4 * ulp)
    weight = np.linspace(0.5, 2, int(theirs.numel())).reshape(tuple(theirs.shape))
    (ours * vh.tensor(weight).to(ours.dtype)).sum().backward()
    (theirs * torch.tensor(weight)).sum().backward()
    for mine, reference in zip(tensors, exact):
        if reference.grad is not None:
            assert mine.grad is not None
            assert mine.grad.dtype is mine.dtype
            np.testing.assert_allclose(mine.grad.float().numpy(), reference.grad.numpy(), rtol=12 * ulp, atol=24 * ulp)


@pytest.mark.parametrize("kind", HALVES)
def test_half_precision_has_second_derivatives(kind: str) -> None:
    x = vh.tensor([0.5, -1.25, 2.0]).to(getattr(vh, kind)).requires_grad_()
    (first,) = vh.autograd.grad(vh.tanh(x).sum(), x, create_graph=True)
    (second,) = vh.autograd.grad(first.sum(), x)
    level = np.tanh([0.5, -1.25, 2.0])
    assert second.dtype is x.dtype
    np.testing.assert_allclose(second.float().numpy(), -2 * level * (1 - level**2), rtol=0.03, atol=0.01)


def test_a_square_of_float16_does_not_overflow_inside_a_norm() -> None:
    x = vh.full((4,), 400.0, dtype=vh.float16).requires_grad_()
    length = vh.linalg.vector_norm(x)
    length.backward()
    assert float(length) == 800
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.full(4, 0.5, np.float16))


def test_batch_norm_tracks_statistics_in_half_precision() -> None:
    x = np.random.default_rng(0).standard_normal((6, 3, 5)).astype(np.float32)
    ours, theirs = in_both(lambda m, a: _tracked(m, a), x, kind="bfloat16")
    for mine, reference in zip(ours, theirs):
        np.testing.assert_allclose(mine.float().numpy(), reference.float().numpy(), rtol=2e-2, atol=2e-2)


def _tracked(m: Any, a: Any) -> list[Any]:
    mean, var = m.zeros(3, dtype=m.bfloat16), m.ones(3, dtype=m.bfloat16)
    return [m.nn.functional.batch_norm(a, mean, var, training=True), mean, var]


def test_out_of_a_composed_function_in_half_precision() -> None:
    x, out = vh.ones(2, 3, dtype=vh.bfloat16), vh.empty(2, 3, dtype=vh.bfloat16)
    assert vh.nn.functional.normalize(x, out=out) is out
    np.testing.assert_allclose(out.float().numpy(), 3**-0.5, rtol=4e-3)


NUMBERS = np.array([[-3, 1, -1], [2, 0, 5]])
FLAGS = np.array([[True, False, True], [False, False, True]])


@pytest.mark.parametrize(
    "function",
    [
        lambda m, a: m.nn.functional.avg_pool1d(a, 2, 1),
        lambda m, a: m.nn.functional.avg_pool2d(a[None], 2, 1, divisor_override=3),
        lambda m, a: m.pow(a, m.tensor([-1, -2, -3])),
        lambda m, a: m.baddbmm(a[None, :, :2], a[None], a.T[None], beta=2.6, alpha=1.4),
        lambda m, a: m.diff(a, 0, prepend=a),
        lambda m, a: m.arange(0.0, -8.5, -4.0, dtype=m.int64),
    ],
)
def test_integers(function: Callable[..., Any]) -> None:
    assert_equal(function, NUMBERS)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, a: m.sign(a),
        lambda m, a: m.sgn(a),
        lambda m, a: a[0, 0].sum_to_size(()),
        lambda m, a: m.addr(a[:2, :2], a[0, :2], a[1, 1:], beta=3, alpha=2),
    ],
)
def test_booleans(function: Callable[..., Any]) -> None:
    assert_equal(function, FLAGS)


def test_logsumexp_of_complex_numbers() -> None:
    values = np.array([[1 + 2j, -0.5 + 3j, 0.25 - 1j], [2 - 2j, 1j, -1 + 0.5j]])
    ours, theirs = (m.tensor(values).requires_grad_() for m in (vh, torch))
    for module, x in ((vh, ours), (torch, theirs)):
        y = module.logsumexp(x, 1)
        module.view_as_real(y).sum().backward()
    np.testing.assert_allclose(vh.logsumexp(ours, 1).detach().numpy(), torch.logsumexp(theirs, 1).detach().numpy())
    assert ours.grad is not None
    assert theirs.grad is not None
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9)


def test_logcumsumexp_gradient_over_many_orders_of_magnitude() -> None:
    values = np.array([300.0, -80, 12, 299, 298.5, -500, 301])
    exact = torch.tensor(values, dtype=torch.float64).requires_grad_()
    weight = np.array([1.0, -2, 0.5, 3, -1, 0.25, 2])
    (torch.logcumsumexp(exact, 0) * torch.tensor(weight)).sum().backward()
    assert exact.grad is not None
    x = vh.tensor(values, dtype=vh.float32).requires_grad_()
    (vh.logcumsumexp(x, 0) * vh.tensor(weight, dtype=vh.float32)).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), exact.grad.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["logical_and_", "logical_or_", "logical_xor_"])
def test_logic_in_place(name: str) -> None:
    ours, theirs = in_both(lambda m, a, b: getattr(a, name)(b), np.array([0.0, 2, 3]), np.array([0, 0, 1]))
    assert str(ours.dtype).endswith("float64")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(("name", "part"), [("addmm_", 0), ("baddbmm_", slice(None))])
def test_products_in_place(name: str, part: Any) -> None:
    arrays = [np.random.default_rng(n).standard_normal((2, 3, 3))[part] for n in range(3)]
    ours, theirs = in_both(lambda m, a, b, c: getattr(a, name)(b, c, beta=0.5), *arrays)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "bool"])
@pytest.mark.parametrize("dim", [0, (0, 1)])
def test_hash(dtype: str, dim: Any) -> None:
    ours, theirs = in_both(lambda m, a: m.hash_tensor(a, dim), NUMBERS.astype(np.float32), kind=dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_principal_components() -> None:
    samples = np.random.default_rng(0).standard_normal((30, 3)) @ np.diag([5.0, 2, 0.5])
    U, S, V = vh.pca_lowrank(vh.tensor(samples), q=3)
    centred = samples - samples.mean(0)
    np.testing.assert_allclose(S.numpy(), np.linalg.svd(centred, compute_uv=False), rtol=1e-9)
    np.testing.assert_allclose((U * S @ V.T).numpy(), centred, atol=1e-9)
    with pytest.raises(ValueError, match="not greater than min"):
        vh.pca_lowrank(vh.tensor(samples), q=4)


def test_bessel_functions_agree_with_the_exact_series() -> None:
    """PyTorch's own are off by 1e-7 beyond 4."""
    places = [-7.58, -4.15, 0.5, 4.48, 5.58, 7.38]
    exact = [float(mpmath.besselj(0, mpmath.mpf(x))) for x in places]
    np.testing.assert_allclose(vh.special.bessel_j0(vh.tensor(places, dtype=vh.float64)).numpy(), exact, rtol=1e-13)
    positive = places[2:]
    exact = [float(mpmath.bessely(1, mpmath.mpf(x))) for x in positive]
    np.testing.assert_allclose(vh.special.bessel_y1(vh.tensor(positive, dtype=vh.float64)).numpy(), exact, rtol=1e-12)
