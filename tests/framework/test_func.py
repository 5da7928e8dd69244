# ruff: noqa: E501  a function a line
"""Transformations of functions beside torch.func: derivatives, vmap, and each inside the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh

# torch.func warns of its own insides
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr:UserWarning"),
]

stream = np.random.default_rng(5)
A, B, M = stream.uniform(-1, 1, (4, 3)), stream.uniform(-1, 1, (4, 3)), stream.uniform(-1, 1, (3, 3))
V = stream.uniform(-1, 1, 3)


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in flat(value[key])]
    if isinstance(value, tuple | list):
        return [leaf for each in value for leaf in flat(each)]
    return [value]


def assert_torchs(function: Callable[[Any, Any], Any], atol: float = 1e-9) -> None:
    """`function(module, tensor)` gives what it gives with torch; `tensor` makes the module's tensors."""
    import torch

    ours = flat(function(vh, lambda array: vh.tensor(array)))
    theirs = flat(function(torch, lambda array: torch.tensor(array)))
    assert len(ours) == len(theirs)
    for mine, reference in zip(ours, theirs):
        assert tuple(mine.shape) == tuple(reference.shape)
        assert mine.requires_grad == reference.requires_grad
        np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), atol=atol, rtol=1e-7)


VMAPS: dict[str, Callable[[Any, Any], Any]] = {
    "dot": lambda m, t: m.vmap(m.dot)(t(A), t(B)),
    "one for all": lambda m, t: m.vmap(m.mv, in_dims=(None, 0))(t(M), t(A)),
    "in and out dims": lambda m, t: m.vmap(lambda a, b: (a * b, a + b), in_dims=(1, 1), out_dims=(1, -1))(t(A), t(B)),
    "negative in_dim": lambda m, t: m.vmap(lambda a: a.sum() * a, in_dims=-1)(t(A)),
    "nests": lambda m, t: m.vmap(lambda d, c: {"x": d["a"] * d["b"], "y": [c, d["a"].sum()]}, in_dims=({"a": 0, "b": None}, None), out_dims=0)({"a": t(A), "b": t(V)}, t(V)),
    "constant result": lambda m, t: m.vmap(lambda a: m.ones(2))(t(A)),
    "twice": lambda m, t: m.vmap(m.vmap(lambda a, b: a * b, (0, None)), (None, 0))(t(A[:, 0]), t(B[:, 0])),
    "distances": lambda m, t: m.vmap(lambda a: m.vmap(lambda b: (a - b).square().sum())(t(B)))(t(A)),
    "chunks": lambda m, t: m.vmap(lambda a: a.exp().cumsum(0), chunk_size=3)(t(A)),
    "linear": lambda m, t: m.vmap(lambda a, w: m.nn.functional.linear(a, w), (0, None))(t(A), t(M)),
    "linear, weights too": lambda m, t: m.vmap(lambda a, w: m.nn.functional.linear(a, w))(t(A), t(stream_weights())),
    "reductions": lambda m, t: m.vmap(lambda a: (a.sum(), a.mean(0), a.prod(), a.var(), a.max(), a.logsumexp(0), a.softmax(0)))(t(A)),
    "argmax": lambda m, t: m.vmap(lambda a: (a.argmax(), a.argmin(-1), a.sort().values, a.topk(2).indices))(t(A)),
    "shapes": lambda m, t: m.vmap(lambda a: (a.reshape(3, 1), a[None].expand(2, 3), a.flip(0), a.roll(1, 0), a.unsqueeze(-1).squeeze(), a.diag()))(t(A)),
    "indexing": lambda m, t: m.vmap(lambda a: (a[1], a[None, 1:], a[[0, 2]], a[m.tensor([2, 0])], a[..., 0]))(t(A)),
    "places that vary": lambda m, t: m.vmap(lambda a: t(V)[a.argsort()])(t(A)),
    "gather": lambda m, t: m.vmap(lambda a: a.gather(0, a.argsort()))(t(A)),
    "joins": lambda m, t: m.vmap(lambda a: (m.cat([a, t(V)]), m.stack([a, a * 2], 1)))(t(A)),
    "in place": lambda m, t: m.vmap(lambda a: written(a))(t(A)),
    "where": lambda m, t: m.vmap(lambda a: m.where(a > 0, a, t(V)))(t(A)),
    "einsum": lambda m, t: m.vmap(lambda a, b: m.einsum("i,ij,j->", a, t(M), b))(t(A), t(B)),
    "linalg": lambda m, t: m.vmap(lambda a: (m.linalg.solve(m.outer(a, a) + m.eye(3, dtype=m.float64), a), m.linalg.det(m.outer(a, a) + t(M))))(t(A)),
    "fft": lambda m, t: m.vmap(lambda a: m.fft.fft(a).abs())(t(A)),
}  # fmt: skip


