"""The less common optimizers, step by step against torch; states exchanged both ways; resuming to the bit."""

import copy

import numpy as np
import pytest

import framework
from framework import nn, optim

SHAPES = {"Muon": [(4, 3), (3, 7), (5, 5)]}
OTHER_SHAPES = [(4, 3), (7,), (2, 3, 2), ()]

OPTIMIZERS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 3e-2}),
    ("Adam", {"lr": 1e-2, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 1e-2, "weight_decay": 0.3}),
    ("Adadelta", {"lr": 1.0}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {"lr": 1e-2}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3}),
    ("Adagrad", {"lr": 0.1, "eps": 1e-3, "maximize": True}),
    ("Adamax", {"lr": 2e-3}),
    ("Adamax", {"lr": 1e-2, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("ASGD", {"lr": 1e-2}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.6, "t0": 4, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "t0": 0, "maximize": True}),
    ("NAdam", {"lr": 2e-3}),
    ("NAdam", {"lr": 1e-2, "betas": (0.8, 0.95), "momentum_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 1e-2, "weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-4}),
    ("RAdam", {"lr": 1e-2}),
    ("RAdam", {"lr": 1e-2, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 1e-2, "weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-4}),
    ("RMSprop", {"lr": 1e-2}),
    ("RMSprop", {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"lr": 1e-2, "alpha": 0.8, "centered": True, "momentum": 0.5, "eps": 1e-3}),
    ("Rprop", {"lr": 1e-2}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.4), "maximize": True}),
    ("SparseAdam", {"lr": 1e-2}),
    ("SparseAdam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-4, "maximize": True}),
    ("Adafactor", {"lr": 1e-2}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.5, "d": 1.5, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", {"lr": 0.5, "eps": (0.5, 2.0)}),
    ("Muon", {"lr": 1e-3}),
    ("Muon", {"lr": 0.1, "momentum": 0.5, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}),
    ("Muon", {"lr": 0.1, "ns_coefficients": (2, -1.5, 0.5), "ns_steps": 3, "adjust_lr_fn": "original"}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(OPTIMIZERS)]
each_configuration = pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)


def make(name, settings, library=framework, seed=0):
    """Parameters in two groups with different rates, and their optimizer."""
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.standard_normal(shape), np.float32) for shape in SHAPES.get(name, OTHER_SHAPES)]
    params = [library.nn.Parameter(library.from_numpy(v)) for v in values]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": settings["lr"] / 2}]
    return params, getattr(library.optim, name)(groups, **settings)


def give_gradients(params, step, library=framework, sparse=False):
    """`sparse`: half of the elements are zero, and torch is told so."""
    rng = np.random.default_rng(100 + step)
    for i, param in enumerate(params):
        grad = np.asarray(rng.standard_normal(tuple(param.shape)), np.float32)
        if sparse:
            grad = np.asarray(grad * (rng.random(grad.shape) > 0.5), np.float32)
        value = library.from_numpy(grad)
        if sparse and library is not framework:
            value = value.to_sparse()
        param.grad = None if i == 1 and step == 1 else value  # one parameter takes no part in one step


def advance(name, params, optimizer, steps, library=framework):
    for step in steps:
        give_gradients(params, step, library, sparse=name == "SparseAdam")
        optimizer.step()


def assert_close(ours, theirs, tolerance=1e-5):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


def converted(value, library):
    """A state dict with the tensors of `library`."""
    if isinstance(value, dict):
        return {key: converted(item, library) for key, item in value.items()}
    if isinstance(value, list):
        return [converted(item, library) for item in value]
    if hasattr(value, "detach"):
        return library.from_numpy(np.array(value.detach().numpy()))
    return value


def take_values(params, others, library=framework):
    with library.no_grad():
        for p, q in zip(params, others, strict=True):
            p.copy_(library.from_numpy(np.array(q.detach().numpy())))


@pytest.mark.oracle
@each_configuration
def test_every_step_equals_torch(name, settings):
    torch = pytest.importorskip("torch")
    ours, optimizer = make(name, settings)
    theirs, reference = make(name, settings, torch)
    for step in range(20):
        advance(name, ours, optimizer, [step])
        advance(name, theirs, reference, [step], torch)
        assert_close(ours, theirs)
    state, wanted = optimizer.state_dict(), reference.state_dict()
    assert state["state"].keys() == wanted["state"].keys()
    for number, values in state["state"].items():
        kept = wanted["state"][number]
        assert values.keys() == kept.keys()
        for key, value in values.items():
            assert isinstance(value, framework.Tensor) == isinstance(kept[key], torch.Tensor), key
            np.testing.assert_allclose(np.asarray(value), np.asarray(kept[key]), rtol=2e-5, atol=1e-5, err_msg=key)
    for group, other in zip(state["param_groups"], wanted["param_groups"], strict=True):
        assert {key: other[key] for key in group} == group


