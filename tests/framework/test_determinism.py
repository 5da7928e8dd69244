"""The same bytes on one, two and three threads, in every run, and beside another caller of the kernels."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.backends.cpu import memory
from framework.backends.cpu import threads as pool
from framework.nn import functional as F
from tests.support.small_networks import transformer, unet


@pytest.fixture(autouse=True)
def poisoned_and_restored() -> Iterator[None]:
    """Memory that a kernel forgets to write holds NaN, and would show."""
    threads, before = vh.get_num_threads(), memory.poison
    memory.poison = True
    yield
    memory.poison = before
    vh.set_num_threads(threads)


drawn: list[vh.Tensor] = []  # the leaves of the computation under test


def draw(*shape: int, seed: int = 0, kind: str = "float32") -> vh.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape).astype(kind)
    drawn.append(vh.tensor(values, requires_grad=True))
    return drawn[-1]


def places(high: int, *shape: int) -> vh.Tensor:
    return vh.tensor(np.random.default_rng(5).integers(0, high, shape))


def conv(rank: int, **options: Any) -> Callable[[str], Any]:
    def run(kind: str) -> Any:
        x = draw(2, 6, *(33, 21, 19)[:rank], kind=kind)
        weight = draw(8, 6 // options.get("groups", 1), *(3,) * rank, seed=1, kind=kind)
        return F.__dict__[f"conv{rank}d"](x, weight, draw(8, seed=2, kind=kind), padding=1, **options)

    return run


def conv_transpose(kind: str) -> Any:
    x, weight = draw(2, 8, 9, 10, 11, kind=kind), draw(8, 5, 3, 3, 3, seed=1, kind=kind)
    return F.conv_transpose3d(x, weight, stride=2, padding=1)


FAMILIES: dict[str, Callable[[str], Any]] = {
    "conv1d": conv(1),
    "conv2d": conv(2, stride=2),
    "conv3d": conv(3),
    "conv3d_dilated_groups": conv(3, dilation=2, groups=2),
    "conv_transpose3d": conv_transpose,
    "matmul": lambda kind: draw(130, 70, kind=kind) @ draw(70, 90, seed=1, kind=kind),
    "matmul_transposed": lambda kind: draw(70, 130, kind=kind).T @ draw(90, 70, seed=1, kind=kind).T,
    "matmul_batched": lambda kind: draw(3, 40, 50, kind=kind) @ draw(3, 50, 60, seed=1, kind=kind),
    "matmul_few_rows": lambda kind: draw(2, 500, kind=kind) @ draw(500, 300, seed=1, kind=kind),
    "linear": lambda kind: F.linear(
        draw(7, 33, 64, kind=kind), draw(48, 64, seed=1, kind=kind), draw(48, seed=2, kind=kind)
    ),
    "instance_norm": lambda kind: F.instance_norm(draw(2, 5, 37, 41, kind=kind)),
    "group_norm": lambda kind: F.group_norm(
        draw(2, 6, 37, 41, kind=kind), 2, draw(6, seed=1, kind=kind), draw(6, seed=2, kind=kind)
    ),
    "batch_norm": lambda kind: F.batch_norm(draw(4, 6, 37, 41, kind=kind), None, None, training=True),
    "layer_norm": lambda kind: F.layer_norm(draw(300, 130, kind=kind), (130,), draw(130, seed=1, kind=kind)),
    "max_pool3d": lambda kind: F.max_pool3d(draw(2, 3, 20, 22, 18, kind=kind), 2),
    "max_pool2d_overlapping": lambda kind: F.max_pool2d(draw(2, 3, 70, 80, kind=kind), 3, 2, 1),
    "avg_pool3d": lambda kind: F.avg_pool3d(draw(2, 3, 20, 22, 18, kind=kind), 3, 2, 1),
    "adaptive_avg_pool2d": lambda kind: F.adaptive_avg_pool2d(draw(2, 3, 50, 60, kind=kind), 7),
    "interpolate": lambda kind: F.interpolate(draw(1, 2, 12, 13, 14, kind=kind), scale_factor=2, mode="trilinear"),
    "grid_sample": lambda kind: F.grid_sample(
        draw(2, 3, 20, 20, kind=kind), draw(2, 30, 30, 2, seed=1, kind=kind).tanh(), align_corners=False
    ),
    "cross_entropy": lambda kind: F.cross_entropy(
        draw(2, 5, 40, 50, kind=kind), places(5, 2, 40, 50), reduction="none"
    ),
    "cross_entropy_mean": lambda kind: F.cross_entropy(draw(2000, 5, kind=kind), places(5, 2000)),
    "mse_loss": lambda kind: F.mse_loss(draw(300, 300, kind=kind), draw(300, 300, seed=1, kind=kind)),
    "bce": lambda kind: F.binary_cross_entropy_with_logits(draw(90000, kind=kind), draw(90000, seed=1, kind=kind) > 0),
    "leaky_relu": lambda kind: F.leaky_relu(draw(400, 401, kind=kind)),
    "softmax": lambda kind: draw(300, 301, kind=kind).softmax(-1),
    "attention": lambda kind: F.scaled_dot_product_attention(
        *(draw(2, 4, 65, 16, seed=seed, kind=kind) for seed in range(3))
    ),
    "sum": lambda kind: draw(500, 501, kind=kind).sum(),
    "sum_rows": lambda kind: draw(500, 501, kind=kind).sum(0),
    "sum_columns": lambda kind: draw(500, 501, kind=kind).sum(1),
    "sum_channels": lambda kind: draw(2, 8, 30, 31, 32, kind=kind).sum((0, 2, 3, 4)),
    "mean_var": lambda kind: draw(500, 501, kind=kind).var() + draw(500, 501, kind=kind).mean(),
    "cumsum": lambda kind: draw(400, 300, kind=kind).cumsum(0),
    "logsumexp": lambda kind: draw(400, 300, kind=kind).logsumexp(1),
    "scatter_add": lambda kind: vh.scatter_add(
        draw(20, 50, kind=kind), 0, places(20, 3000, 50), draw(3000, 50, seed=1, kind=kind)
    ),
    "index_add": lambda kind: draw(20, 50, kind=kind).index_add(
        0, places(20, 3000), draw(3000, 50, seed=1, kind=kind)
    ),
    "gather": lambda kind: draw(20, 50, kind=kind).gather(0, places(20, 3000, 50)),
    "embedding": lambda kind: F.embedding(places(40, 5000), draw(40, 16, kind=kind)),
    "index": lambda kind: draw(40, 16, kind=kind)[places(40, 5000)],
}  # fmt: skip


def everything(run: Callable[[], Any]) -> list[bytes]:
    """The bytes of a result and of the gradients of all that was drawn for it."""
    drawn.clear()
    out = run()
    weights = np.random.default_rng(9).standard_normal(tuple(out.shape)).astype(out.detach().numpy().dtype)
    out.backward(vh.tensor(weights))
    grads = [leaf.grad.numpy() for leaf in drawn if leaf.grad is not None]
    assert grads
    arrays = [out.detach().numpy(), *grads]
    assert all(np.isfinite(array).all() for array in arrays)
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_same_bytes_on_any_number_of_threads(family: str, kind: str) -> None:
    reference: list[bytes] | None = None
    for threads in (1, 2, 3, 1, 3, 2):
        vh.set_num_threads(threads)
        found = everything(lambda: FAMILIES[family](kind))
        reference = reference or found
        assert found == reference, f"{threads} threads"


def test_the_threads_asked_for_do_run() -> None:
    vh.set_num_threads(3)
    FAMILIES["conv3d"]("float32")
    assert len(pool._workers) >= 2


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adam", "RMSprop", "Adagrad", "NAdam"])
def test_optimizers(name: str) -> None:
    found = set()
    for threads in (1, 2, 3, 2):
        vh.set_num_threads(threads)
        params = [vh.nn.Parameter(draw(size, seed=size).detach()) for size in (3, 70_001, 33_000)]
        optimizer = getattr(vh.optim, name)(params, lr=0.01, weight_decay=0.1)
        for step in range(3):
            for number, param in enumerate(params):
                param.grad = draw(*param.shape, seed=10 * step + number).detach()
            optimizer.step()
        found.add(b"".join(param.detach().numpy().tobytes() for param in params))
    assert len(found) == 1


def trained(threads: int, network: str) -> bytes:
    """The parameters after a few steps of training."""
    vh.set_num_threads(threads)
    vh.manual_seed(0)
    model = unet(vh, 3, "InstanceNorm", 8) if network == "unet" else transformer(vh)
    optimizer = vh.optim.AdamW(model.parameters(), 1e-2)
    stream = np.random.default_rng(1)
    for _ in range(3):
        if network == "unet":
            x = vh.tensor(stream.standard_normal((1, 1, 16, 24, 20)).astype("float32"))
            loss = F.cross_entropy(model(x), vh.tensor(stream.integers(0, 2, (1, 16, 24, 20))))
        else:
            symbols = vh.tensor(stream.integers(0, 8, (16, 20)))
            loss = F.cross_entropy(model(symbols).transpose(1, 2), symbols)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_training(network: str) -> None:
    assert len({trained(threads, network) for threads in (1, 2, 3, 2)}) == 1


def test_beside_another_caller() -> None:
    """Two threads that train at once share the kernels' pool, and neither changes what the other computes."""
    alone = trained(2, "unet")
    found: list[bytes] = []
    workers = [threading.Thread(target=lambda: found.append(convolved())) for _ in range(3)]
    expected = convolved()
    for worker in workers:
        worker.start()
    beside = trained(2, "unet")
    for worker in workers:
        worker.join()
    assert beside == alone
    assert found == [expected] * 3


