"""Every family of operations against PyTorch: values, gradients and second gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import framework as vh
import framework.nn.functional
from framework.autograd import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

# name, function of (module, *tensors), shapes of the tensors; values are positive unless the shape is marked negative
POSITIVE: list[tuple[str, Callable[..., Any], list[tuple[int, ...]]]] = [
    ("arithmetic", lambda m, a, b: (a + b) * a - b / a, [(3, 4), (4,)]),
    ("alpha", lambda m, a, b: m.add(a, b, alpha=2.5) + m.sub(a, b, alpha=0.5), [(3, 4), (4,)]),
    ("powers", lambda m, a, b: a**b + a**2.5 + 2.0**a + a.sqrt() + a.rsqrt() + a.reciprocal(), [(3, 2), (3, 1)]),
    ("logs", lambda m, a: a.log() + a.log2() + a.log10() + a.log1p() + a.exp() + m.expm1(a) + m.exp2(a), [(5,)]),
    ("trigonometry", lambda m, a: a.sin() + a.cos() + a.tan() + a.tanh() + m.atan2(a, a.square()), [(5,)]),
    ("remainders", lambda m, a, b: m.remainder(a, b) + m.fmod(a, b), [(6,), (6,)]),
    ("logsumexp", lambda m, a: m.logsumexp(a, 1) + m.logsumexp(a, (0, 1)), [(3, 4)]),
    ("norms", lambda m, a: m.norm(a) + m.norm(a, 1, 1).sum() + m.norm(a, 3.0, 0).sum(), [(3, 4)]),
    ("products", lambda m, a: a.prod() + a.prod(1).sum(), [(3, 3)]),
    ("variance", lambda m, a: a.var() + a.std(1).sum() + a.var(0, unbiased=False).sum() + a.var((0, 1)), [(3, 4)]),
]
ANY: list[tuple[str, Callable[..., Any], list[tuple[int, ...]]]] = [
    ("activations", lambda m, a: _activations(m, a), [(4, 6)]),
    ("extremes", lambda m, a, b: m.maximum(a, b) + m.minimum(a, b) * 2 + a.clamp(-0.5, 0.7), [(3, 4), (3, 4)]),
    ("clamp by tensors", lambda m, a, b, c: m.clamp(a, m.minimum(b, c), m.maximum(b, c)), [(3, 4), (4,), (4,)]),
    ("reductions", lambda m, a: a.sum(1) + a.mean(1) + a.amax(1) - a.amin(1) + a.max(1).values - a.min(1)[0], [(3, 5)]),
    ("cumulative", lambda m, a: a.cumsum(1) + a.cumsum(0), [(3, 5)]),
    ("where", lambda m, a, b: m.where(a > 0, a * 2, b) + m.where(a > 0, 1.0, b), [(3, 4), (4,)]),
    ("shapes", lambda m, a: a.reshape(6, 4).T.unsqueeze(1).expand(4, 5, 6).permute(2, 0, 1).flatten(1), [(2, 3, 4)]),
    ("joins", lambda m, a, b: m.stack([m.cat([a, b], 1), m.cat([b, a], 1)]).flip(0).roll(1, 2), [(2, 3), (2, 4)]),
    ("splits", lambda m, a: a.chunk(3, 1)[2] * a.split([1, 2], 0)[0] + a.unbind(1)[0].sum(), [(3, 7)]),
    ("repeats", lambda m, a: a.repeat(2, 1, 3) + m.tile(a, (2, 1, 3)), [(2, 3)]),
    ("indexing", lambda m, a: a[1:, ::2] * a[[0, 1]][:, [1, 3]] + a[:2, None, -1], [(3, 4)]),
    ("boolean mask", lambda m, a: (a[a > 0] ** 2).sum() + a.masked_fill(a > 0, 3.0).sum(), [(3, 4)]),
    ("gather", lambda m, a: a.gather(1, m.tensor([[0, 2], [1, 1]])) + a.index_select(1, m.tensor([2, 0])), [(2, 3)]),
    ("scatter", lambda m, a, b: a.scatter_add(1, m.tensor([[0, 2], [1, 1]]), b), [(2, 3), (2, 2)]),
    ("diagonal", lambda m, a: m.diagonal(a) + m.tril(a).sum(0) + m.triu(a, 1).sum(1), [(4, 4)]),
    ("matrix products", lambda m, a, b: a @ b + m.einsum("bij,jk->bik", a, b), [(2, 3, 4), (4, 5)]),
    ("vector products", lambda m, a, b: m.mv(a, b) + m.outer(a @ b, b)[:, 0] + m.dot(b, b), [(3, 4), (4,)]),
    ("einsum with a diagonal", lambda m, a, b: m.einsum("ii,ij->j", a, b) + m.einsum("...j->j", b), [(3, 3), (3, 4)]),
    ("softmax", lambda m, a: m.softmax(a, 1) + m.log_softmax(a, 0), [(3, 4)]),
    ("attention", lambda m, *a: m.nn.functional.scaled_dot_product_attention(*a, is_causal=True), [(2, 4, 5)] * 3),
    ("layer norm", lambda m, a, b, c: m.nn.functional.layer_norm(a, (4,), b, c), [(3, 4), (4,), (4,)]),
    ("group norm", lambda m, a, b, c: m.nn.functional.group_norm(a, 2, b, c), [(2, 4, 5), (4,), (4,)]),
    (
        "instance norm",
        lambda m, a, b, c: m.nn.functional.instance_norm(a, weight=b, bias=c),
        [(2, 3, 4, 3), (3,), (3,)],
    ),
    ("batch norm", lambda m, a, b: m.nn.functional.batch_norm(a, None, None, b, training=True), [(4, 3, 5), (3,)]),
    ("average pooling", lambda m, a: m.nn.functional.avg_pool2d(a, 3, 2, 1, count_include_pad=False), [(2, 2, 7, 6)]),
    ("max pooling", lambda m, a: m.nn.functional.max_pool3d(a, 2, ceil_mode=True), [(1, 2, 5, 4, 6)]),
    ("overlapping max pooling", lambda m, a: m.nn.functional.max_pool2d(a, 3, 1, 1, 2), [(2, 2, 9, 8)]),
    ("adaptive pooling", lambda m, a: m.nn.functional.adaptive_avg_pool2d(a, (3, 2)), [(2, 2, 7, 5)]),
    ("trilinear", lambda m, a: _trilinear(m, a), [(1, 2, 3, 4, 5)]),
    ("nearest", lambda m, a: m.nn.functional.interpolate(a, size=(7, 3), mode="nearest"), [(2, 2, 4, 5)]),
    ("pad", lambda m, a: _pads(m, a), [(1, 2, 5, 6)]),
    ("convolution", lambda m, a, w, b: m.conv2d(a, w, b, 2, 1, 2), [(2, 3, 9, 8), (4, 3, 3, 2), (4,)]),
    ("grouped convolution", lambda m, a, w: m.conv1d(a, w, groups=2, padding="same"), [(2, 4, 9), (6, 2, 5)]),
    (
        "volume convolution",
        lambda m, a, w, b: m.conv3d(a, w, b, (2, 1, 2), 1),
        [(1, 2, 5, 4, 6), (3, 2, 3, 3, 3), (3,)],
    ),
    ("transposed", lambda m, a, w, b: m.conv_transpose2d(a, w, b, 2, 1, 1, 1), [(2, 3, 4, 5), (3, 4, 3, 3), (4,)]),
    ("transposed volume", lambda m, a, w: m.conv_transpose3d(a, w, stride=2), [(1, 2, 2, 3, 2), (2, 3, 2, 2, 2)]),
]


def _activations(m: Any, a: Any) -> Any:
    f = m.nn.functional
    return (
        f.relu(a) + f.leaky_relu(a, 0.2) + f.elu(a, 1.3) + f.gelu(a) + f.gelu(a, approximate="tanh") + f.silu(a)
        + f.softplus(a, 2.0) + a.sigmoid() + m.erf(a) + a.abs()
    )  # fmt: skip


def _trilinear(m: Any, a: Any) -> Any:
    f = m.nn.functional.interpolate
    return f(a, scale_factor=2, mode="trilinear").sum((2, 3, 4)) + f(
        a, size=(4, 5, 2), mode="trilinear", align_corners=True
    ).square().sum((2, 3, 4))


def _pads(m: Any, a: Any) -> Any:
    f = m.nn.functional.pad
    return (
        f(a, (1, 2, 3, 0)).sum(2)
        + f(a, (1, 2, 3, 0), mode="reflect").square().sum(2)
        + f(a, (1, 2, 3, 0), mode="replicate").square().sum(2)
        + f(a, (1, 2, 3, 0), mode="circular").square().sum(2)
    )


CASES = [(*case, True) for case in POSITIVE] + [(*case, False) for case in ANY]


def arrays(shapes: list[tuple[int, ...]], positive: bool) -> list[np.ndarray[Any, Any]]:
    stream = np.random.default_rng(0)
    return [stream.uniform(0.3, 2, s) if positive else stream.standard_normal(s) for s in shapes]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_values_and_gradients_match_torch(case: Any) -> None:
    _, function, shapes, positive = case

    def run(module: Any) -> list[np.ndarray[Any, Any]]:
        tensors = [module.tensor(array).requires_grad_() for array in arrays(shapes, positive)]
        out = function(module, *tensors)
        weight = module.tensor(np.random.default_rng(1).standard_normal(tuple(out.shape)))
        (out * weight).sum().backward()
        return [out.detach().numpy(), *(tensor.grad.numpy() for tensor in tensors)]

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


SECOND_ORDER = [
    case for case in CASES if case[0] not in ("max pooling", "overlapping max pooling", "volume convolution")
]


@pytest.mark.parametrize("case", SECOND_ORDER, ids=lambda case: case[0])
def test_second_gradients_match_finite_differences(case: Any) -> None:
    _, function, shapes, positive = case
    tensors = [vh.tensor(array) for array in arrays(shapes, positive)]
    for tensor in tensors:
        tensor.requires_grad_()
    if sum(tensor.numel() for tensor in tensors) > 70:
        pytest.skip("as a whole covered by smaller cases; finite differences would take long")
    assert gradgradcheck(lambda *t: function(vh, *t).sum(), tensors, atol=1e-4)


def test_convolution_is_differentiable_twice() -> None:
    stream = np.random.default_rng(0)
    x = vh.tensor(stream.standard_normal((1, 2, 3, 3))).requires_grad_()
    w = vh.tensor(stream.standard_normal((2, 2, 2, 2))).requires_grad_()
    assert gradcheck(lambda x, w: vh.conv2d(x, w, padding=1), [x, w])
    assert gradgradcheck(lambda x, w: vh.conv2d(x, w, stride=2, padding=1), [x, w])
    assert gradgradcheck(lambda x, w: vh.conv_transpose2d(x, w, stride=2), [x, w])


def test_fused_norm_matches_its_parts_to_second_order() -> None:
    from framework.ops.norm import norm_act

    stream = np.random.default_rng(0)
    x = vh.tensor(stream.standard_normal((2, 2, 5))).requires_grad_()
    w, b = (vh.tensor(stream.standard_normal(2)).requires_grad_() for _ in range(2))
    assert gradcheck(lambda *t: norm_act(*t, 2, 1e-5, 0.1)[0], [x, w, b])
    assert gradgradcheck(lambda *t: norm_act(*t, 1, 1e-5, 0.1)[0], [x, w, b])


LOSSES: list[tuple[str, Callable[..., Any]]] = [
    ("cross entropy", lambda f, x, c, p: f.cross_entropy(x, c, ignore_index=1)),
    ("weighted", lambda f, x, c, p: f.cross_entropy(x, c, weight=p[:, 0].detach(), reduction="none").sum()),
    ("smoothed", lambda f, x, c, p: f.cross_entropy(x, c, label_smoothing=0.1, ignore_index=2)),
    ("soft", lambda f, x, c, p: f.cross_entropy(x, p.detach().T[:, :3].softmax(1))),
    ("nll", lambda f, x, c, p: f.nll_loss(x.log_softmax(1), c, ignore_index=0)),
    ("logits", lambda f, x, c, p: f.binary_cross_entropy_with_logits(x, p.detach().T.sigmoid()[:, :3])),
    ("squared", lambda f, x, c, p: f.mse_loss(x, p.detach().T[:, :3])),
    ("smooth l1", lambda f, x, c, p: f.smooth_l1_loss(x, p.detach().T[:, :3], beta=0.5)),
    ("kl", lambda f, x, c, p: f.kl_div(x.log_softmax(1), p.detach().T[:, :3].softmax(1), reduction="batchmean")),
]


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case[0])
def test_losses_match_torch(case: Any) -> None:
    def run(module: Any) -> tuple[float, np.ndarray[Any, Any]]:
        stream = np.random.default_rng(0)
        x = module.tensor(stream.standard_normal((5, 3))).requires_grad_()
        p = module.tensor(stream.uniform(0.1, 1, (3, 5)))
        loss = case[1](module.nn.functional, x, module.tensor([0, 2, 1, 1, 0]), p)
        loss.backward()
        return loss.item(), x.grad.numpy()

    ours, theirs = run(vh), run(torch)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-9)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-8, atol=1e-12)


def test_targets_out_of_range_are_named() -> None:
    with pytest.raises(IndexError, match="arget 3 is out of bounds"):
        vh.nn.functional.cross_entropy(vh.zeros(2, 3), vh.tensor([0, 3]))
    with pytest.raises(ValueError, match="Expected a target of shape"):
        vh.nn.functional.cross_entropy(vh.zeros(2, 3), vh.tensor([0, 1, 1]))


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_smaller_floats(kind: str) -> None:
    array = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    ours = vh.tensor(array).to(getattr(vh, kind))
    theirs = torch.tensor(array).to(getattr(torch, kind))
    for function in (lambda t: t * t + 1, lambda t: t.exp().sum(1), lambda t: t @ t.T, lambda t: t.softmax(1)):
        np.testing.assert_allclose(
            function(ours).to(vh.float32).numpy(),
            function(theirs).float().numpy(),
            rtol=2e-2 if kind != "float32" else 1e-5,
            atol=1e-2,
        )