def stream_weights() -> Any:
    return np.random.default_rng(6).uniform(-1, 1, (4, 2, 3))


def written(a: Any) -> Any:
    a = a.clone()
    a.mul_(2)
    a[0] = a[1] * 10
    a[1:].add_(a[0])
    return a


@pytest.mark.oracle
@pytest.mark.parametrize("name", VMAPS)
def test_vmap_is_torchs(name: str) -> None:
    assert_torchs(VMAPS[name])


DERIVATIVES: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda m, t: m.func.grad(lambda x: (x.sin() * x).sum())(t(V)),
    "grad of grad": lambda m, t: m.func.grad(lambda x: m.func.grad(lambda y: (y**3).sum() * x.sum())(x).sum())(t(V)),
    "argnums": lambda m, t: m.func.grad(lambda x, y: (x * y.exp()).sum(), argnums=(1, 0))(t(V), t(V)),
    "aux": lambda m, t: m.func.grad_and_value(lambda x: ((x**2).sum(), x * 2), has_aux=True)(t(V)),
    "dictionary": lambda m, t: m.func.grad(lambda d: (d["a"] * d["b"]).sum())({"a": t(V), "b": t(V)}),
    "perturbations apart": lambda m, t: m.func.grad(lambda x: (x * m.func.grad(lambda y: (x + y).sum())(t(V))).sum())(t(V)),
    "vjp": lambda m, t: m.func.vjp(lambda x, y: (x * y, x.sum()), t(V), t(V))[1]((t(V), m.tensor(2.0, dtype=m.float64))),
    "jvp": lambda m, t: m.func.jvp(lambda x, y: (x.sin() * y, y.prod()), (t(V), t(A[0])), (t(A[1]), t(A[2]))),
    "jacrev": lambda m, t: m.func.jacrev(lambda x: (x**2).sum() * t(M) @ x)(t(V)),
    "jacfwd": lambda m, t: m.func.jacfwd(lambda x: (x**2).sum() * t(M) @ x)(t(V)),
    "jacrev of two": lambda m, t: m.func.jacrev(lambda x, y: {"p": x * y, "s": y.sum()}, argnums=(0, 1))(t(V), t(V)),
    "jacfwd of two": lambda m, t: m.func.jacfwd(lambda x, y: {"p": x * y, "s": y.sum()}, argnums=(0, 1))(t(V), t(V)),
    "jacrev of jacrev": lambda m, t: m.func.jacrev(m.func.jacrev(lambda x: (x.exp() @ t(M) @ x)))(t(V)),
    "hessian": lambda m, t: m.func.hessian(lambda x: (x.exp() @ t(M) @ x))(t(V)),
    "third": lambda m, t: m.func.jacfwd(m.func.hessian(lambda x: (x**4).sum() + x.prod()))(t(V)),
    "gradients of samples": lambda m, t: m.vmap(m.func.grad(lambda w, x: (w @ x).tanh().sum()), (None, 0))(t(M), t(A)),
    "hessians of samples": lambda m, t: m.vmap(m.func.hessian(lambda x: (x @ t(M) @ x).exp()))(t(A)),
    "jvp of samples": lambda m, t: m.vmap(lambda x, v: m.func.jvp(m.sin, (x,), (v,))[1])(t(A), t(B)),
    "grad through vmap": lambda m, t: m.func.grad(lambda w: m.vmap(lambda x: (w @ x).tanh().sum())(t(A)).square().sum())(t(M)),
    "jacrev through vmap": lambda m, t: m.func.jacrev(lambda w: m.vmap(lambda x: (w @ x).tanh().sum())(t(A)))(t(M)),
    "grad of vmap of grad": lambda m, t: m.func.grad(lambda w: m.vmap(lambda x: m.func.grad(lambda z: (w @ z).tanh().sum())(x))(t(A)).square().sum())(t(M)),
    "chunked jacobian": lambda m, t: m.func.jacrev(lambda x: x.outer(x), chunk_size=4)(t(V)),
    "linearize": lambda m, t: m.func.linearize(lambda x: x.sin() @ t(M), t(V))[1](t(A[0])),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_torchs(name: str) -> None:
    assert_torchs(DERIVATIVES[name])
