"""NumPy's functions and operators on tensors: values as NumPy's, Tensors out, derivatives kept or refused aloud."""

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import framework as vh

A = np.random.default_rng(3).uniform(0.5, 2, (4, 4))
B = np.random.default_rng(4).uniform(0.5, 2, (4, 4))

RECORDED = {
    "sin": lambda a, b: np.sin(a),
    "add": lambda a, b: np.add(b, a),
    "power": lambda a, b: np.power(a, 2),
    "array operators": lambda a, b: (B * a - a / B) ** 2 + (1 - a),
    "matmul": lambda a, b: B @ a + np.matmul(a, B),
    "comparison": lambda a, b: a * (A > 1),
    "reduce": lambda a, b: np.add.reduce(a, axis=1) + np.maximum.reduce(a),
    "mean": lambda a, b: np.mean(a, axis=0),
    "mean of all": lambda a, b: np.mean(a),
    "sum keepdims": lambda a, b: np.sum(a, axis=(0, 1), keepdims=True),
    "std": lambda a, b: np.std(a, axis=1),
    "var ddof": lambda a, b: np.var(a, ddof=1),
    "max": lambda a, b: np.max(a, axis=1) + np.amin(a, 0),
    "cumsum": lambda a, b: np.cumsum(a),
    "cumprod axis": lambda a, b: np.cumprod(a, axis=1),
    "sort": lambda a, b: np.sort(a, axis=0),
    "sort flat": lambda a, b: np.sort(a, axis=None),
    "diff": lambda a, b: np.diff(a, n=2, axis=0),
    "clip": lambda a, b: np.clip(a, 0.7, 1.5),
    "reshape": lambda a, b: np.reshape(a, (2, -1)),
    "transpose": lambda a, b: np.transpose(a),
    "moveaxis": lambda a, b: np.moveaxis(a[None], 0, 1),
    "squeeze": lambda a, b: np.squeeze(a[None]),
    "expand_dims": lambda a, b: np.expand_dims(a, 1),
    "flip": lambda a, b: np.flip(a) + np.flipud(a),
    "roll": lambda a, b: np.roll(a, 3) + np.roll(a, 1, axis=0),
    "tile": lambda a, b: np.tile(a, 2),
    "repeat": lambda a, b: np.repeat(a, 2, axis=1),
    "stack": lambda a, b: np.stack([a, b, A]),
    "concatenate": lambda a, b: np.concatenate([A, a], axis=1),
    "concatenate flat": lambda a, b: np.concatenate([a, b], axis=None),
    "vstack": lambda a, b: np.vstack([a, b]),
    "split": lambda a, b: np.split(a, 2)[1],
    "where": lambda a, b: np.where(A > 1, a, 0.0),
    "take": lambda a, b: np.take(a, [0, 3], axis=1),
    "tril": lambda a, b: np.tril(a, -1),
    "diagonal": lambda a, b: np.diagonal(a, 1),
    "trace": lambda a, b: np.trace(a),
    "dot": lambda a, b: np.dot(a, b) + np.dot(a, b[0]),
    "outer": lambda a, b: np.outer(a, b[0]),
    "inner": lambda a, b: np.inner(a, b),
    "tensordot": lambda a, b: np.tensordot(a, b, axes=1),
    "einsum": lambda a, b: np.einsum("ij,kj->ik", a, B),
    "kron": lambda a, b: np.kron(a, b),
    "norm": lambda a, b: np.linalg.norm(a) + np.linalg.norm(a, axis=1),
    "inv": lambda a, b: np.linalg.inv(a + 4 * np.eye(4)),
    "det": lambda a, b: np.linalg.det(a),
    "solve": lambda a, b: np.linalg.solve(a + 4 * np.eye(4), b[:, 0]),
    "svd": lambda a, b: np.linalg.svd(a)[1],
    "fft": lambda a, b: np.abs(np.fft.fft(a, axis=0)),
    "rfftn": lambda a, b: np.real(np.fft.rfftn(a)),
    "scipy.special": lambda a, b: scipy.special.expit(a) + scipy.special.gammaln(b),
}
ON_MEMORY = {
    "median": lambda a: np.median(a, axis=0),
    "percentile": lambda a: np.percentile(a, [25, 75]),
    "unique": lambda a: np.unique(a, return_counts=True),
    "histogram": lambda a: np.histogram(a, bins=4),
    "pad": lambda a: np.pad(a, 1),
    "spacing": lambda a: np.spacing(a),
    "accumulate": lambda a: np.add.accumulate(a),
    "outer": lambda a: np.multiply.outer(a[0], a[1]),
    "gradient": lambda a: np.gradient(a),
    "mean of integers": lambda a: np.mean(a.astype(int) if isinstance(a, np.ndarray) else a.long()),
    "sum in a type": lambda a: np.sum(a, dtype=np.float32),
    "scipy ufunc without a twin": lambda a: scipy.special.jv(1, a),
    "where with one argument": lambda a: np.where(a > 1),
}


