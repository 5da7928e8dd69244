"""The U-Net: names and counts of nnU-Net, values against torch, sizes it accepts and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

import framework
from framework import nn
from medimg.networks import UNet

REFERENCE = Path(__file__).parents[3] / "shared/conformance/state_dicts/nnunet_PlainConvUNet_6stage.json"


def small(**settings):
    return UNet(**{"features": (4, 6, 8), "strides": (1, 2, 2), "out_channels": 3, **settings})


def test_names_shapes_and_count_are_nnunets():
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE.name} is not here")
    reference = json.loads(REFERENCE.read_text())
    config = reference["config"]
    net = UNet(
        3,
        config["input_channels"],
        config["num_classes"],
        config["features_per_stage"],
        config["strides"],
        config["kernel_sizes"],
        convs_per_stage=config["n_conv_per_stage"],
        convs_per_decoder_stage=config["n_conv_per_stage_decoder"],
    )
    assert sum(p.numel() for p in net.parameters()) == reference["n_params"] == 31_196_399
    ours = {name: list(p.shape) for name, p in net.state_dict().items()}
    theirs = reference["state_dict"]
    assert ours.items() <= theirs.items()
    assert all(".all_modules." in name or name.startswith("decoder.encoder.") for name in theirs.keys() - ours.keys())
    zeros = {name: np.zeros(shape, np.float32) for name, shape in theirs.items()}
    assert str(net.load_state_dict(zeros)) == "<All keys matched successfully>"
    assert not any(p.detach().numpy().any() for p in net.parameters())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_output_has_the_size_of_the_input(dims):
    net = small(spatial_dims=dims, in_channels=2)
    assert net.divisor == (4,) * dims
    size = (8, 12, 16)[:dims]
    assert tuple(net(framework.randn(2, 2, *size)).shape) == (2, 3, *size)


def test_deep_supervision_gives_every_level_in_training_only():
    net = small(deep_supervision=True)
    x = framework.randn(1, 1, 8, 8, 16)
    outputs = net(x)
    assert [tuple(y.shape) for y in outputs] == [(1, 3, 8, 8, 16), (1, 3, 4, 4, 8)]
    plain = net.eval()(x)
    np.testing.assert_array_equal(plain.detach().numpy(), outputs[0].detach().numpy())
    without = small()
    without.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(without(x).detach().numpy(), plain.detach().numpy())


def test_anisotropic_strides_and_kernels():
    net = small(strides=(1, (1, 2, 2), (2, 2, 2)), kernel_sizes=((1, 3, 3), (1, 3, 3), (3, 3, 3)))
    assert net.divisor == (2, 4, 4)
    assert tuple(net.encoder.stages[0][0].convs[0].conv.weight.shape) == (4, 1, 1, 3, 3)
    assert tuple(net.decoder.transpconvs[1].weight.shape) == (6, 4, 1, 2, 2)
    assert tuple(net(framework.randn(1, 1, 6, 8, 12)).shape) == (1, 3, 6, 8, 12)


def test_sizes_that_cannot_pass_are_named():
    net = small()
    with pytest.raises(
        ValueError, match=r"\(8, 10, 16\) must be a multiple of \(4, 4, 4\) on each axis: pad it to \(8, 12, 16\)"
    ):
        net(framework.zeros(1, 1, 8, 10, 16))
    with pytest.raises(ValueError, match="single voxel at the lowest level"):
        net(framework.zeros(1, 1, 4, 4, 4))
    with pytest.raises(ValueError, match="takes 1 channels, got 2"):
        net(framework.zeros(1, 2, 8, 8, 8))
    with pytest.raises(ValueError, match="5 dimensions"):
        net(framework.zeros(1, 8, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims must be 1, 2 or 3"),
        ({"features": (4,)}, "at least two stages"),
        ({"strides": (1, 2)}, r"strides must have one entry per stage \(3\), got 2"),
        ({"strides": (2, 2, 2)}, "first stride must be 1"),
        ({"strides": (1, (2, 2), 2)}, "each of strides"),
        ({"kernel_sizes": 2}, "must be odd"),
        ({"kernel_sizes": (3, 3)}, "kernel_sizes must have one entry"),
        ({"convs_per_stage": 0}, "convs_per_stage must be a positive number or 3"),
        ({"convs_per_decoder_stage": (1, 1, 1)}, "convs_per_decoder_stage must be a positive number or 2"),
    ],
)
def test_impossible_plans_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_initial_values_are_he_and_zero():
    framework.manual_seed(0)
    net = small(features=(16, 32, 32))
    weight = net.encoder.stages[1][0].convs[1].conv.weight.detach().numpy()
    assert weight.var() == pytest.approx(2 / (1 + 0.01**2) / (32 * 27), rel=0.03)
    for name, p in net.named_parameters():
        if name.endswith("bias"):
            assert not p.detach().numpy().any()
        if name.endswith("norm.weight"):
            assert (p.detach().numpy() == 1).all()


def torch_unet(torch, config):
    """The same network written down in torch, for anisotropic and isotropic plans."""
    tnn = torch.nn

    class Block(tnn.Module):
        def __init__(self, i, o, k, s):
            super().__init__()
            self.conv = tnn.Conv3d(i, o, k, s, tuple(n // 2 for n in k))
            self.norm = tnn.InstanceNorm3d(o, affine=True)

        def forward(self, x):
            return tnn.functional.leaky_relu(self.norm(self.conv(x)), 0.01)

    class Stack(tnn.Module):
        def __init__(self, i, o, k, s):
            super().__init__()
            self.convs = tnn.Sequential(Block(i, o, k, s), Block(o, o, k, (1, 1, 1)))

        def forward(self, x):
            return self.convs(x)

    class Part(tnn.Module):
        pass

    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            features, strides, kernels = config["features"], config["strides"], config["kernel_sizes"]
            channels = (1, *features)
            self.encoder, self.decoder = Part(), Part()
            self.encoder.stages = tnn.Sequential(
                *(tnn.Sequential(Stack(channels[i], features[i], kernels[i], strides[i])) for i in range(len(features)))
            )
            n = len(features)
            order = list(reversed(range(n - 1)))
            self.decoder.stages = tnn.ModuleList(
                Stack(2 * features[i], features[i], kernels[i], (1, 1, 1)) for i in order
            )
            self.decoder.transpconvs = tnn.ModuleList(
                tnn.ConvTranspose3d(features[i + 1], features[i], strides[i + 1], strides[i + 1]) for i in order
            )
            self.decoder.seg_layers = tnn.ModuleList(tnn.Conv3d(features[i], 3, 1) for i in order)

        def forward(self, x):
            skips = []
            for stage in self.encoder.stages:
                x = stage(x)
                skips.append(x)
            outputs = []
            parts = zip(self.decoder.transpconvs, self.decoder.stages, self.decoder.seg_layers)
            for i, (up, stage, head) in enumerate(parts):
                x = stage(torch.cat([up(x), skips[-2 - i]], 1))
                outputs.append(head(x))
            return outputs[::-1]

    return Net()


@pytest.mark.oracle
def test_values_and_gradients_equal_torch():
    torch = pytest.importorskip("torch")
    config = {
        "features": (4, 6, 8),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
        "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    }
    torch.manual_seed(0)
    theirs = torch_unet(torch, config)
    ours = UNet(out_channels=3, deep_supervision=True, **config)
    ours.load_state_dict({name: p.detach().numpy().copy() for name, p in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 8, 12)).astype(np.float32)
    mine, reference = framework.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    outputs, wanted = ours(mine), theirs(reference)
    for y, u in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-3, atol=1e-4)
    sum((y * y).mean() for y in outputs).backward()
    sum((u * u).mean() for u in wanted).backward()
    np.testing.assert_allclose(mine.grad.numpy(), reference.grad.numpy(), rtol=1e-2, atol=1e-5)
    for (name, p), (other, q) in zip(sorted(ours.named_parameters()), sorted(theirs.named_parameters()), strict=True):
        assert name == other
        # A bias before instance norm has the gradient zero up to rounding.
        scale = max(float(q.grad.abs().max()), 1e-3)
        np.testing.assert_allclose(p.grad.numpy() / scale, q.grad.numpy() / scale, atol=2e-3, err_msg=name)


def test_learns_a_small_shape():
    """A bright box in noise is found after a few steps: forward, backward and optimizer work together."""
    framework.manual_seed(0)
    rng = np.random.default_rng(0)
    net = UNet(2, 1, 2, (8, 16), (1, 2), 3)
    optimizer = framework.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        label = np.zeros((4, 16, 16), np.int64)
        for picture in label:
            i, j = rng.integers(0, 9, 2)
            picture[i : i + 7, j : j + 7] = 1
        image = (label + rng.normal(0, 0.5, label.shape)).astype(np.float32)[:, None]
        logits = net(framework.from_numpy(image))
        loss = nn.functional.cross_entropy(logits, framework.from_numpy(label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (logits.detach().numpy().argmax(1) == label).mean() > 0.93
