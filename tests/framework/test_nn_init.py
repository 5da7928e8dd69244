"""Initial values against the distributions they claim."""

import math

import numpy as np
import pytest

import framework
from framework import nn


def drawn(fill, *args, shape=(300, 200), **kwargs):
    framework.manual_seed(3)
    tensor = framework.empty(*shape)
    assert fill(tensor, *args, **kwargs) is tensor
    return tensor.numpy()


def test_uniform_and_normal():
    u = drawn(nn.init.uniform_, -2.0, 3.0)
    assert u.min() >= -2
    assert u.max() < 3
    assert abs(u.mean() - 0.5) < 0.02
    n = drawn(nn.init.normal_, 1.0, 0.5)
    assert abs(n.mean() - 1) < 0.01
    assert abs(n.std() - 0.5) < 0.01


@pytest.mark.parametrize(
    ("fill", "kwargs", "variance", "uniform"),
    [
        (nn.init.kaiming_uniform_, {"a": math.sqrt(5)}, 2 / (1 + 5) / 200, True),
        (nn.init.kaiming_normal_, {"a": 0.01}, 2 / (1 + 1e-4) / 200, False),
        (nn.init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "relu"}, 2 / 300, False),
        (nn.init.xavier_uniform_, {"gain": 2.0}, 4 * 2 / 500, True),
        (nn.init.xavier_normal_, {}, 2 / 500, False),
    ],
)
def test_variances_of_glorot_and_he(fill, kwargs, variance, uniform):
    values = drawn(fill, **kwargs)
    assert abs(values.mean()) < 5 * math.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 0.03
    if uniform:
        assert np.abs(values).max() <= math.sqrt(3 * variance) * (1 + 1e-6)


def test_fan_of_a_convolution_counts_its_kernel():
    assert nn.init.fans(framework.empty(8, 3, 5, 2)) == (30, 80)
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.fans(framework.empty(8))


def test_truncated_normal_stays_inside():
    values = drawn(nn.init.trunc_normal_, 0.0, 1.0, -0.5, 1.0)
    assert values.min() >= -0.5
    assert values.max() <= 1.0
    # Mean of the standard normal cut to [-1/2, 1] by the formula (phi(a) - phi(b)) / (Phi(b) - Phi(a)).
    phi = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (-0.5, 1.0)]
    mass = 0.5 * (math.erf(1 / math.sqrt(2)) - math.erf(-0.5 / math.sqrt(2)))
    assert abs(values.mean() - (phi[0] - phi[1]) / mass) < 0.01


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (4, 2, 3)])
def test_orthogonal_rows_or_columns(shape):
    matrix = drawn(nn.init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_constants_eye_and_dirac():
    assert (drawn(nn.init.constant_, 3.5) == 3.5).all()
    assert (drawn(nn.init.ones_) == 1).all()
    assert (drawn(nn.init.zeros_) == 0).all()
    np.testing.assert_array_equal(drawn(nn.init.eye_, shape=(3, 4)), np.eye(3, 4))
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    nn.init.dirac_(conv.weight, groups=2)
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(conv(framework.from_numpy(x)).detach().numpy(), x, atol=1e-6)


def test_gains():
    assert nn.init.calculate_gain("linear") == 1
    assert nn.init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    with pytest.raises(ValueError, match="Unsupported"):
        nn.init.calculate_gain("unheard of")


def test_initial_values_are_not_recorded():
    weight = nn.Parameter(framework.empty(3, 3))
    nn.init.normal_(weight)
    assert weight.is_leaf
    assert weight.requires_grad


def test_convolutions_start_as_torchs_do():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Conv3d(16, 64, 3), torch.nn.Conv3d(16, 64, 3)
    for name in ("weight", "bias"):
        mine, other = getattr(ours, name).detach().numpy(), getattr(theirs, name).detach().numpy()
        bound = 1 / math.sqrt(16 * 27)
        assert np.abs(mine).max() <= bound * (1 + 1e-6)
        assert abs(mine.std() / other.std() - 1) < 0.3
