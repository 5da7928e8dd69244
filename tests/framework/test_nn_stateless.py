"""Calling a module with other tensors than its own, against torch.func.functional_call."""

import re

import numpy as np
import pytest

import framework
from framework import nn
from framework.nn.utils.stateless import functional_call


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(framework.tensor([2.0]))
        self.b = self.a
        self.register_buffer("seen", framework.zeros(1))

    def forward(self, x, scale=1.0):
        self.seen = self.seen + 1
        return (self.a + self.b) * x * scale


def test_gradients_flow_to_the_given_tensors_and_the_module_stays() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    own = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    given = {name: framework.randn(*p.shape, requires_grad=True) for name, p in net.named_parameters()}
    given |= {name: buffer.clone() for name, buffer in net.named_buffers()}
    x = framework.randn(5, 3)
    out = functional_call(net, given, x)
    out.square().sum().backward()
    assert all(given[name].grad is not None for name, _ in net.named_parameters())
    assert all(p.grad is None for p in net.parameters())
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), own[name].numpy())
    assert given["1.num_batches_tracked"].item() == 1  # forward counted in the dict, not in the module
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    other.load_state_dict({name: tensor.detach() for name, tensor in given.items()})
    np.testing.assert_allclose(other(x).detach().numpy(), out.detach().numpy(), rtol=1e-6)


def test_tied_weights() -> None:
    net, one, value = Tied(), framework.ones(1), framework.tensor([5.0])
    assert functional_call(net, {"a": value}, one).item() == 10
    assert functional_call(net, {"a": value}, one, tie_weights=False).item() == 7
    assert functional_call(net, {"a": value, "b": value}, (one,), {"scale": 2.0}).item() == 20
    with pytest.raises(ValueError, match=re.escape("multiple values for keys ['a', 'b'], which are tied")):
        functional_call(net, {"a": value, "b": framework.tensor([1.0])}, one)
    seen = {"seen": framework.tensor([7.0])}
    functional_call(net, seen, one)
    assert seen["seen"].item() == 8
    assert net.a.item() == 2
    assert net.seen.item() == 3  # the calls that gave no buffer counted here


@pytest.mark.oracle
def test_refusals_are_torchs() -> None:
    torch = pytest.importorskip("torch")

    def messages(lib, call):
        net = lib.nn.Sequential(lib.nn.Linear(3, 2))
        x = lib.ones(1, 3)
        for given, strict in (
            ({"0.weight": lib.ones(2, 3), "0.no": lib.ones(1)}, True),
            ([{"0.bias": lib.ones(2)}, {"0.bias": lib.ones(2)}], False),
            (["no"], False),
        ):
            with pytest.raises((RuntimeError, ValueError)) as caught:
                call(net, given, x, strict=strict)
            yield str(caught.value)

    assert list(messages(framework, functional_call)) == list(messages(torch, torch.func.functional_call))
