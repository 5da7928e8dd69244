"""Lazy modules against torch: what they become, their state dicts before and after, and what they refuse."""

import copy

import numpy as np
import pytest

import framework
from framework import nn
from framework.nn.parameter import UninitializedParameter, is_lazy

CASES = [
    ("LazyLinear", (4,), {}, (3, 5)),
    ("LazyLinear", (4, False), {}, (2, 3, 5)),
    ("LazyConv1d", (4, 3), {"groups": 2}, (2, 6, 9)),
    ("LazyConv2d", (4, 3, 2), {"padding": 1, "bias": False}, (2, 3, 9, 8)),
    ("LazyConv3d", (4, (1, 2, 3)), {}, (3, 4, 5, 6)),
    ("LazyConvTranspose1d", (4, 3, 2, 1, 1), {}, (2, 6, 5)),
    ("LazyConvTranspose2d", (4, 3), {"groups": 2}, (2, 6, 5, 4)),
    ("LazyConvTranspose3d", (4, 2), {}, (2, 3, 3, 4, 5)),
    ("LazyBatchNorm1d", (), {}, (4, 3)),
    ("LazyBatchNorm2d", (1e-3, None), {"bias": False}, (4, 3, 5, 6)),
    ("LazyBatchNorm3d", (), {"affine": False}, (2, 3, 4, 5, 6)),
    ("LazyInstanceNorm1d", (), {}, (4, 3, 7)),
    ("LazyInstanceNorm2d", (), {"track_running_stats": False}, (4, 3, 5, 6)),
    ("LazyInstanceNorm3d", (), {}, (2, 3, 4, 5, 6)),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), CASES)
def test_becomes_what_torch_makes_of_it(name, args, kwargs, shape) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    assert ours.has_uninitialized_params() == theirs.has_uninitialized_params()
    assert [repr(v) for v in ours.state_dict().values() if is_lazy(v)] == [
        repr(v) for v in theirs.state_dict().values() if torch.nn.parameter.is_lazy(v)
    ]
    late = copy.deepcopy(ours)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    want = theirs(torch.tensor(x))
    first = ours(framework.tensor(x))
    assert first.shape == tuple(want.shape)
    assert type(ours).__name__ == type(theirs).__name__
    assert repr(ours) == repr(theirs)
    # The copy has no shape yet: it takes it from a state dict, and its input size from its first input.
    late.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    late.eval(), theirs.eval()
    np.testing.assert_allclose(
        late(framework.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert repr(late) == repr(theirs)


def test_an_uninitialized_parameter_refuses_use() -> None:
    layer = nn.LazyLinear(3)
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        layer.weight + 1
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        layer.weight.shape  # noqa: B018
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        nn.Linear(2, 3).load_state_dict(layer.state_dict())
    assert nn.LazyLinear(3).load_state_dict(layer.state_dict()).missing_keys == []


def test_moves_and_casts_before_its_shape_is_known() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()).to(framework.float64)
    out = net(framework.ones(2, 3, 6, 6, dtype=framework.float64))
    assert out.dtype is framework.float64
    assert {t.dtype for name, t in net.state_dict().items() if "tracked" not in name} == {framework.float64}
    assert all(type(p) is nn.Parameter and p.requires_grad for p in net.parameters())
    out.sum().backward()
    assert net[0].weight.grad is not None


def test_a_module_of_ones_own() -> None:
    class Scale(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = UninitializedParameter()

        def initialize_parameters(self, x) -> None:
            self.weight.materialize(x.shape[-1:])
            nn.init.ones_(self.weight)

        def forward(self, x):
            return x * self.weight

    assert Scale()(framework.full((2, 3), 2.0)).sum().item() == 12
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv1d(4, 3, groups=2)(framework.ones(1, 3, 5))
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to LazyConv2d"):
        nn.LazyConv2d(4, 3)(framework.ones(1, 3))
