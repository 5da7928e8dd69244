# ruff: noqa: E501  a function a line
"""Transformations of functions beside torch.func: derivatives, vmap, and each inside the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework import func, nn
from framework.func import vmap

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


# -- modules ----------------------------------------------------------------------------------------------------------


def small_net() -> Any:
    vh.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.NormAct(4), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 3),
    )  # fmt: skip


def test_gradients_of_samples_of_a_network_by_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.func import rules

    net = small_net()
    params = {name: p.detach() for name, p in net.named_parameters()}
    images, labels = vh.randn(6, 1, 8, 8), vh.tensor([0, 1, 2, 0, 1, 2])
    slow: list[str] = []
    by_sample = rules.per_sample
    monkeypatch.setattr(rules, "per_sample", lambda f, *a: (slow.append("fallback"), by_sample(f, *a))[1])

    def loss(p: Any, image: Any, label: Any) -> Any:
        return nn.functional.cross_entropy(func.functional_call(net, p, (image[None],)), label[None])

    together = vmap(func.grad(loss), (None, 0, 0))(params, images, labels)
    assert len(slow) <= 1
    for number in range(6):
        alone = func.grad(loss)(params, images[number], labels[number])
        for name, expected in alone.items():
            np.testing.assert_allclose(together[name][number].numpy(), expected.numpy(), atol=1e-6)


def test_an_ensemble_is_one_call() -> None:
    nets = [small_net() for _ in range(3)]
    for number, net in enumerate(nets):
        for parameter in net.parameters():
            parameter.data = parameter.data + 0.1 * number
    x = vh.randn(2, 1, 8, 8)
    params, buffers = func.stack_module_state(nets)
    together = vmap(lambda p, b: func.functional_call(nets[0], (p, b), (x,)))(params, buffers)
    for number, net in enumerate(nets):
        np.testing.assert_allclose(together[number].detach().numpy(), net(x).detach().numpy(), atol=1e-5)
    together.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in params.values())
    with pytest.raises(RuntimeError, match="same class"):
        func.stack_module_state([nn.Linear(2, 2), nn.ReLU()])


# -- what a vmap allows -----------------------------------------------------------------------------------------------


def test_random_numbers_as_asked_for() -> None:
    x = vh.zeros(5, 1000)

    def noisy(a: Any) -> Any:
        return nn.functional.dropout(a + vh.rand(1000)) + vh.randn(1000)

    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(noisy)(x)
    apart = vmap(noisy, randomness="different")(x).numpy()
    assert len(np.unique(apart[:, 0])) == 5
    together = vmap(noisy, randomness="same")(x).numpy()
    assert (together == together[0]).all()
    chunked = vmap(noisy, randomness="same", chunk_size=2)(x).numpy()
    assert (chunked == chunked[0]).all()
    orders = vmap(lambda a: vh.randperm(1000), randomness="different")(x).numpy()
    assert (np.sort(orders) == np.arange(1000)).all()
    assert not (orders[0] == orders[1]).all()
    nested = vmap(lambda a: vmap(lambda b: vh.rand(2), randomness="different")(a), randomness="different")(x[:, :3])
    assert len(np.unique(nested.numpy())) == 5 * 3 * 2
    half = vmap(lambda a: vh.bernoulli(a + 0.5), randomness="different")(x)
    assert 0.4 < float(half.mean()) < 0.6


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (lambda m: m.vmap(lambda a: a if a.sum() > 0 else -a)(m.ones(3, 2)), "data-dependent|vmap"),
    "item": (lambda m: m.vmap(lambda a: a * a.sum().item())(m.ones(3, 2)), "vmap"),
    "shape depends on data": (lambda m: m.vmap(lambda a: a[a > 0])(m.tensor([[1.0, -1.0], [1.0, 1.0]])), "vmap|dynamic|data"),
    "in place on what is shared": (lambda m: m.vmap(lambda a: m.zeros(2).add_(a))(m.ones(3, 2)), "inplace arithmetic|output with shape"),
    "in place on an argument for all": (lambda m: m.vmap(lambda a, b: b.copy_(a), (0, None))(m.ones(3, 2), m.ones(2)), "inplace|vmap"),
    "sizes": (lambda m: m.vmap(m.add)(m.ones(3), m.ones(2)), "same size in the mapped dimension"),
    "dims": (lambda m: m.vmap(m.sin, in_dims=2)(m.ones(3, 2)), "in_dim"),
    "structure": (lambda m: m.vmap(m.add, in_dims=(0,))(m.ones(3), m.ones(3)), "in_dims is not compatible"),
    "not a tensor": (lambda m: m.vmap(lambda a: 3)(m.ones(3)), "must only return Tensors"),
    "nothing to map": (lambda m: m.vmap(m.sin, in_dims=None)(m.ones(3)), "in_dims"),
    "backward": (lambda m: m.vmap(lambda a: a.sum().backward())(m.ones(3, 2).requires_grad_()), "backward"),
    "requires_grad_": (lambda m: m.vmap(lambda a: (a * 1).requires_grad_())(m.ones(3, 2)), "requires_grad_"),
    "no scalar": (lambda m: m.func.grad(m.sin)(m.ones(3)), "scalar [tT]ensor"),
    "argnums": (lambda m: m.func.grad(lambda a: a.sum(), argnums=1)(m.ones(3)), "argnum"),
    "integers": (lambda m: m.func.grad(lambda a: a.sum())(m.ones(3, dtype=m.int64)), "floating point"),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_torchs(name: str) -> None:
    import re

    import torch

    ask, words = REFUSED[name]
    kinds = []
    for module in (vh, torch):
        with pytest.raises(Exception) as caught:
            ask(module)
        kinds.append(caught.type)
        assert re.search(words, str(caught.value)), str(caught.value)
    assert kinds[0] is kinds[1] or "dims" in name


def test_in_place_reaches_the_argument_as_in_torch() -> None:
    x = vh.ones(3, 2)
    vmap(lambda a: a.mul_(a.sum()))(x)
    assert x.tolist() == [[2, 2]] * 3
    with pytest.raises(RuntimeError, match="single memory location"):
        vmap(lambda a: func.grad(lambda w: (w.mul_(2) * a).sum())(vh.ones(2)))(x)


def test_functions_leave_no_history_behind() -> None:
    x = vh.ones(3, dtype=vh.float64)
    assert not func.grad(lambda a: (a**2).sum())(x).requires_grad
    assert func.grad(lambda a: (a**2).sum())(x.clone().requires_grad_()).requires_grad
    w = vh.ones(3, dtype=vh.float64, requires_grad=True)
    g = func.grad(lambda a: (a * w).sum())(x)
    assert g.requires_grad
    with vh.no_grad():
        assert func.grad(lambda a: (a**2).sum())(w).tolist() == [2, 2, 2]
        assert not func.grad(lambda a: (a**2).sum())(w).requires_grad
    assert repr(x) == "tensor([1., 1., 1.], dtype=framework.float64)"
    shown: list[str] = []
    vmap(lambda a: shown.append(repr(a)) or a)(x)
    assert shown[0].startswith("BatchedTensor(lvl=")
