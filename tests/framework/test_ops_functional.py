"""Functions of neural networks beside PyTorch: activations, losses, poolings, rearrangements, sampling, attention."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from beside_torch import assert_same, assert_same_values, uniform

import framework as vh
import framework.nn.functional
from framework.autograd import gradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "celu": lambda f, a: f.celu(a, 1.3),
    "elu": lambda f, a: f.elu(a, 0.7),
    "selu": lambda f, a: f.selu(a),
    "hardtanh": lambda f, a: f.hardtanh(a, -0.5, 1.5),
    "relu6": lambda f, a: f.relu6(a * 5),
    "hardsigmoid": lambda f, a: f.hardsigmoid(a * 3),
    "hardswish": lambda f, a: f.hardswish(a * 3),
    "hardshrink": lambda f, a: f.hardshrink(a, 0.6),
    "softshrink": lambda f, a: f.softshrink(a, 0.6),
    "tanhshrink": lambda f, a: f.tanhshrink(a),
    "threshold": lambda f, a: f.threshold(a, 0.2, -3.0),
    "glu": lambda f, a: f.glu(a, 1),
    "mish": lambda f, a: f.mish(a),
    "silu": lambda f, a: f.silu(a),
    "logsigmoid": lambda f, a: f.logsigmoid(a * 9),
    "softsign": lambda f, a: f.softsign(a),
    "rrelu in use": lambda f, a: f.rrelu(a, 0.1, 0.5),
    "normalize": lambda f, a: f.normalize(a, 3.0, 0),
    "relu": lambda f, a: f.relu(a),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    second = name != "hardsigmoid"  # torch has no second derivative of it
    assert_same(lambda m, a: ACTIVATIONS[name](m.nn.functional, a), uniform([(5, 6)]), second=second)


@pytest.mark.parametrize("name", ["relu", "elu", "celu", "selu", "silu", "mish", "hardtanh", "hardswish", "threshold"])
def test_activations_in_place(name: str) -> None:
    extra = (0.1, 2.0) if name == "threshold" else ()

    def function(m: Any, a: Any) -> Any:
        hidden = a * 2
        result = getattr(m.nn.functional, name)(hidden, *extra, inplace=True)
        assert result is hidden
        return result

    assert_same(function, uniform([(3, 4)]), second=False)


def test_prelu_by_channel() -> None:
    assert_same(lambda m, a, w: m.nn.functional.prelu(a, w), uniform([(2, 3, 4), (3,)]))


SIGNS = [[1.0, -1.0, 1.0, -1.0]]
LOSSES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "margin_ranking": (
        lambda m, f, r, a, b: f.margin_ranking_loss(a, b, m.tensor(SIGNS), 0.3, reduction=r),
        [(3, 4)] * 2,
    ),
    "hinge_embedding": (lambda m, f, r, a: f.hinge_embedding_loss(a, m.tensor(SIGNS), 0.7, reduction=r), [(3, 4)]),
    "soft_margin": (lambda m, f, r, a: f.soft_margin_loss(a, m.tensor(SIGNS).expand(3, 4), reduction=r), [(3, 4)]),
    "multi_margin": (
        lambda m, f, r, a, w: (
            f.multi_margin_loss(a, m.tensor([1, 3, 0]), 1, 0.8, w.detach(), reduction=r) + 0 * w.sum()
        ),
        [(3, 4), (4,)],
    ),
    "multi_margin squared": (lambda m, f, r, a: f.multi_margin_loss(a, m.tensor(2), 2, reduction=r), [(4,)]),
    "multilabel_margin": (
        lambda m, f, r, a: f.multilabel_margin_loss(a, m.tensor([[0, 2, -1, 1], [3, -1, 0, 0]]), reduction=r),
        [(2, 4)],
    ),
    "multilabel_soft_margin": (
        lambda m, f, r, a, w: f.multilabel_soft_margin_loss(a, (a > 0.3) * 1.0, w, reduction=r),
        [(3, 4), (4,)],
    ),
    "cosine_embedding": (
        lambda m, f, r, a, b: f.cosine_embedding_loss(a, b, m.tensor([1, -1, -1]), 0.1, reduction=r),
        [(3, 4)] * 2,
    ),
    "triplet": (lambda m, f, r, a, b, c: f.triplet_margin_loss(a, b, c, 1.5, swap=True, reduction=r), [(3, 4)] * 3),
    "gaussian_nll": (
        lambda m, f, r, a, b, v: f.gaussian_nll_loss(a, b, v * v + 0.1, full=True, reduction=r),
        [(3, 4), (3, 4), (3, 1)],
    ),
    "poisson_nll": (
        lambda m, f, r, a, b: (
            f.poisson_nll_loss(a, b * b * 3, full=True, reduction=r)
            + f.poisson_nll_loss(a * a, b, log_input=False, reduction=r)
        ),
        [(3, 4)] * 2,
    ),
    "linear_cross_entropy": (
        lambda m, f, r, a, w: f.linear_cross_entropy(a, w, m.tensor([0, 3, 1]), reduction=r),
        [(3, 5), (4, 5)],
    ),
    "kl_div": (lambda m, f, r, a, b: f.kl_div(a, b, reduction=r), [(3, 4)] * 2),
    "pairwise_distance": (lambda m, f, r, a, b: f.pairwise_distance(a, b, 3.0), [(3, 4)] * 2),
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_losses(name: str, reduction: str) -> None:
    function, shapes = LOSSES[name]
    second = name not in ("multi_margin", "multi_margin squared", "multilabel_margin")
    assert_same(lambda m, *t: function(m, m.nn.functional, reduction, *t), uniform(shapes), second=second)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_of_ragged_and_impossible_targets(reduction: str) -> None:
    logits = uniform([(6, 4, 5)])[0]

    def loss(m: Any, a: Any, targets: Any, lengths: Any) -> Any:
        scores = m.log_softmax(a, 2)
        sizes = m.tensor([6, 5, 6, 3])
        return m.nn.functional.ctc_loss(scores, targets, sizes, lengths, reduction=reduction, zero_infinity=True)

    def padded(m: Any, a: Any) -> Any:
        targets = m.tensor([[1, 2, 2, 4], [3, 0, 0, 0], [0, 0, 0, 0], [1, 1, 2, 2]])
        return loss(m, a, targets, m.tensor([4, 1, 0, 4]))

    def joined(m: Any, a: Any) -> Any:
        return loss(m, a, m.tensor([1, 2, 2, 4, 3, 1, 1, 2, 2]), m.tensor([4, 1, 0, 4]))

    assert_same(padded, [logits], second=False, atol=1e-8)
    assert_same(joined, [logits], second=False, atol=1e-8)


POOLS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "adaptive_max_pool1d": (lambda m, f, a: f.adaptive_max_pool1d(a, 3), [(2, 3, 7)]),
    "adaptive_max_pool2d": (lambda m, f, a: f.adaptive_max_pool2d(a, (3, None)), [(2, 2, 7, 4)]),
    "adaptive_max_pool3d": (lambda m, f, a: f.adaptive_max_pool3d(a, (2, 3, 1)), [(2, 5, 4, 3)]),
    "adaptive_avg_pool3d": (lambda m, f, a: f.adaptive_avg_pool3d(a, (2, 3, 1)), [(2, 5, 4, 3)]),
    "lp_pool2d": (lambda m, f, a: f.lp_pool2d(a * a, 3.0, 2, 1), [(1, 2, 4, 5)]),
    "max_unpool1d": (
        lambda m, f, a: f.max_unpool1d(*f.max_pool1d(a, 2, return_indices=True), 2, output_size=(7,)),
        [(2, 2, 7)],
    ),
    "max_unpool3d": (
        lambda m, f, a: f.max_unpool3d(*f.max_pool3d(a, 2, return_indices=True), 2),
        [(1, 2, 4, 4, 6)],
    ),
    "fractional_max_pool2d": (
        lambda m, f, a: f.fractional_max_pool2d(a, (2, 3), (3, 2), _random_samples=m.tensor(SAMPLES[:, :, :2])),
        [(2, 2, 7, 8)],
    ),
    "fractional_max_pool3d": (
        lambda m, f, a: f.fractional_max_pool3d(a, 2, (3, 2, 2), _random_samples=m.tensor(SAMPLES)),
        [(2, 2, 6, 5, 4)],
    ),
    "pixel_shuffle": (lambda m, f, a: f.pixel_shuffle(a * a, 2), [(2, 8, 2, 3)]),
    "pixel_unshuffle": (lambda m, f, a: f.pixel_unshuffle(a * a, 2), [(2, 2, 4, 6)]),
    "channel_shuffle": (lambda m, f, a: f.channel_shuffle(a * a, 3), [(2, 6, 2, 3)]),
    "unfold": (lambda m, f, a: f.unfold(a * a, (2, 3), (1, 2), (1, 2), (2, 1)), [(2, 2, 5, 6)]),
    "fold": (lambda m, f, a: f.fold(a * a, (4, 5), 2, padding=1, stride=2), [(2, 12, 9)]),
    "local_response_norm": (lambda m, f, a: f.local_response_norm(a, 3, 0.5), [(2, 5, 3)]),
    "rms_norm": (lambda m, f, a, w: f.rms_norm(a, (4,), w), [(2, 3, 4), (4,)]),
    "batch_norm of rows": (lambda m, f, a: f.batch_norm(a, None, None, training=True), [(4, 3)]),
    "bicubic": (lambda m, f, a: f.interpolate(a, (7, 3), mode="bicubic"), [(1, 2, 4, 5)]),
    "bicubic corners": (lambda m, f, a: f.interpolate(a, (7, 9), mode="bicubic", align_corners=True), [(1, 2, 4, 5)]),
    "antialias": (
        lambda m, f, a: [f.interpolate(a, (3, 9), mode=k, antialias=True) for k in ("bilinear", "bicubic")],
        [(1, 2, 8, 5)],
    ),
}
SAMPLES = np.random.default_rng(3).uniform(0, 1, (2, 2, 3))


@pytest.mark.parametrize("name", POOLS)
def test_poolings_and_rearrangements(name: str) -> None:
    function, shapes = POOLS[name]
    second = not name.startswith(("fractional", "bicubic", "antialias"))
    assert_same(lambda m, *t: function(m, m.nn.functional, *t), uniform(shapes), second=second)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode: str, padding: str, corners: bool) -> None:
    def function(m: Any, image: Any, grid: Any) -> Any:
        return m.nn.functional.grid_sample(image, grid, mode, padding, corners)

    assert_same(function, uniform([(2, 3, 4, 5), (2, 3, 2, 2)], -1.6, 1.6), second=mode == "bilinear")
    if mode != "bicubic":
        assert_same(function, uniform([(1, 2, 3, 4, 3), (1, 2, 3, 2, 3)], -1.6, 1.6), second=False)


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grid(corners: bool) -> None:
    for shape, size in (((2, 2, 3), (2, 1, 3, 4)), ((1, 3, 4), (1, 1, 2, 3, 2))):
        assert_same(lambda m, a, s=size: m.nn.functional.affine_grid(a, s, corners), uniform([shape]))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode: str) -> None:
    def flat(m: Any, weight: Any) -> Any:
        index, offsets = m.tensor([1, 2, 4, 5, 4, 3, 2]), m.tensor([0, 3, 3, 5])
        return m.nn.functional.embedding_bag(index, weight, offsets, mode=mode, padding_idx=4)

    def rows(m: Any, weight: Any) -> Any:
        return m.nn.functional.embedding_bag(m.tensor([[1, 2, 1], [0, 5, 3]]), weight, mode=mode)

    assert_same(flat, uniform([(6, 3)]), second=False)
    assert_same(rows, uniform([(6, 3)]), second=False)


def test_embedding_bag_with_weights_of_its_entries() -> None:
    def function(m: Any, weight: Any, scale: Any) -> Any:
        index = m.tensor([[1, 2], [0, 1]])
        return m.nn.functional.embedding_bag(index, weight, mode="sum", per_sample_weights=scale)

    assert_same(function, uniform([(4, 3), (2, 2)]), second=False)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention(masked: bool, zero: bool) -> None:
    def function(m: Any, q: Any, k: Any, v: Any, w: Any, b: Any, bk: Any, bv: Any, wo: Any) -> Any:
        padding = m.tensor([[False, False, False, True, False], [False] * 5]) if masked else None
        mask = m.tensor(np.triu(np.ones((3, 5), bool), 3)) if masked else None
        return m.nn.functional.multi_head_attention_forward(
            q, k, v, 4, 2, w, b, bk, bv, zero, 0.0, wo, None,
            key_padding_mask=padding, attn_mask=mask, average_attn_weights=not zero,
        )  # fmt: skip

    shapes = [(3, 2, 4), (5, 2, 4), (5, 2, 4), (12, 4), (12,), (1, 1, 4), (1, 1, 4), (4, 4)]
    assert_same(function, uniform(shapes), second=False)


def test_attention_of_one_sequence_with_separate_weights() -> None:
    def function(m: Any, q: Any, k: Any, a: Any, b: Any, c: Any, wo: Any) -> Any:
        return m.nn.functional.multi_head_attention_forward(
            q, k, k, 4, 2, None, None, None, None, False, 0.0, wo, None,
            use_separate_proj_weight=True, q_proj_weight=a, k_proj_weight=b, v_proj_weight=c,
        )  # fmt: skip

    assert_same(function, uniform([(3, 4), (5, 6), (4, 4), (4, 6), (4, 6), (4, 4)]), second=False)


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name: str) -> None:
    vh.manual_seed(0)
    x = vh.randn(2000, 40)
    y = getattr(vh.nn.functional, name)(x, 0.3, training=True)
    assert abs(y.mean().item()) < 0.03
    assert abs(y.std().item() - 1) < 0.03
    assert getattr(vh.nn.functional, name)(x, 0.3, training=False) is x


def test_random_slopes_lie_between_their_bounds() -> None:
    vh.manual_seed(0)
    x = vh.randn(5000, dtype=vh.float64, requires_grad=True)
    y = vh.nn.functional.rrelu(x, 0.2, 0.6, training=True)
    slopes = (y / x).detach().numpy()[x.detach().numpy() < 0]
    assert slopes.min() >= 0.2
    assert slopes.max() <= 0.6
    assert abs(slopes.mean() - 0.4) < 0.01
    (grad,) = vh.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(grad.numpy()[x.detach().numpy() < 0], slopes)


def test_random_windows_of_fractional_pooling() -> None:
    vh.manual_seed(0)
    x = vh.randn(2, 3, 9, 8, dtype=vh.float64, requires_grad=True)
    values, index = vh.nn.functional.fractional_max_pool2d(x, 2, output_ratio=0.6, return_indices=True)
    assert values.shape == (2, 3, 5, 4)
    flat = x.detach().numpy().reshape(2, 3, -1)
    taken = np.take_along_axis(flat, index.numpy().reshape(2, 3, -1), 2).reshape(values.shape)
    assert np.array_equal(values.detach().numpy(), taken)


def test_distributions_filled_in_place() -> None:
    vh.manual_seed(0)
    x = vh.empty(20000, dtype=vh.float64)
    assert abs(x.geometric_(0.25).mean().item() - 4) < 0.1
    assert abs(x.cauchy_(2.0, 0.5).median().item() - 2) < 0.05
    assert abs(x.log_normal_(0.5, 0.2).log().mean().item() - 0.5) < 0.01
    assert vh.randint_like(vh.ones(3, 2), 5).shape == (3, 2)


def test_a_constant_gradient_has_a_place_in_the_graph() -> None:
    grads = []
    for m in (vh, torch):
        x = m.tensor(uniform([(6,)])[0], requires_grad=True)
        (first,) = m.autograd.grad(m.nn.functional.relu(x).sum(), x, create_graph=True)
        assert first.requires_grad
        (second,) = m.autograd.grad(first.sum(), x)
        grads.append(second.numpy())
    assert np.array_equal(*grads)


def test_derivatives_by_finite_differences_where_torch_has_none_of_second_order() -> None:
    x = vh.tensor(uniform([(1, 1, 4, 4)])[0], requires_grad=True)
    grid = vh.tensor(uniform([(1, 2, 2, 2)], -0.9, 0.9)[0], requires_grad=True)
    sample = lambda a, b: vh.nn.functional.grid_sample(a, b, "bicubic", "border", False)  # noqa: E731
    assert gradcheck(sample, (x, grid))


def test_shuffles_of_integers() -> None:
    assert_same_values(lambda m: m.nn.functional.pixel_shuffle(m.arange(16).reshape(1, 4, 2, 2), 2), [])


@pytest.mark.parametrize(
    "call",
    [
        lambda m, f: f.glu(m.ones(3)),
        lambda m, f: f.pixel_shuffle(m.ones(1, 3, 2, 2), 2),
        lambda m, f: f.fold(m.ones(1, 5, 4), (3, 3), 2),
        lambda m, f: f.adaptive_max_pool2d(m.ones(1, 2, 3, 3), (1, 2, 3)),
        lambda m, f: f.max_unpool2d(m.ones(1, 1, 2, 2), m.zeros(1, 1, 2, 2), 2),
        lambda m, f: f.grid_sample(m.ones(1, 1, 2, 2), m.ones(1, 2, 2, 3), align_corners=False),
        lambda m, f: f.grid_sample(m.ones(1, 1, 2, 2), m.ones(1, 2, 2, 2), mode="cubic", align_corners=False),
        lambda m, f: f.gaussian_nll_loss(m.ones(2), m.ones(2), -m.ones(2)),
        lambda m, f: f.multi_margin_loss(m.ones(2, 3), m.tensor([0, 3])),
        lambda m, f: f.embedding_bag(m.tensor([0, 1]), m.ones(2, 2)),
        lambda m, f: f.conv1d(m.ones(1, 1, 5), m.ones(1, 1, 2), dilation=0),
        lambda m, f: f.max_pool2d(m.ones(1, 0, 4, 4), 2),
    ],
)
def test_what_torch_refuses_is_refused_alike(call: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(Exception) as theirs:
        call(torch, torch.nn.functional)
    with pytest.raises(type(theirs.value)):
        call(vh, vh.nn.functional)


def test_convolutions_of_complex_numbers_conjugate_in_their_derivatives() -> None:
    def function(m: Any, a: Any, b: Any, w: Any) -> Any:
        x = m.complex(a, b)
        kernel = m.complex(w, w * w)
        return [m.nn.functional.conv1d(x, kernel), m.nn.functional.conv_transpose1d(x, kernel)]

    assert_same(function, uniform([(2, 3, 5), (2, 3, 5), (3, 3, 2)]), second=False)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "hardtanh"])
@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_activations_keep_half_precision(name: str, kind: str) -> None:
    x = vh.linspace(-2, 2, 9).to(getattr(vh, kind)).requires_grad_()
    y = getattr(vh.nn.functional, name)(x)
    y.sum().backward()
    assert y.dtype is getattr(vh, kind)
    assert x.grad is not None
    assert x.grad.dtype is getattr(vh, kind)
    wide = getattr(torch.nn.functional, name)(torch.linspace(-2, 2, 9)).numpy()
    np.testing.assert_allclose(y.detach().float().numpy(), wide, atol=0.02)


def test_triangles_of_booleans() -> None:
    assert_same_values(lambda m: [m.tril(m.ones(3, 3, dtype=m.bool)), m.triu(m.ones(3, 3, dtype=m.int8), 1)], [])


def test_group_norm_of_no_samples() -> None:
    assert_same(lambda m, a, w: m.nn.functional.group_norm(a, 1, w), uniform([(0, 4, 2), (4,)]))


def test_products_with_zeros_have_two_right_derivatives() -> None:
    values = uniform([(3, 4)])[0]
    values[0, 1] = values[2, 1] = values[1, 3] = 0
    assert_same(lambda m, a: [a.prod(), a.prod(0), a.prod(1, keepdim=True)], [values])
    assert_same_values(lambda m, a: [m.prod(a > 0, dtype=m.float32), m.prod(a, 1, dtype=m.float64)], [values])
