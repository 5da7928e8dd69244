"""The type of every operation's result under autocast on CPU is PyTorch's, from float32 and from bfloat16."""

from typing import Any

import numpy as np
import pytest

import framework as vh

pytestmark = pytest.mark.oracle


def cases(m: Any) -> dict[str, Any]:
    """Functions of one tensor (4, 4, 4), by name."""
    F, L = m.nn.functional, m.linalg
    classes = m.tensor([0, 1, 2, 3])
    signs = m.tensor([1.0, 1.0, 1.0, 1.0])
    eye = m.eye(4)
    return {
        # products
        "matmul": lambda x: x[0] @ x[0],
        "mm": lambda x: m.mm(x[0], x[0]),
        "bmm": lambda x: m.bmm(x, x),
        "mv": lambda x: m.mv(x[0], x[0, 0]),
        "dot": lambda x: m.dot(x[0, 0], x[0, 0]),
        "vdot": lambda x: m.vdot(x[0, 0], x[0, 0]),
        "outer": lambda x: m.outer(x[0, 0], x[0, 0]),
        "addmm": lambda x: m.addmm(x[0], x[0], x[0]),
        "addmm_mixed": lambda x: m.addmm(x[0].float(), x[0], x[0]),
        "addmv": lambda x: m.addmv(x[0, 0], x[0], x[0, 0]),
        "addr": lambda x: m.addr(x[0], x[0, 0], x[0, 0]),
        "baddbmm": lambda x: m.baddbmm(x, x, x),
        "addbmm": lambda x: m.addbmm(x[0], x, x),
        "linear": lambda x: F.linear(x, x[0], x[0, 0]),
        "linear_vector": lambda x: F.linear(x[0, 0], x[0]),
        "einsum": lambda x: m.einsum("bij,bjk->bik", x, x),
        "einsum_outer": lambda x: m.einsum("i,j->ij", x[0, 0], x[0, 0]),
        "einsum_sum": lambda x: m.einsum("ij->i", x[0]),
        "einsum_each": lambda x: m.einsum("ij,ij->ij", x[0], x[0]),
        "einsum_dot": lambda x: m.einsum("i,i->", x[0, 0], x[0, 0]),
        "tensordot": lambda x: m.tensordot(x[0], x[0], 1),
        "inner": lambda x: m.inner(x[0], x[0]),
        "kron": lambda x: m.kron(x[0], x[0]),
        "chain_matmul": lambda x: m.chain_matmul(x[0], x[0], x[0]),
        "multi_dot": lambda x: L.multi_dot([x[0], x[0], x[0]]),
        "vecdot": lambda x: L.vecdot(x, x),
        "bilinear": lambda x: F.bilinear(x[0], x[0], x),
        "float64": lambda x: x[0].double() @ x[0].double(),
        "conv1d": lambda x: F.conv1d(x, x[:2, :, :3]),
        "conv3d": lambda x: F.conv3d(x[None, None], x[None, None, :2, :2, :2]),
        "conv_transpose2d": lambda x: F.conv_transpose2d(x, x[:, :, :3].reshape(4, 4, 3, 1)),
        "prelu": lambda x: F.prelu(x, x[0, 0, :1]),
        "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
        # elementwise, reductions, norms
        "mul": lambda x: x * x,
        "exp": m.exp,
        "log": lambda x: m.log(x.abs() + 1),
        "pow": lambda x: x**2,
        "rsqrt": lambda x: m.rsqrt(x.abs() + 1),
        "atan2": lambda x: m.atan2(x, x),
        "addcmul": lambda x: m.addcmul(x, x, x),
        "lerp": lambda x: m.lerp(x, x, 0.5),
        "where": lambda x: m.where(x > 0, x, 0.0),
        "sum": m.sum,
        "mean": m.mean,
        "var": m.var,
        "prod": m.prod,
        "prod_dim": lambda x: m.prod(x, 1),
        "cumsum": lambda x: m.cumsum(x, 0),
        "cumprod": lambda x: m.cumprod(x, 0),
        "logsumexp": lambda x: m.logsumexp(x, 0),
        "softmax": lambda x: m.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "norm": lambda x: x.norm(),
        "vector_norm": L.vector_norm,
        "matrix_norm": L.matrix_norm,
        "layer_norm": lambda x: F.layer_norm(x, (4,), x[0, 0], x[0, 0]),
        "rms_norm": lambda x: F.rms_norm(x, (4,)),
        "group_norm": lambda x: F.group_norm(x, 2, x[0, 0], x[0, 0]),
        "instance_norm": F.instance_norm,
        "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
        "normalize": F.normalize,
        "renorm": lambda x: m.renorm(x, 2, 0, 1.0),
        "cov": lambda x: m.cov(x[0]),
        "corrcoef": lambda x: m.corrcoef(x[0]),
        "quantile": lambda x: m.quantile(x, 0.5),
        "trace": lambda x: m.trace(x[0]),
        "gelu": F.gelu,
        "silu": F.silu,
        "softplus": F.softplus,
        "glu": F.glu,
        "dropout": lambda x: F.dropout(x, 0.5),
        # joins
        "cat": lambda x: m.cat([x, x]),
        "cat_mixed": lambda x: m.cat([x, x.float()]),
        "stack": lambda x: m.stack([x, x]),
        "hstack": lambda x: m.hstack([x, x]),
        "index_copy": lambda x: m.index_copy(x, 0, classes[:1], x[:1]),
        "scatter_add": lambda x: m.scatter_add(x, 0, m.zeros(1, 4, 4, dtype=m.int64), x),
        "embedding": lambda x: F.embedding(classes, x[0]),
        "embedding_bag": lambda x: F.embedding_bag(classes, x[0], classes[:1]),
        # losses and distances
        "mse_loss": lambda x: F.mse_loss(x, x),
        "l1_loss": lambda x: F.l1_loss(x, x),
        "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x),
        "huber_loss": lambda x: F.huber_loss(x, x),
        "binary_cross_entropy": lambda x: F.binary_cross_entropy(x.sigmoid(), x.sigmoid()),
        "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x.sigmoid()),
        "cross_entropy": lambda x: F.cross_entropy(x[0], classes),
        "nll_loss": lambda x: F.nll_loss(x[0], classes),
        "kl_div": lambda x: F.kl_div(x, x.sigmoid(), reduction="batchmean"),
        "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(x[0], x[0], signs),
        "hinge_embedding_loss": lambda x: F.hinge_embedding_loss(x[0], signs),
        "margin_ranking_loss": lambda x: F.margin_ranking_loss(x[0, 0], x[0, 0], signs),
        "multi_margin_loss": lambda x: F.multi_margin_loss(x[0], classes),
        "multilabel_margin_loss": lambda x: F.multilabel_margin_loss(x[0], m.tensor([[0, 1, -1, 3]] * 4)),
        "soft_margin_loss": lambda x: F.soft_margin_loss(x, x.sign()),
        "triplet_margin_loss": lambda x: F.triplet_margin_loss(x[0], x[0] + 1, x[0] - 1),
        "poisson_nll_loss": lambda x: F.poisson_nll_loss(x, x),
        "gaussian_nll_loss": lambda x: F.gaussian_nll_loss(x, x, x.abs() + 1),
        "ctc_loss": lambda x: F.ctc_loss(
            x.log_softmax(-1), m.tensor([[1, 2]] * 4), m.tensor([4] * 4), m.tensor([2] * 4)
        ),
        "cdist": lambda x: m.cdist(x[0], x[1]),
        "dist": lambda x: m.dist(x[0], x[1]),
        "cosine_similarity": lambda x: F.cosine_similarity(x[0], x[1]),
        "pairwise_distance": lambda x: F.pairwise_distance(x[0], x[1]),
        # images
        "max_pool1d": lambda x: F.max_pool1d(x, 2),
        "max_pool2d": lambda x: F.max_pool2d(x, 2),
        "max_pool3d": lambda x: F.max_pool3d(x[None], 2),
        "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
        "avg_pool3d": lambda x: F.avg_pool3d(x[None], 2),
        "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 3),
        "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x[None], 2),
        "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
        "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x[None], 2),
        "fractional_max_pool2d": lambda x: F.fractional_max_pool2d(x, 2, output_size=2),
        "pad_constant": lambda x: F.pad(x, (1, 1)),
        "pad_circular": lambda x: F.pad(x, (1, 1), mode="circular"),
        "pad_reflect_1": lambda x: F.pad(x, (1, 1), mode="reflect"),
        "pad_reflect_2": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
        "pad_reflect_3": lambda x: F.pad(x[None], (1, 1, 1, 1, 1, 1), mode="reflect"),
        "pad_replicate_3": lambda x: F.pad(x[None], (1, 1, 1, 1, 1, 1), mode="replicate"),
        "nearest": lambda x: F.interpolate(x, scale_factor=2),
        "bilinear_image": lambda x: F.interpolate(x[None], scale_factor=2, mode="bilinear"),
        "trilinear": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="trilinear"),
        "grid_sample": lambda x: F.grid_sample(x[None], m.zeros(1, 2, 2, 2), align_corners=False),
        # linear algebra and Fourier transforms
        "fft": m.fft.fft,
        "rfft": m.fft.rfft,
        "stft": lambda x: m.stft(x.reshape(-1), 8, return_complex=True, window=m.ones(8)),
        "polar": lambda x: m.polar(x.float(), x.float()),
        "inv": lambda x: L.inv(x[0] + 10 * eye),
        "solve": lambda x: L.solve(x[0] + 10 * eye, x[0]),
        "svd": lambda x: L.svd(x[0])[1],
        "svdvals": lambda x: L.svdvals(x[0]),
        "qr": lambda x: L.qr(x[0])[0],
        "eigh": lambda x: L.eigh(x[0])[0],
        "cholesky": lambda x: L.cholesky(eye + 0 * x[0]),
        "matrix_rank": lambda x: L.matrix_rank(x[0]),
    }


