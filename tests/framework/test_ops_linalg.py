"""Linear algebra against PyTorch: values, gradients, second gradients, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.autograd import gradgradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

Case = tuple[str, Callable[..., Any], list[tuple[int, ...]]]


def symmetric(a: Any) -> Any:
    return a + a.transpose(-1, -2).conj()


def definite(m: Any, a: Any) -> Any:
    return a @ a.transpose(-1, -2).conj() + m.eye(a.shape[-1], dtype=a.dtype)


ORDERS = (0.5, 1, 2, 3.5, -2, float("inf"))

# name, function of (module, *tensors) whose result does not depend on signs or phases of vectors, shapes
CASES: list[Case] = [
    ("cholesky", lambda m, a: m.linalg.cholesky(definite(m, a)), [(2, 4, 4)]),
    ("cholesky upper", lambda m, a: m.linalg.cholesky(definite(m, a), upper=True), [(3, 3)]),
    ("cholesky solve", lambda m, a, b: m.cholesky_solve(b, m.linalg.cholesky(definite(m, a))), [(3, 3), (3, 2)]),
    ("cholesky inverse", lambda m, a: m.cholesky_inverse(m.linalg.cholesky(definite(m, a))), [(3, 3)]),
    ("qr of a tall matrix", lambda m, a: m.linalg.qr(a)[0] @ m.linalg.qr(a)[1].abs().to(a.dtype), [(2, 4, 3)]),
    ("qr of a wide matrix", lambda m, a: m.linalg.qr(a)[1].abs(), [(3, 5)]),
    ("complete qr", lambda m, a: m.linalg.qr(a, mode="complete")[1].abs(), [(4, 4)]),
    ("eigh", lambda m, a: _squares(m.linalg.eigh(symmetric(a))), [(4, 4)]),
    ("eigvalsh", lambda m, a: m.linalg.eigvalsh(symmetric(a), UPLO="U"), [(2, 4, 4)]),
    ("eigvals", lambda m, a: (m.linalg.eigvals(a) ** 3).sum(), [(4, 4)]),
    ("eig", lambda m, a: m.linalg.eig(a)[1].abs().square().sum(-2) + m.linalg.eig(a)[0].abs().sum(), [(3, 3)]),
    ("svd", lambda m, a: _recomposed(m.linalg.svd(a, full_matrices=False)), [(2, 4, 3)]),
    ("svdvals", lambda m, a: m.linalg.svdvals(a), [(3, 5)]),
    ("older svd", lambda m, a: m.svd(a)[0].abs() @ m.svd(a)[2].abs(), [(4, 3)]),
    ("lu", lambda m, a: m.linalg.lu(a)[1] @ m.linalg.lu(a)[2].sin(), [(2, 3, 3)]),
    ("lu of a tall matrix", lambda m, a: m.linalg.lu_factor(a)[0], [(2, 5, 3)]),
    ("lu of a wide matrix", lambda m, a: m.linalg.lu_factor(a)[0], [(3, 5)]),
    ("lu solve", lambda m, a, b: m.linalg.lu_solve(*m.linalg.lu_factor(a), b, adjoint=True), [(3, 3), (3, 2)]),
    (
        "lu solve on the right",
        lambda m, a, b: m.linalg.lu_solve(*m.linalg.lu_factor(a), b, left=False),
        [(3, 3), (2, 3)],
    ),
    ("inverse", lambda m, a: m.linalg.inv(a), [(2, 3, 3)]),
    ("solve", lambda m, a, b: m.linalg.solve(a, b), [(2, 3, 3), (3, 2)]),
    ("solve for vectors", lambda m, a, b: m.linalg.solve(a, b), [(2, 3, 3), (2, 3)]),
    ("solve on the right", lambda m, a, b: m.linalg.solve(a, b, left=False), [(3, 3), (2, 3)]),
    ("triangular", lambda m, a, b: m.linalg.solve_triangular(a, b, upper=True), [(2, 3, 3), (3, 2)]),
    (
        "unit triangular",
        lambda m, a, b: m.linalg.solve_triangular(a, b, upper=False, left=False, unitriangular=True),
        [(3, 3), (2, 3)],
    ),
    ("det", lambda m, a: m.linalg.det(a), [(2, 3, 3)]),
    ("slogdet", lambda m, a: m.linalg.slogdet(a)[1], [(2, 3, 3)]),
    ("logdet", lambda m, a: m.logdet(definite(m, a)), [(3, 3)]),
    ("pseudo-inverse", lambda m, a: m.linalg.pinv(a), [(2, 4, 3)]),
    ("pseudo-inverse of a wide matrix", lambda m, a: m.linalg.pinv(a), [(3, 5)]),
    ("least squares", lambda m, a, b: m.linalg.lstsq(a, b, driver="gels")[0], [(5, 3), (5, 2)]),
    ("matrix exponential", lambda m, a: m.linalg.matrix_exp(a), [(2, 3, 3)]),
    ("matrix powers", lambda m, a: m.linalg.matrix_power(a, 5) + m.linalg.matrix_power(a, -2), [(3, 3)]),
    (
        "vector norms",
        lambda m, a: sum(m.linalg.vector_norm(a, p, 1) for p in (0.5, 1, 2, 3.5, -2, float("inf"))),
        [(3, 4)],
    ),
    ("matrix norms", lambda m, a: sum(m.linalg.matrix_norm(a, p) for p in ("fro", "nuc", 1, -1, 2, -2)), [(2, 3, 4)]),
    ("norm", lambda m, a: m.linalg.norm(a) + m.linalg.norm(a, 1) + m.norm(a, 3), [(3, 4)]),
    ("condition", lambda m, a: m.linalg.cond(a) + m.linalg.cond(a, -2), [(2, 3, 3)]),
    ("chain", lambda m, a, b, c: m.linalg.multi_dot([a, b, c]), [(4,), (4, 5), (5, 2)]),
    ("cross", lambda m, a, b: m.linalg.cross(a, b, dim=0) + m.cross(a, b, dim=0), [(3, 4), (3, 4)]),
    ("products", lambda m, a, b: m.linalg.vecdot(a, b).sum() + m.inner(a, b) + m.kron(a, b).sum(), [(3, 4), (3, 4)]),
    ("tensordot", lambda m, a, b: m.tensordot(a, b, ([2, 0], [0, 1])), [(2, 3, 4), (4, 2, 5)]),
    ("tensor equations", lambda m, a, b: m.linalg.tensorsolve(a, b), [(2, 3, 6), (2, 3)]),
    ("tensor inverse", lambda m, a: m.linalg.tensorinv(a, ind=1), [(6, 2, 3)]),
    ("vander", lambda m, a: m.linalg.vander(a, N=4), [(2, 3)]),
    ("householder", lambda m, a, t: m.linalg.householder_product(a, t), [(4, 3), (3,)]),
    (
        "added products",
        lambda m, a, b, c: m.addmv(c, a, b, beta=2, alpha=3) + m.addr(a, c, b)[:, 0],
        [(3, 4), (4,), (3,)],
    ),
]


def _squares(pair: Any) -> Any:
    values, vectors = pair
    return (vectors * vectors.conj()) @ values.to(vectors.dtype)


def _recomposed(parts: Any) -> Any:
    U, S, Vh = parts
    return (U * S.to(U.dtype).sqrt().unsqueeze(-2)) @ Vh + S.to(U.dtype).sum()


def values_of(shapes: list[tuple[int, ...]], kind: str) -> list[np.ndarray[Any, Any]]:
    stream = np.random.default_rng(3)
    arrays = [stream.standard_normal(shape) for shape in shapes]
    return [a + 1j * stream.standard_normal(a.shape) for a in arrays] if kind == "complex128" else arrays


REAL_ONLY = {"vector norms", "condition", "householder"}


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_values_and_gradients_match_torch(case: Case, kind: str) -> None:
    name, function, shapes = case
    if kind == "complex128" and name in REAL_ONLY:
        pytest.skip("the comparison is made on real numbers")

    def run(module: Any) -> list[Any]:
        tensors = [module.tensor(array).requires_grad_() for array in values_of(shapes, kind)]
        out = function(module, *tensors)
        stream = np.random.default_rng(1)
        weight = stream.standard_normal(tuple(out.shape))
        (out * module.tensor(weight)).abs().square().sum().backward()
        return [each.detach().resolve_conj().numpy() for each in (out, *(tensor.grad for tensor in tensors))]

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)


TWICE = [
    "cholesky upper", "qr of a tall matrix", "eigh", "eigvals", "svd", "lu", "inverse", "triangular",
    "det", "slogdet", "pseudo-inverse of a wide matrix", "matrix exponential", "vector norms",
]  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_second_gradients_match_finite_differences(name: str) -> None:
    _, function, shapes = next(case for case in CASES if case[0] == name)
    arrays = [array[0] if array.ndim == 3 and array.shape[0] == 2 else array for array in values_of(shapes, "float64")]
    tensors = [vh.tensor(array).requires_grad_() for array in arrays]
    assert gradgradcheck(lambda *t: function(vh, *t).abs().square().sum(), tensors, atol=1e-4, rtol=1e-3)


def test_determinant_of_a_singular_matrix_has_its_cofactors_as_gradient() -> None:
    array = np.array([[2.0, -1.0, 1.0], [4.0, -2.0, 2.0], [0.0, 1.0, 3.0]])
    tensor = vh.tensor(array).requires_grad_()
    vh.linalg.det(tensor).backward()
    minors = [[np.linalg.det(np.delete(np.delete(array, i, 0), j, 1)) for j in range(3)] for i in range(3)]
    signs = (-1.0) ** np.add.outer(range(3), range(3))
    np.testing.assert_allclose(tensor.grad.numpy(), signs * minors, atol=1e-9)


def test_random_projection_finds_the_largest_singular_values() -> None:
    stream = np.random.default_rng(0)
    array = stream.standard_normal((9, 2)) @ stream.standard_normal((2, 7))
    for matrix in (array, array.T):
        U, S, V = vh.svd_lowrank(vh.tensor(matrix), q=2)
        np.testing.assert_allclose((U * S @ V.T).numpy(), matrix, atol=1e-9)


def test_indefinite_factors_solve() -> None:
    stream = np.random.default_rng(0)
    array = symmetric(vh.tensor(stream.standard_normal((2, 4, 4))))
    right = vh.tensor(stream.standard_normal((2, 4, 3)))
    factors = vh.linalg.ldl_factor(array)
    np.testing.assert_allclose(vh.linalg.ldl_solve(*factors, right).numpy(), vh.linalg.solve(array, right).numpy())


def test_empty_batches_and_matrices() -> None:
    assert vh.linalg.inv(vh.zeros(0, 3, 3)).shape == (0, 3, 3)
    assert vh.linalg.det(vh.zeros(2, 0, 0)).tolist() == [1.0, 1.0]
    assert vh.linalg.svdvals(vh.zeros(0, 3)).shape == (0,)
    assert vh.linalg.pinv(vh.zeros(0, 3)).shape == (3, 0)


def test_single_precision_stays_single() -> None:
    matrix = vh.eye(3) * 2
    functions = (vh.linalg.inv, vh.linalg.matrix_exp, vh.linalg.eigvalsh, vh.linalg.det)
    for result in (function(matrix) for function in functions):
        assert result.dtype is vh.float32
    assert vh.linalg.eigvals(matrix).dtype is vh.complex64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.linalg.inv(m.zeros(2, 2)), "singular"),
        (lambda m: m.linalg.cholesky(-m.eye(2)), "positive-definite"),
        (lambda m: m.linalg.det(m.zeros(2, 3)), "square"),
        (lambda m: m.linalg.svd(m.zeros(3)), "at least 2 dimensions"),
        (lambda m: m.linalg.qr(m.eye(2), mode="full"), "mode"),
        (lambda m: m.linalg.eigh(m.eye(2), UPLO="X"), "UPLO"),
        (lambda m: m.linalg.solve(m.eye(2), m.zeros(3, 1)), "shape"),
        (lambda m: m.linalg.matrix_norm(m.eye(2), 7), "ord"),
        (lambda m: m.linalg.cross(m.zeros(2), m.zeros(2)), "length 3"),
    ],
)
def test_bad_input_is_refused_as_torch_refuses_it(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(RuntimeError):
        call(torch)
    with pytest.raises(RuntimeError, match=f"(?i){message}"):
        call(vh)