@pytest.mark.oracle
@each_configuration
def test_continues_a_run_of_torch_and_torch_ours(name, settings):
    torch = pytest.importorskip("torch")
    theirs, reference = make(name, settings, torch)
    advance(name, theirs, reference, range(5), torch)
    ours, optimizer = make(name, {**settings, "lr": 0.5}, seed=1)
    optimizer.load_state_dict(converted(reference.state_dict(), framework))
    take_values(ours, theirs)
    advance(name, ours, optimizer, range(5, 10))
    advance(name, theirs, reference, range(5, 10), torch)
    assert_close(ours, theirs)

    again, resumed = make(name, {**settings, "lr": 0.5}, torch, seed=2)
    resumed.load_state_dict(converted(optimizer.state_dict(), torch))
    take_values(again, ours, torch)
    advance(name, ours, optimizer, range(10, 15))
    advance(name, again, resumed, range(10, 15), torch)
    assert_close(ours, again)


@each_configuration
def test_resumed_run_is_the_same_to_the_bit(name, settings):
    params, optimizer = make(name, settings)
    advance(name, params, optimizer, range(5))
    saved = copy.deepcopy(optimizer.state_dict())
    again, resumed = make(name, {**settings, "lr": 0.5}, seed=9)
    take_values(again, params)
    resumed.load_state_dict(saved)
    advance(name, params, optimizer, range(5, 10))
    advance(name, again, resumed, range(5, 10))
    for p, q in zip(params, again, strict=True):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"])
def test_complex_parameters_equal_torch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    value, *grads = (rng.standard_normal((4, 2, 3)) + 1j * rng.standard_normal((4, 2, 3)) for _ in range(13))
    finals = []
    for library in (framework, torch):
        param = library.nn.Parameter(library.from_numpy(value.copy()))
        optimizer = getattr(library.optim, name)([param], lr=0.02)
        for grad in grads:
            param.grad = library.from_numpy(grad)
            optimizer.step()
        finals.append(param.detach().numpy())
    np.testing.assert_allclose(*finals, rtol=1e-6, atol=1e-7)


def test_untouched_rows_keep_their_history():
    weight = nn.Parameter(framework.ones(3, 2))
    optimizer = optim.SparseAdam([weight], lr=0.1)
    weight.grad = framework.ones(3, 2)
    optimizer.step()
    before = weight.detach().numpy().copy(), optimizer.state[weight]["exp_avg"].numpy().copy()
    weight.grad = framework.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    optimizer.step()
    after = weight.detach().numpy(), optimizer.state[weight]["exp_avg"].numpy()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[[0, 2]], new[[0, 2]])
        assert (old[1] != new[1]).all()


@pytest.mark.parametrize("name", sorted({name for name, _ in OPTIMIZERS} - {"Muon"}))
def test_half_precision_and_writes(name):
    weight = nn.Parameter(framework.ones(3, dtype=framework.bfloat16))
    loss = (weight * weight).sum()
    optimizer = getattr(optim, name)([weight], lr=4.0)
    for _ in range(2):
        weight.grad = framework.ones(3, dtype=framework.bfloat16)
        optimizer.step()
    assert weight.dtype == framework.bfloat16
    assert (weight.detach().float().numpy() < 1).all()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


WRONG = [
    ("Adadelta", {"rho": 1.1}),
    ("Adadelta", {"eps": -1}),
    ("Adadelta", {"weight_decay": -1}),
    ("Adagrad", {"lr": -1}),
    ("Adagrad", {"lr_decay": -0.5}),
    ("Adagrad", {"initial_accumulator_value": -2}),
    ("Adamax", {"betas": (0.0, 1.0)}),
    ("ASGD", {"weight_decay": -0.5}),
    ("NAdam", {"momentum_decay": -0.2}),
    ("NAdam", {"betas": (1.0, 0.0)}),
    ("RAdam", {"eps": -1}),
    ("RAdam", {"weight_decay": -1}),
    ("RMSprop", {"momentum": -1.0}),
    ("RMSprop", {"alpha": -1}),
    ("Rprop", {"etas": (1.0, 0.5)}),
    ("SparseAdam", {"lr": 0}),
    ("SparseAdam", {"eps": 0}),
    ("SparseAdam", {"betas": (1.0, 0.0)}),
    ("Adafactor", {"lr": -1}),
    ("Adafactor", {"beta2_decay": 0.8}),
    ("Adafactor", {"eps": (-1, 1e-3)}),
    ("Adafactor", {"eps": (None, -1)}),
    ("Adafactor", {"d": 0.5}),
    ("Adafactor", {"weight_decay": -1}),
    ("Muon", {"lr": -1}),
    ("Muon", {"momentum": -1}),
    ("Muon", {"weight_decay": -1}),
    ("Muon", {"adjust_lr_fn": "other"}),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "settings"), WRONG, ids=[f"{n}-{next(iter(s))}" for n, s in WRONG])
