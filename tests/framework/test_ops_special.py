"""Special functions and the wider elementwise family against PyTorch: values, derivatives, types, edge values."""

from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.autograd import gradgradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

# name, arguments that are not tensors, ranges of the tensors
ONE: list[tuple[str, tuple[float, float]]] = [
    ("sinh", (-2, 2)), ("cosh", (-2, 2)), ("asin", (-0.9, 0.9)), ("acos", (-0.9, 0.9)), ("atan", (-2, 2)),
    ("asinh", (-2, 2)), ("acosh", (1.1, 3)), ("atanh", (-0.9, 0.9)), ("deg2rad", (-90, 90)), ("rad2deg", (-2, 2)),
    ("frac", (-2, 2)), ("nan_to_num", (-2, 2)), ("lgamma", (0.1, 4)), ("digamma", (-2.9, 4)), ("erfc", (-2, 2)),
    ("erfinv", (-0.9, 0.9)), ("logit", (0.1, 0.9)), ("sinc", (-2, 2)), ("i0", (-2, 2)), ("special.i0e", (-2, 2)),
    ("special.i1", (-2, 2)), ("special.i1e", (-2, 2)), ("special.erfcx", (-2, 2)), ("special.ndtr", (-2, 2)),
    ("special.ndtri", (0.1, 0.9)), ("special.log_ndtr", (-9, 2)), ("special.entr", (0.1, 2)),
    ("special.expit", (-2, 2)),
]  # fmt: skip
TWO: list[tuple[str, tuple[float, float], tuple[float, float]]] = [
    ("hypot", (-2, 2), (-2, 2)), ("logaddexp", (-2, 2), (-2, 2)), ("logaddexp2", (-2, 2), (-2, 2)),
    ("copysign", (-2, 2), (-2, 2)), ("fmax", (-2, 2), (-2, 2)), ("fmin", (-2, 2), (-2, 2)),
    ("xlogy", (-2, 2), (0.1, 2)),
    ("special.xlog1py", (-2, 2), (-0.5, 2)), ("ldexp", (-2, 2), (-2, 2)), ("float_power", (0.1, 2), (-2, 2)),
]  # fmt: skip
VALUES_ONLY = [
    "special.bessel_j1", "special.bessel_y0", "special.modified_bessel_k0", "special.modified_bessel_k1",
    "special.scaled_modified_bessel_k0", "special.scaled_modified_bessel_k1", "special.spherical_bessel_j0",
    "special.airy_ai",
]  # fmt: skip
POLYNOMIALS = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p",
]  # fmt: skip


def function(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def values(*ranges: tuple[float, float]) -> list[np.ndarray[Any, Any]]:
    stream = np.random.default_rng(0)
    return [stream.uniform(low, high, (3, 4)) for low, high in ranges]


def compare(call: Any, arrays: list[np.ndarray[Any, Any]]) -> None:
    def run(module: Any) -> list[Any]:
        tensors = [module.tensor(array).requires_grad_() for array in arrays]
        out = call(module, *tensors)
        out.square().sum().backward()
        return [out.detach().numpy(), *(tensor.grad.numpy() for tensor in tensors)]

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", ONE, ids=lambda case: case[0])
def test_functions_of_one_value(case: Any) -> None:
    compare(lambda m, a: function(m, case[0])(a), values(case[1]))


@pytest.mark.parametrize("case", TWO, ids=lambda case: case[0])
def test_functions_of_two_values(case: Any) -> None:
    compare(lambda m, a, b: function(m, case[0])(a, b), values(*case[1:]))


def test_functions_with_attributes() -> None:
    compare(lambda m, a: m.polygamma(2, a) + m.polygamma(1, a) + m.special.polygamma(0, a), values((0.3, 3)))
    compare(lambda m, a: m.mvlgamma(a, 3), values((1.5, 4)))
    compare(lambda m, a: m.logit(a, eps=0.3), values((0.1, 0.9)))
    compare(lambda m, a, b, c: m.lerp(a, b, c) + m.lerp(a, b, 0.7), values((-1, 1), (-1, 1), (0, 1)))
    compare(lambda m, a, b, c: m.addcmul(a, b, c, value=2.5) + m.addcdiv(a, b, c, value=-1), values(*[(0.5, 2)] * 3))
    one = torch.full((3, 4), 1.7, dtype=torch.float64).numpy()
    compare(lambda m, b: m.igamma(m.tensor(one), b) + 2 * m.igammac(m.tensor(one), b), values((0.2, 3)))
    compare(lambda m, b: m.special.zeta(m.tensor(one), b), values((0.5, 3)))


@pytest.mark.parametrize("name", [*(case[0] for case in ONE if case[0] not in ("frac", "nan_to_num"))])
def test_second_derivatives(name: str) -> None:
    low, high = next(case[1] for case in ONE if case[0] == name)
    tensor = vh.tensor(np.linspace(low, high, 4) * 0.93 + 0.031 * (low + high)).requires_grad_()
    assert gradgradcheck(function(vh, name), [tensor], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", VALUES_ONLY)
def test_bessel_functions(name: str) -> None:
    x = values((0.2, 4))[0]
    np.testing.assert_allclose(function(vh, name)(vh.tensor(x)), function(torch, name)(torch.tensor(x)), rtol=1e-6)


def test_bessel_functions_differentiate_where_torch_does_not() -> None:
    for name in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0", "scaled_modified_bessel_k1"):
        x = vh.tensor([0.7, 1.9], dtype=vh.float64).requires_grad_()
        call = getattr(vh.special, name)
        call(x).sum().backward()
        slope = (call(x.detach() + 1e-6) - call(x.detach() - 1e-6)) / 2e-6
        np.testing.assert_allclose(x.grad.numpy(), slope.numpy(), rtol=1e-7)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_orthogonal_polynomials(name: str) -> None:
    x, degree = values((0, 1))[0], np.arange(12).reshape(3, 4) % 7
    ours = getattr(vh.special, name)(vh.tensor(x), vh.tensor(degree))
    theirs = getattr(torch.special, name)(torch.tensor(x), torch.tensor(degree))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-9)


EDGES = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0, -1.0, -2.0, 0.5, 2.0]