@pytest.mark.parametrize("start", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(cases(vh)))
@pytest.mark.filterwarnings("ignore")  # torch warns of deprecated names
def test_result_types(name: str, start: str) -> None:
    import torch

    values = np.random.default_rng(0).standard_normal((4, 4, 4)).astype("float32")
    found = []
    for m in (vh, torch):
        x = m.tensor(values).to(getattr(m, start))
        with m.autocast("cpu", dtype=m.bfloat16):
            found.append(str(cases(m)[name](x).dtype).rpartition(".")[2])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "Encoder"])
def test_layers(name: str) -> None:
    """Types of outputs and states of layers that are made of many operations, and of their gradients."""
    import torch

    found: list[list[str]] = []
    for m in (vh, torch):
        if name == "Encoder":
            layer = m.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        else:
            layer = getattr(m.nn, name)(4, 6)
        x = m.ones(2, 4, requires_grad=True) if "Cell" in name else m.ones(3, 2, 4, requires_grad=True)
        with m.autocast("cpu", dtype=m.bfloat16):
            out = layer(x)
        items: list[Any] = [out]
        while any(isinstance(item, tuple) for item in items):
            items = [each for item in items for each in (item if isinstance(item, tuple) else (item,))]
        sum(item.float().sum() for item in items).backward()
        tensors = [*items, x.grad, *(parameter.grad for parameter in layer.parameters())]
        found.append([str(tensor.dtype).rpartition(".")[2] for tensor in tensors])
    assert found[0] == found[1]


def test_checkpointed_parts_run_again_in_their_region() -> None:
    from framework.utils.checkpoint import checkpoint

    weight = vh.nn.Parameter(vh.ones(3, 3))
    grads = []
    for part in (lambda f, x: checkpoint(f, x, use_reentrant=False), lambda f, x: f(x)):
        types = []

        def product(x: vh.Tensor, types: list[Any] = types) -> vh.Tensor:
            types.append((x @ weight).dtype)
            return (x @ weight).exp()

        with vh.autocast("cpu"):
            out = part(product, vh.ones(2, 3) / 3)
        out.float().sum().backward()
        assert set(types) == {vh.bfloat16}
        assert weight.grad is not None
        grads.append(weight.grad.numpy())
        weight.grad = None
    np.testing.assert_array_equal(*grads)