def test_wrong_settings_are_refused_in_the_words_of_torch(name, settings):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r".") as expected:
        getattr(torch.optim, name)([torch.zeros(2, 2, requires_grad=True)], **settings)
    with pytest.raises(ValueError, match=r".") as got:
        getattr(optim, name)([nn.Parameter(framework.zeros(2, 2))], **settings)
    assert str(got.value) == str(expected.value)


def test_other_refusals():
    weight = nn.Parameter(framework.zeros(2))
    with pytest.raises(ValueError, match="1-element"):
        optim.RMSprop([weight], lr=framework.ones(2))
    with pytest.raises(ValueError, match=r"Complex params at indices \[\[0, 1\]\]"):
        optim.SparseAdam([weight, nn.Parameter(framework.zeros(2, dtype=framework.complex64))])
    with pytest.raises(ValueError, match="only supports 2D parameters"):
        optim.Muon([weight])
    with pytest.raises(AttributeError, match="no attribute 'Adamantium'"):
        optim.Adamantium  # noqa: B018


LBFGS = [
    {},
    {"lr": 0.5, "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 5, "lr": 0.1},
    {"line_search_fn": "strong_wolfe", "lr": 50.0, "max_iter": 2, "history_size": 2},
]


def bowl(library, settings, seed=0):
    """A smooth convex loss of two parameters and a third without gradient; the optimizer and its closure."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((3, 2)), rng.standard_normal(2), rng.standard_normal(2)
    params = [library.nn.Parameter(library.from_numpy(value)) for value in values]
    optimizer = library.optim.LBFGS(params, **settings)
    factor = library.from_numpy(np.random.default_rng(7).standard_normal((5, 3)))

    def closure():
        optimizer.zero_grad()
        out = factor @ params[0] + params[1]
        loss = (out.exp() + (-2 * out).exp()).sum() + (params[0] ** 4).sum()
        loss.backward()
        return loss

    return params, optimizer, closure


@pytest.mark.oracle
@pytest.mark.parametrize("settings", LBFGS)
def test_lbfgs_equals_torch(settings):
    torch = pytest.importorskip("torch")
    ours, optimizer, closure = bowl(framework, settings)
    theirs, reference, their_closure = bowl(torch, settings)
    for _ in range(4):
        loss, wanted = optimizer.step(closure).item(), reference.step(their_closure).item()
        assert loss == pytest.approx(wanted, rel=1e-7)
        assert_close(ours, theirs, 1e-6)
    state, other = optimizer.state[ours[0]], reference.state[theirs[0]]
    assert state.keys() == other.keys()

    again, resumed, closure = bowl(framework, settings, seed=3)
    resumed.load_state_dict(converted(reference.state_dict(), framework))
    take_values(again, theirs)
    back, returned, back_closure = bowl(torch, settings, seed=4)
    returned.load_state_dict(converted(optimizer.state_dict(), torch))
    take_values(back, ours, torch)
    for _ in range(2):
        resumed.step(closure)
        reference.step(their_closure)
        returned.step(back_closure)
    assert_close(again, theirs, 1e-6)
    assert_close(back, theirs, 1e-6)


@pytest.mark.parametrize("settings", LBFGS)
def test_resumed_lbfgs_is_the_same_to_the_bit(settings):
    params, optimizer, closure = bowl(framework, settings)
    optimizer.step(closure)
    again, resumed, same_closure = bowl(framework, settings, seed=3)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    take_values(again, params)
    optimizer.step(closure)
    resumed.step(same_closure)
    for p, q in zip(params, again, strict=True):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()


def test_lbfgs_refuses_what_it_cannot_do():
    weight = nn.Parameter(framework.zeros(2))
    with pytest.raises(ValueError, match="per-parameter options"):
        optim.LBFGS([{"params": [weight]}, {"params": [nn.Parameter(framework.zeros(1))]}])
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.LBFGS([weight], lr=-1)
    with pytest.raises(ValueError, match="takes real parameters"):
        optim.LBFGS([nn.Parameter(framework.zeros(2, dtype=framework.complex64))])
    with pytest.raises(TypeError, match="give step\\(\\) a closure"):
        optim.LBFGS([weight]).step()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        optim.LBFGS([weight], line_search_fn="other").step(lambda: weight.sum())