def arrays_of(result: Any) -> list[Any]:
    return [part for each in result for part in arrays_of(each)] if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize("name", RECORDED)
def test_functions_with_a_derivative(name: str) -> None:
    call = RECORDED[name]
    expected = call(A, B)
    a, b = (vh.tensor(array, requires_grad=True) for array in (A, B))
    result = call(a, b)
    assert isinstance(result, vh.Tensor)
    assert result.requires_grad
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-12)
    result.sum().backward()
    direction = np.random.default_rng(5).standard_normal((4, 4))
    step = 1e-6
    slope = (np.sum(call(A + step * direction, B)) - np.sum(call(A - step * direction, B))) / (2 * step)
    assert a.grad is not None
    np.testing.assert_allclose((a.grad.numpy() * direction).sum(), slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ON_MEMORY)
def test_functions_without_a_twin_run_in_numpy(name: str) -> None:
    call = ON_MEMORY[name]
    results, expected = arrays_of(call(vh.tensor(A))), arrays_of(call(A))
    for ours, theirs in zip(results, expected, strict=True):
        assert isinstance(ours, vh.Tensor)
        assert ours.numpy().dtype == theirs.dtype
        np.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.median(t),
        lambda t: np.spacing(t),
        lambda t: np.asarray(t),
        lambda t: np.add.accumulate(t),
        lambda t: np.ones(3).__iadd__(t),
        lambda t: np.fill_diagonal(vh.ones(3, 3), t),
        lambda t: scipy.special.jv(1, t),
        lambda t: t.numpy(),
    ],
)
def test_a_derivative_is_not_lost_in_silence(call: Any) -> None:
    with pytest.raises(RuntimeError, match="detach"):
        call(vh.ones(3, requires_grad=True))


def test_what_only_looks_at_a_tensor_asks_for_no_derivative() -> None:
    t = vh.ones(2, 3, requires_grad=True)
    assert (np.shape(t), np.ndim(t), np.size(t), np.iscomplexobj(t)) == ((2, 3), 2, 6, False)
    assert np.result_type(t, np.float64) == np.float64


def test_results_on_shared_memory_count_writes_together() -> None:
    base = vh.tensor(A)
    x = vh.tensor(B, requires_grad=True)
    y = (x * base).sum()
    window = np.lib.stride_tricks.sliding_window_view(base, 2, axis=0, writeable=True)
    assert np.shares_memory(window.numpy(), base.numpy())
    window.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_writing_functions_write_and_count() -> None:
    t = vh.zeros(2, 2)
    version = t._version
    np.fill_diagonal(t, 3)
    np.copyto(t[1], np.array([5.0, 6.0]))
    np.add.at(t, (0, [1, 1]), 1)
    assert t.tolist() == [[3, 2], [5, 6]]
    assert t._version > version
    out = vh.empty(2, 2)
    assert np.add(t, 1, out=out) is out
    assert out.tolist() == [[4, 3], [6, 7]]
    array = np.ones((2, 2), np.float32)
    array += t
    assert array.tolist() == [[4, 3], [6, 7]]
    with pytest.raises(RuntimeError, match="single memory location"):
        np.fill_diagonal(vh.zeros(2).expand(2, 2), 1)


def test_foreign_operands_are_left_to_themselves() -> None:
    class Other:
        def __array_ufunc__(self, *args: Any, **kwargs: Any) -> str:
            return "theirs"

    assert np.add(vh.ones(2), Other()) == "theirs"
    with pytest.raises(TypeError):
        np.add(vh.ones(2), "a")


def test_scalars_of_numpy_are_weak() -> None:
    assert (np.float64(2) * vh.ones(2)).dtype is vh.float32
    assert np.multiply(np.float64(2), vh.ones(2)).dtype is vh.float32
    assert (np.ones(2) * vh.ones(2)).dtype is vh.float64


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "int32", "bool", "complex64"])
def test_conversion(kind: str) -> None:
    t = vh.tensor([0, 1, 1]).to(getattr(vh, kind))
    array = np.asarray(t)
    assert np.shares_memory(array, t.numpy())
    assert array.dtype.name == kind
    assert not np.shares_memory(np.array(t), array)
    assert np.array(t, dtype=np.complex128).dtype == np.complex128
    assert np.asarray(t, copy=False) is not None
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype=np.float64, copy=False)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    hnp.arrays(
        st.sampled_from(["int8", "uint8", "int64", "float32", "bool", "complex64"]), hnp.array_shapes(max_dims=3)
    )
)
def test_memory_is_shared_at_any_strides(array: Any) -> None:
    for view in (array, array.T, array[..., ::-1], array[::2]):
        t = vh.from_numpy(view)
        assert t.numpy().ctypes.data == view.ctypes.data
        assert t.numpy().strides == view.strides
        np.testing.assert_array_equal((t == t).numpy(), view == view)
