"""Whole networks under autocast: types and values beside PyTorch's, and trainings that converge as in float32."""

from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.nn import functional as F
from tests.support.small_networks import transformer, unet

NETWORKS: dict[str, Any] = {
    "unet2d_instance": (lambda m: unet(m, 2, "InstanceNorm"), (2, 1, 16, 16)),
    "unet3d_batch": (lambda m: unet(m, 3, "BatchNorm"), (2, 1, 8, 8, 8)),
    "unet3d_group": (lambda m: unet(m, 3, "GroupNorm"), (2, 1, 8, 8, 8)),
    "transformer": (transformer, (4, 10)),
}


def passed(m: Any, network: Any, x: Any, y: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Every module's output, in the order of their calls, and the loss; gradients are left in the parameters."""
    seen: list[tuple[str, Any]] = []
    for name, module in network.named_modules():
        if name and (not list(module.children()) or name == "attend"):
            module.register_forward_hook(
                lambda _, inputs, out, name=name: seen.append((name, out[0] if isinstance(out, tuple) else out))
            )
    with m.autocast("cpu", dtype=m.bfloat16):
        out = network(m.tensor(x))
        loss = m.nn.functional.cross_entropy(out.transpose(1, 2) if out.ndim == 3 else out, m.tensor(y))
    loss.backward()
    return seen, loss


@pytest.mark.oracle
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_intermediate_beside_torch(name: str) -> None:
    import torch

    build, size = NETWORKS[name]
    stream = np.random.default_rng(0)
    if name == "transformer":
        x, y = stream.integers(0, 8, size), stream.integers(0, 8, size)
    else:
        x, y = stream.standard_normal(size).astype("float32"), stream.integers(0, 2, (size[0], *size[2:]))
    torch.manual_seed(0)
    theirs, ours = build(torch), build(vh)
    ours.load_state_dict({key: vh.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    seen, loss = passed(vh, ours, x, y)
    expected, expected_loss = passed(torch, theirs, x, y)
    assert float(loss.detach()) == pytest.approx(float(expected_loss.detach()), rel=2e-3)
    for (mine, value), (reference, other) in zip(seen, expected, strict=True):
        assert (mine, value.dtype.name) == (reference, str(other.dtype).removeprefix("torch."))
        other = other.detach().float().numpy()
        np.testing.assert_allclose(value.detach().float().numpy(), other, rtol=0, atol=0.02 * np.abs(other).max())
    grads = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    largest = max(np.abs(grad).max() for grad in grads.values())
    for key, parameter in ours.named_parameters():
        assert parameter.grad.dtype is vh.float32
        allowed = 0.1 * np.abs(grads[key]).max() + 0.002 * largest  # a bias before a norm has only rounding errors
        np.testing.assert_allclose(parameter.grad.numpy(), grads[key], rtol=0, atol=allowed, err_msg=key)


def losses(kind: str, network: str, steps: int) -> list[float]:
    """A training in a type ("float16" with a scaler); the losses of its steps."""
    vh.manual_seed(0)
    model = unet(vh, 2, "InstanceNorm", 8) if network == "unet" else transformer(vh)
    optimizer = vh.optim.AdamW(model.parameters(), 1e-2)
    scaler = vh.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=10, enabled=kind == "float16")
    stream = np.random.default_rng(0)
    found = []
    for _ in range(steps):
        if network == "unet":  # squares brighter than the noise around them
            y = np.zeros((4, 16, 16), np.int64)
            for image in y:
                row, column = stream.integers(0, 8, 2)
                image[row : row + 8, column : column + 8] = 1
            x = (y + 0.7 * stream.standard_normal(y.shape)).astype("float32")[:, None]
        else:  # the symbol that comes most often in the sequence
            x = stream.integers(0, 8, (16, 12))
            y = np.repeat([[np.bincount(row, minlength=8).argmax()] for row in x], 12, 1)
        with vh.autocast("cpu", dtype=vh.float16 if kind == "float16" else vh.bfloat16, enabled=kind != "float32"):
            out = model(vh.tensor(x))
            loss = F.cross_entropy(out if network == "unet" else out.transpose(1, 2), vh.tensor(y))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        found.append(float(loss.detach()))
    if kind == "float16":
        assert scaler.get_scale() < 2.0**24  # the first gradients overflowed, and their steps were left out
    return found


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize(("network", "steps"), [("unet", 40), ("transformer", 70)])
def test_training_converges_as_in_float32(network: str, steps: int, kind: str) -> None:
    exact, mixed = losses("float32", network, steps), losses(kind, network, steps)
    last = np.mean(exact[-10:]), np.mean(mixed[-10:])
    assert last[0] < 0.7 * exact[0]
    assert last[1] == pytest.approx(last[0], rel=0.2)