def convolved() -> bytes:
    out = b""
    for seed in range(5):
        x, weight = draw(1, 4, 20, 20, 20, seed=seed), draw(6, 4, 3, 3, 3, seed=seed + 1)
        y = F.conv3d(x, weight, padding=1)
        y.backward(y.detach())
        assert weight.grad is not None
        out += y.detach().numpy().tobytes() + weight.grad.numpy().tobytes()
    return out


def test_switches_have_torchs_names() -> None:
    assert vh.get_deterministic_debug_mode() == 0
    try:
        vh.use_deterministic_algorithms(True, warn_only=True)
        assert vh.are_deterministic_algorithms_enabled()
        assert vh.is_deterministic_algorithms_warn_only_enabled()
        vh.set_deterministic_debug_mode("error")
        assert vh.get_deterministic_debug_mode() == 2
        assert not vh.is_deterministic_algorithms_warn_only_enabled()
        with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
            vh.set_deterministic_debug_mode("loud")
        with pytest.raises(RuntimeError, match="expected 0, 1, or 2"):
            vh.set_deterministic_debug_mode(3)
        with pytest.raises(TypeError, match="must be bool"):
            vh.use_deterministic_algorithms(1)  # type: ignore[arg-type]
    finally:
        vh.use_deterministic_algorithms(False)
    assert not vh.are_deterministic_algorithms_enabled()
