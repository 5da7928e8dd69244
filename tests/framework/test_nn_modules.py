"""Modules against torch: values, gradients of input and parameters, state dicts by name, and repr."""

import re

import numpy as np
import pytest

import framework
from framework import nn

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")]

RNG = np.random.default_rng(0)

# name, constructor arguments, keyword arguments, input shape
CASES = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "dilation": 2}, (2, 4, 17)),
    ("Conv2d", (4, 6, (3, 2)), {"padding": "same", "groups": 2}, (2, 4, 8, 7)),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "reflect", "bias": False}, (2, 3, 6, 5)),
    ("Conv2d", (3, 4, (4, 3)), {"padding": "same", "padding_mode": "circular"}, (2, 3, 6, 5)),
    ("Conv3d", (2, 5, 3), {"padding": (0, 1, 1), "stride": (1, 2, 2)}, (2, 2, 5, 6, 7)),
    ("Conv3d", (2, 4, 1), {"padding": "valid"}, (1, 2, 3, 4, 5)),
    ("Conv3d", (4, 4, 3), {"padding": 1, "padding_mode": "replicate", "groups": 4}, (4, 4, 5, 6)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 9)),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": (2, 1), "groups": 2, "dilation": 2}, (2, 4, 5, 6)),
    ("ConvTranspose3d", (4, 3, 2), {"stride": 2}, (2, 4, 3, 4, 5)),
    ("ConvTranspose3d", (4, 3, (1, 2, 2)), {"stride": (1, 2, 2), "bias": False}, (2, 4, 3, 4, 5)),
    ("Linear", (5, 3), {}, (4, 2, 5)),
    ("Linear", (5, 3), {"bias": False}, (5,)),
    ("InstanceNorm1d", (4,), {}, (3, 4, 11)),
    ("InstanceNorm2d", (4,), {"affine": True, "eps": 1e-3}, (3, 4, 5, 6)),
    ("InstanceNorm3d", (4,), {"affine": True, "track_running_stats": True}, (3, 4, 3, 4, 5)),
    ("InstanceNorm3d", (4,), {"affine": True}, (4, 3, 4, 5)),
    ("BatchNorm1d", (4,), {}, (6, 4)),
    ("BatchNorm2d", (4,), {"momentum": None}, (3, 4, 5, 6)),
    ("BatchNorm3d", (4,), {"affine": False}, (3, 4, 3, 4, 5)),
    ("BatchNorm2d", (4,), {"track_running_stats": False, "bias": False}, (3, 4, 5, 6)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
    ("GroupNorm", (3, 6), {"affine": False}, (3, 6, 7)),
    ("LayerNorm", ((4, 5),), {}, (2, 3, 4, 5)),
    ("LayerNorm", (5,), {"bias": False}, (2, 3, 5)),
    ("ReLU", (), {}, (3, 4)),
    ("ReLU", (True,), {}, (3, 4)),
    ("ReLU6", (), {}, (3, 4)),
    ("LeakyReLU", (0.2,), {}, (3, 4)),
    ("LeakyReLU", (0.2, True), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", (), {"approximate": "tanh"}, (3, 4)),
    ("SiLU", (), {}, (3, 4)),
    ("SiLU", (True,), {}, (3, 4)),
    ("Mish", (), {}, (3, 4)),
    ("SELU", (), {}, (3, 4)),
    ("ELU", (0.7,), {}, (3, 4)),
    ("Hardsigmoid", (), {}, (3, 4)),
    ("Hardswish", (), {}, (3, 4)),
    ("Hardtanh", (-0.5, 0.7), {}, (3, 4)),
    ("PReLU", (), {}, (3, 4)),
    ("PReLU", (4,), {"init": 0.1}, (3, 4, 5)),
    ("Sigmoid", (), {}, (3, 4)),
    ("LogSigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softsign", (), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4, 5)),
    ("LogSoftmax", (-1,), {}, (3, 4, 5)),
    ("Softmin", (1,), {}, (3, 4)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 11)),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True}, (2, 3, 7, 8)),
    ("MaxPool3d", (2,), {"stride": 1, "dilation": 2}, (2, 3, 5, 6, 7)),
    ("AvgPool1d", (3,), {"padding": 1}, (2, 3, 11)),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False, "stride": 2}, (2, 3, 7, 8)),
    ("AvgPool3d", (2,), {"divisor_override": 3}, (2, 3, 4, 5, 6)),
    ("AdaptiveAvgPool1d", (4,), {}, (2, 3, 11)),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, (2, 3, 5, 7)),
    ("AdaptiveAvgPool3d", (1,), {}, (2, 3, 4, 5, 6)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("Upsample", (), {"size": (5, 6, 7), "mode": "trilinear", "align_corners": False}, (2, 2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": (2, 1.5), "mode": "bilinear", "align_corners": True}, (2, 2, 4, 6)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (), {"start_dim": 0, "end_dim": 1}, (2, 3, 4)),
    ("Unflatten", (1, (2, 3)), {}, (2, 6, 4)),
    ("Identity", (1, 2), {"anything": 3}, (2, 3)),
    ("Dropout", (0.3,), {"inplace": True}, (3, 4)),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]


def load_from_torch(ours, theirs):
    """Copy torch's state by name; also proves that the names and shapes agree."""
    keys = ours.load_state_dict({key: value.detach().numpy().copy() for key, value in theirs.state_dict().items()})
    assert str(keys) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())


def both_ways(ours, theirs, *arrays, tolerance=2e-5):
    """Same output, same gradients of inputs and parameters, same buffers afterwards."""
    xs = [framework.from_numpy(a.copy()).requires_grad_() for a in arrays]
    ts = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    # In-place modules may not write to a leaf: give them a result.
    y, u = ours(*(x * 1.0 for x in xs)), theirs(*(t * 1.0 for t in ts))
    assert tuple(y.shape) == tuple(u.shape)
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=tolerance, atol=tolerance)
    g = RNG.standard_normal(tuple(u.shape)).astype(np.float32)
    y.backward(framework.from_numpy(g))
    u.backward(torch.from_numpy(g))
    for x, t in zip(xs, ts):
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance)
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=10 * tolerance, atol=1e-4, err_msg=name)
    for (name, b), (other, c) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert name == other
        np.testing.assert_allclose(b.numpy(), c.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


def scramble(module):
    """Parameters away from special values such as a scale of one."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), CASES, ids=IDS)
def test_module_equals_torch(name, args, kwargs, shape):
    torch.manual_seed(1)
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    scramble(theirs)
    load_from_torch(ours, theirs)
    x = (RNG.standard_normal(shape) * 2).astype(np.float32)
    if name.startswith("Dropout"):
        ours.eval()
        theirs.eval()
    both_ways(ours, theirs, x)
    if list(theirs.buffers()):  # running statistics in use
        for module in (ours, theirs):
            module.eval()
            module.zero_grad()
        both_ways(ours, theirs, x)


LOSSES = [
    ("L1Loss", {}, "same"),
    ("MSELoss", {"reduction": "sum"}, "same"),
    ("SmoothL1Loss", {"beta": 0.5}, "same"),
    ("HuberLoss", {"delta": 0.5}, "same"),
    ("KLDivLoss", {"reduction": "batchmean"}, "probability"),
    ("NLLLoss", {"ignore_index": 1}, "classes"),
    ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", {"weight": [0.2, 1.0, 3.0], "ignore_index": 2, "reduction": "none"}, "classes"),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "weight": [0.2, 1.0, 3.0]}, "classes"),
    ("CrossEntropyLoss", {}, "probability"),
    ("BCEWithLogitsLoss", {}, "probability"),
    ("BCEWithLogitsLoss", {"pos_weight": [2.0, 1.0, 0.5], "reduction": "none"}, "channels last"),
]


@pytest.mark.parametrize(("name", "kwargs", "target"), LOSSES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(LOSSES)])
def test_loss_equals_torch(name, kwargs, target):
    x = RNG.standard_normal((4, 3, 5, 3) if target == "channels last" else (4, 3, 5)).astype(np.float32)
    if target == "classes":
        t = RNG.integers(0, 3, (4, 5))
    elif target == "same":
        t = RNG.standard_normal(x.shape).astype(np.float32)
    else:
        t = RNG.random(x.shape).astype(np.float32)
        t /= t.sum(1, keepdims=True)

    def build(library, tensor):
        tensors = {k: tensor(v) if isinstance(v, list) else v for k, v in kwargs.items()}
        return getattr(library.nn, name)(**tensors)

    ours, theirs = build(framework, framework.tensor), build(torch, torch.tensor)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    a, b = framework.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    y, u = ours(a, framework.from_numpy(t)), theirs(b, torch.from_numpy(t))
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    u.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_embedding_equals_torch():
    ours, theirs = nn.Embedding(7, 3, padding_idx=-2), torch.nn.Embedding(7, 3, padding_idx=-2)
    assert repr(ours) == repr(theirs)
    assert not ours.weight.detach().numpy()[5].any()
    load_from_torch(ours, theirs)
    index = np.array([[0, 5, 3], [5, 3, 3]])
    y, u = ours(framework.from_numpy(index)), theirs(torch.from_numpy(index))
    np.testing.assert_array_equal(y.detach().numpy(), u.detach().numpy())
    y.square().sum().backward()
    u.square().sum().backward()
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-6)
    frozen = nn.Embedding.from_pretrained(framework.ones(4, 2))
    assert not frozen.weight.requires_grad


def test_bilinear_equals_torch():
    ours, theirs = nn.Bilinear(3, 4, 5), torch.nn.Bilinear(3, 4, 5)
    load_from_torch(ours, theirs)
    both_ways(ours, theirs, *(RNG.standard_normal((6, n)).astype(np.float32) for n in (3, 4)))


@pytest.mark.parametrize("groups", [None, 2])
@pytest.mark.parametrize("slope", [0.01, 0.0, 1.0])
def test_norm_act_is_norm_then_leaky_relu(groups, slope):
    ours = nn.NormAct(6, negative_slope=slope, groups=groups)
    norm = torch.nn.InstanceNorm3d(6, affine=True) if groups is None else torch.nn.GroupNorm(groups, 6)
    scramble(norm)
    load_from_torch(ours, norm)
    theirs = torch.nn.Sequential(norm, torch.nn.LeakyReLU(slope))
    x = RNG.standard_normal((2, 6, 3, 4, 5)).astype(np.float32)
    reference = torch.from_numpy(x).requires_grad_()
    mine = framework.from_numpy(x).requires_grad_()
    y, u = ours(mine), theirs(reference)
    np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-5, atol=1e-5)
    y.square().sum().backward()
    u.square().sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), reference.grad.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.weight.grad.numpy(), norm.weight.grad.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.bias.grad.numpy(), norm.bias.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_norm_of_a_single_value_is_refused():
    with pytest.raises(ValueError, match="more than 1"):
        nn.NormAct(4)(framework.ones(2, 4, 1, 1, 1))
    with pytest.raises(ValueError, match="more than 1"):
        nn.InstanceNorm3d(4)(framework.ones(2, 4, 1, 1, 1))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_dropout_drops_whole_channels_and_keeps_the_mean(dims):
    framework.manual_seed(0)
    module = getattr(nn, f"Dropout{dims}d")(0.25)
    y = module(framework.ones(64, 50, *(2,) * dims)).numpy().reshape(64, 50, -1)
    assert (y == y[..., :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    assert abs((y == 0).mean() - 0.25) < 0.03
    assert module.eval()(framework.ones(2, 2, *(2,) * dims)).numpy().min() == 1


def test_transposed_convolution_takes_an_output_size():
    ours, theirs = nn.ConvTranspose2d(2, 3, 3, stride=2), torch.nn.ConvTranspose2d(2, 3, 3, stride=2)
    load_from_torch(ours, theirs)
    x = RNG.standard_normal((1, 2, 4, 4)).astype(np.float32)
    wanted = theirs(torch.from_numpy(x), output_size=(10, 9)).detach().numpy()
    np.testing.assert_allclose(ours(framework.from_numpy(x), output_size=(10, 9)).detach().numpy(), wanted, atol=1e-5)
    with pytest.raises(ValueError, match=re.escape("valid sizes range from 9 to 10")):
        ours(framework.from_numpy(x), output_size=(11, 9))


def test_unusable_settings_are_refused():
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.Conv2d(3, 4, 1, groups=2)
    with pytest.raises(ValueError, match="strided"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="one per spatial dimension"):
        nn.Conv3d(3, 4, (3, 3))
    with pytest.raises(ValueError, match="zeros"):
        nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect")
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(1.5)
    with pytest.raises(ValueError, match="expected 5D input"):
        nn.BatchNorm3d(3)(framework.ones(2, 3, 4, 5))
    with pytest.raises(ValueError, match="num_features"):
        nn.InstanceNorm2d(3, affine=True)(framework.ones(2, 4, 4, 5))
