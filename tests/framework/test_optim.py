"""Optimizers and schedules, step by step against torch; resuming to the bit."""

import copy

import numpy as np
import pytest

import framework
from framework import nn, optim

RNG = np.random.default_rng(5)
SHAPES = [(4, 3), (7,), (2, 3, 2), ()]

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 3e-2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("Adam", {"lr": 1e-2}),
    ("Adam", {"lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.1, "eps": 1e-5}),
    ("Adam", {"lr": 1e-2, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 1e-2}),
    ("AdamW", {"lr": 1e-2, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 1e-2, "maximize": True}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(OPTIMIZERS)]


def make(name, settings, library=framework, seed=0):
    """Parameters in two groups with different rates, and their optimizer."""
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.standard_normal(shape), np.float32) for shape in SHAPES]
    if library is framework:
        params = [nn.Parameter(framework.from_numpy(v.copy())) for v in values]
    else:
        params = [library.nn.Parameter(library.from_numpy(v.copy())) for v in values]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": settings["lr"] / 2}]
    return params, getattr(library.optim, name)(groups, **settings)


def give_gradients(params, step, library=framework):
    rng = np.random.default_rng(100 + step)
    for i, param in enumerate(params):
        grad = np.asarray(rng.standard_normal(tuple(param.shape)), np.float32)
        if i == 1 and step == 1:
            param.grad = None  # a parameter that takes no part in one step
        else:
            param.grad = (framework if library is framework else library).from_numpy(grad)


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_every_step_equals_torch(name, settings):
    torch = pytest.importorskip("torch")
    ours, optimizer = make(name, settings)
    theirs, reference = make(name, settings, torch)
    for step in range(8):
        give_gradients(ours, step)
        give_gradients(theirs, step, torch)
        optimizer.step()
        reference.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6, atol=1e-6)
    state, wanted = optimizer.state_dict(), reference.state_dict()
    assert state["state"].keys() == wanted["state"].keys()
    for number, values in state["state"].items():
        kept = {key: value for key, value in wanted["state"][number].items() if value is not None}
        assert values.keys() == kept.keys()
        for key, value in values.items():
            np.testing.assert_allclose(value.numpy(), kept[key].numpy(), rtol=1e-5, atol=1e-6, err_msg=key)
    for group, other in zip(state["param_groups"], wanted["param_groups"]):
        for key, value in group.items():
            assert other[key] == value or list(other[key]) == list(value)


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS[2::3], ids=IDS[2::3])
def test_continues_a_run_of_torch(name, settings):
    torch = pytest.importorskip("torch")
    ours, optimizer = make(name, settings, seed=1)
    theirs, reference = make(name, settings, torch)
    for step in range(3):
        give_gradients(theirs, step, torch)
        reference.step()
    state = reference.state_dict()

    def convert(value):
        return framework.from_numpy(value.numpy().copy()) if isinstance(value, torch.Tensor) else value

    state = {
        "state": {n: {k: convert(v) for k, v in s.items() if v is not None} for n, s in state["state"].items()},
        "param_groups": state["param_groups"],
    }
    optimizer.load_state_dict(state)
    with framework.no_grad():
        for p, q in zip(ours, theirs):
            p.copy_(framework.from_numpy(q.detach().numpy().copy()))
    for step in range(3, 6):
        give_gradients(ours, step)
        give_gradients(theirs, step, torch)
        optimizer.step()
        reference.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_resumed_run_is_the_same_to_the_bit(name, settings):
    params, optimizer = make(name, settings)
    for step in range(3):
        give_gradients(params, step)
        optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    values = [p.detach().numpy().copy() for p in params]
    for step in range(3, 6):
        give_gradients(params, step)
        optimizer.step()
    again, resumed = make(name, {**settings, "lr": 0.5}, seed=9)
    resumed.load_state_dict(saved)
    with framework.no_grad():
        for p, value in zip(again, values):
            p.copy_(framework.from_numpy(value))
    for step in range(3, 6):
        give_gradients(again, step)
        resumed.step()
    for p, q in zip(params, again):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()


def test_loaded_state_is_a_copy():
    params, optimizer = make("Adam", {"lr": 0.1})
    give_gradients(params, 0)
    optimizer.step()
    state = optimizer.state_dict()
    other, second = make("Adam", {"lr": 0.1})
    second.load_state_dict(state)
    give_gradients(other, 1)
    before = state["state"][0]["exp_avg"].numpy().copy()
    second.step()
    np.testing.assert_array_equal(state["state"][0]["exp_avg"].numpy(), before)
    assert second.state[other[0]]["step"].item() == 2


def test_groups_that_do_not_fit_are_refused():
    params, optimizer = make("SGD", {"lr": 0.1})
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.SGD(params, lr=0.1).load_state_dict(state)
    with pytest.raises(ValueError, match="group 0 has 2 parameters there and 1 here"):
        optim.SGD([{"params": params[:1]}, {"params": params[1:]}], lr=0.1).load_state_dict(state)


def test_wrong_arguments_are_refused():
    weight = nn.Parameter(framework.zeros(2))
    with pytest.raises(TypeError, match="iterable of Tensors"):
        optim.SGD(weight, lr=0.1)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([], lr=0.1)
    with pytest.raises(TypeError, match="one of the params is int"):
        optim.SGD([3], lr=0.1)
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([weight * 2], lr=0.1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [weight]}, {"params": [weight]}], lr=0.1)
    with pytest.raises(ValueError, match="Invalid learning rate value: -1"):
        optim.SGD([weight], lr=-1)
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum"):
        optim.SGD([weight], lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match="Invalid beta 0 value: 1"):
        optim.Adam([weight], betas=(1.0, 0.9))


def test_closure_and_zero_grad():
    weight = nn.Parameter(framework.tensor([1.0, 2.0]))
    optimizer = optim.SGD([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        return loss

    with framework.no_grad():
        assert optimizer.step(closure).item() == 5
    np.testing.assert_allclose(weight.detach().numpy(), [0.8, 1.6], rtol=1e-6)
    optimizer.zero_grad(set_to_none=False)
    assert not weight.grad.numpy().any()
    optimizer.zero_grad()
    assert weight.grad is None
    optimizer.step()
    np.testing.assert_allclose(weight.detach().numpy(), [0.8, 1.6], rtol=1e-6)


def test_a_step_counts_as_a_write():
    weight = nn.Parameter(framework.tensor([1.0, 2.0]))
    loss = (weight * weight).sum()
    weight.grad = framework.ones(2)
    optim.SGD([weight], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_double_precision_and_mixed_types():
    weights = [nn.Parameter(framework.ones(3, dtype=framework.float64)), nn.Parameter(framework.ones(3))]
    optimizer = optim.AdamW(weights, lr=0.1)
    for weight in weights:
        weight.grad = framework.ones(3, dtype=weight.dtype)
    optimizer.step()
    assert weights[0].dtype == framework.float64
    assert optimizer.state[weights[0]]["exp_avg"].dtype == framework.float64
    np.testing.assert_allclose(weights[0].detach().numpy(), weights[1].detach().numpy(), rtol=1e-6)