@pytest.mark.parametrize("name", [case[0] for case in ONE])
def test_edge_values(name: str) -> None:
    ours = function(vh, name)(vh.tensor(EDGES, dtype=vh.float64))
    theirs = function(torch, name)(torch.tensor(EDGES, dtype=torch.float64))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", ["sinh", "lgamma", "erfinv", "special.i1", "special.entr"])
def test_types(name: str) -> None:
    for kind in ("int64", "bool", "uint8", "float16", "bfloat16", "float32", "float64"):
        ours = function(vh, name)(vh.ones(3, dtype=getattr(vh, kind)))
        theirs = function(torch, name)(torch.ones(3, dtype=getattr(torch, kind)))
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert function(vh, name)(vh.zeros(0, 2)).shape == (0, 2)
    assert function(vh, name)(vh.tensor(0.5)).shape == ()


def test_predicates_and_bits_match_torch() -> None:
    a, b = np.array([6, -9, 0, 35, 1 << 40]), np.array([4, 6, 5, 0, 3])
    for name in ("gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift"):
        ours = getattr(vh, name)(vh.tensor(a), vh.tensor(b)).numpy()
        np.testing.assert_array_equal(ours, getattr(torch, name)(torch.tensor(a), torch.tensor(b)).numpy())
    for name in ("signbit", "isposinf", "isneginf", "isreal"):
        ours = getattr(vh, name)(vh.tensor(EDGES)).numpy()
        np.testing.assert_array_equal(ours, getattr(torch, name)(torch.tensor(EDGES)).numpy())
    for equal_nan in (False, True):
        ours = vh.isclose(vh.tensor(EDGES), vh.tensor(EDGES) + 1e-9, equal_nan=equal_nan)
        theirs = torch.isclose(torch.tensor(EDGES), torch.tensor(EDGES) + 1e-9, equal_nan=equal_nan)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert vh.allclose(vh.ones(3), vh.ones(3) + 1e-9) is True
    assert vh.equal(vh.ones(3), vh.ones(2)) is False
    assert vh.isin(vh.tensor(a), vh.tensor([0, 6])).tolist() == [True, False, True, False, False]
    assert vh.isin(vh.tensor(a), 6, invert=True).tolist() == [False, True, True, True, True]


def test_in_place_twins_write_into_their_tensor() -> None:
    x = vh.tensor([0.1, 0.4])
    memory = x.numpy()
    x.erfinv_().lerp_(vh.ones(2), 0.5).addcmul_(vh.ones(2), vh.ones(2), value=2)
    np.testing.assert_allclose(memory, torch.tensor([0.1, 0.4]).erfinv().lerp(torch.ones(2), 0.5).add(2), rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.addcdiv(m.tensor([1]), m.tensor([1]), m.tensor([1])),
        lambda m: m.polygamma(-1, m.ones(2)),
        lambda m: m.isposinf(m.ones(2, dtype=m.complex64)),
        lambda m: m.isclose(m.ones(2), m.ones(2, dtype=m.float64)),
        lambda m: m.isclose(m.ones(2), m.ones(2), rtol=-1),
        lambda m: m.mvlgamma(m.ones(2), 0),
    ],
)
def test_bad_input_is_refused_as_torch_refuses_it(call: Any) -> None:
    for module in (torch, vh):
        with pytest.raises(RuntimeError):
            call(module)
