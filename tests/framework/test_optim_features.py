"""What all optimizers share, beside torch: hooks, names, choices of implementation; averages of weights; clipping."""

import copy
import importlib
import inspect

import numpy as np
import pytest

import framework
from framework import nn, optim
from framework.optim import swa_utils

ALL = [
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam", "Adagrad", "Adadelta", "RMSprop", "ASGD", "Rprop",
    "Adafactor", "Muon", "LBFGS",
]  # fmt: skip


def weights(library=framework, *shapes):
    return [library.nn.Parameter(library.ones(*shape)) for shape in shapes or ((2, 3), (3, 2))]


@pytest.mark.oracle
@pytest.mark.parametrize("name", ALL)
def test_arguments_and_settings_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    own, theirs = (inspect.signature(getattr(library.optim, name).__init__) for library in (framework, torch))
    described = [
        [(p.name, p.kind, p.default) for p in signature.parameters.values() if p.name != "self"]
        for signature in (own, theirs)
    ]
    assert described[0] == described[1]
    groups = [
        getattr(library.optim, name)(weights(library)).state_dict()["param_groups"] for library in (framework, torch)
    ]
    assert groups[0] == groups[1]


@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted(set(ALL) - {"SparseAdam", "Muon", "LBFGS", "Adafactor"}))
def test_choices_of_implementation(name):
    torch = pytest.importorskip("torch")
    known = inspect.signature(getattr(optim, name).__init__).parameters
    finals = []
    for foreach in (None, False, True):
        params = weights()
        optimizer = getattr(optim, name)(params, foreach=foreach)
        for param in params:
            param.grad = framework.ones(*param.shape)
        optimizer.step()
        finals.append([param.detach().numpy().tobytes() for param in params])
    assert finals[0] == finals[1] == finals[2]
    with pytest.raises(NotImplementedError, match="differentiable=True"):
        getattr(optim, name)(weights(), differentiable=True)
    if "capturable" in known:
        with pytest.raises(NotImplementedError, match="capturable=True"):
            getattr(optim, name)(weights(), capturable=True)
    if "fused" in known:
        assert getattr(optim, name)(weights(), fused=True).param_groups[0]["fused"]
        for wrong in ({"foreach": True}, {"differentiable": True}):
            messages = []
            for library in (framework, torch):
                with pytest.raises(RuntimeError) as refused:
                    getattr(library.optim, name)(weights(library), fused=True, **wrong)
                messages.append(str(refused.value))
            assert messages[0] == messages[1]
        with pytest.raises(RuntimeError, match="requires all the params to be floating point"):
            getattr(optim, name)([nn.Parameter(framework.ones(2, dtype=framework.complex64))], fused=True)


@pytest.mark.oracle
def test_decoupled_weight_decay_of_adam_is_adamw():
    torch = pytest.importorskip("torch")
    finals = []
    for library in (framework, torch):
        for name, more in (("Adam", {"decoupled_weight_decay": True}), ("AdamW", {})):
            params = weights(library)
            optimizer = getattr(library.optim, name)(params, lr=0.1, weight_decay=0.2, **more)
            for step in range(3):
                for param in params:
                    param.grad = library.ones(*param.shape) * (step - 0.7)
                optimizer.step()
            finals.append(np.concatenate([param.detach().numpy().ravel() for param in params]))
    for other in finals[1:]:
        np.testing.assert_allclose(finals[0], other, rtol=1e-6)


def hooked(library):
    """What hooks see, in order."""
    seen = []
    params = weights(library)
    optimizer = library.optim.SGD(params, lr=0.1)
    every = importlib.import_module(f"{library.__name__}.optim.optimizer")

    def note(name, result=None):
        def hook(*args):
            assert args[0] is optimizer
            seen.append((name, len(args), *(sorted(arg) if isinstance(arg, dict) else len(arg) for arg in args[1:])))
            return result

        return hook

    handles = [
        every.register_optimizer_step_pre_hook(note("before every")),
        every.register_optimizer_step_post_hook(note("after every")),
        optimizer.register_step_pre_hook(note("before")),
        optimizer.register_step_post_hook(note("after")),
        optimizer.register_state_dict_pre_hook(note("before state")),
        optimizer.register_state_dict_post_hook(note("after state")),
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1}, prepend=True),
        optimizer.register_load_state_dict_pre_hook(note("before loading")),
        optimizer.register_load_state_dict_post_hook(note("after loading")),
    ]
    optimizer.step()
    optimizer.step(lambda: 3)
    optimizer.load_state_dict(optimizer.state_dict())
    for handle in handles:
        handle.remove()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return seen


@pytest.mark.oracle
def test_hooks_are_called_as_in_torch():
    torch = pytest.importorskip("torch")
    seen = hooked(framework)
    assert seen == hooked(torch)
    assert ("after state", 2, ["more", "param_groups", "state"]) in seen


def test_a_hook_changes_the_arguments_and_the_state():
    optimizer = optim.SGD(weights(), lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
    assert optimizer.step() == 7
    optimizer.register_load_state_dict_pre_hook(
        lambda o, state: {**state, "param_groups": [{**group, "lr": 0.5} for group in state["param_groups"]]}
    )
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_an_optimizer_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @framework.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    param -= group["lr"] * param.grad.sign()

    param = nn.Parameter(framework.ones(2))
    optimizer = Signs([param], 0.25)
    seen = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(args))
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    param.grad = framework.tensor([3.0, -2.0])
    optimizer.step()
    schedule.step()
    np.testing.assert_allclose(param.detach().numpy(), [0.75, 1.25])
    assert seen == [(optimizer,)]
    optimizer.state["count"] = 3
    again = Signs([param], 0.25)
    again.load_state_dict(optimizer.state_dict())
    assert again.state["count"] == 3
    assert copy.deepcopy(again).state["count"] == 3


@pytest.mark.oracle
def test_named_parameters_and_added_groups():
    torch = pytest.importorskip("torch")
    states = []
    for library in (framework, torch):
        net = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.Linear(3, 1))
        optimizer = library.optim.Adam(net[0].named_parameters(), lr=0.1)
        optimizer.add_param_group({"params": net[1].named_parameters(prefix="last"), "lr": 0.01})
        states.append(optimizer.state_dict())
        for wrong in ([("a", net[0].weight), net[0].bias], [net[0].weight, ("a", net[0].bias)]):
            with pytest.raises(ValueError, match="Some param names are missing"):
                library.optim.SGD(wrong)
        with pytest.raises(ValueError, match="cannot add param group without names to the optimizer"):
            optimizer.add_param_group({"params": library.nn.Parameter(library.ones(1))})
        nameless = library.optim.Adam(net.parameters())
        nameless.load_state_dict(nameless.state_dict())
        assert "param_names" not in nameless.param_groups[0]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    assert states[0]["param_groups"][1]["param_names"] == ["last.weight", "last.bias"]


@pytest.mark.oracle
def test_lbfgs_follows_torch_where_a_last_bit_decides():
    """Flat directions: after 200 evaluations torch itself, begun one ulp away, differs in the fifth digit."""
    torch = pytest.importorskip("torch")
    finals = []
    start = np.linspace(-1, 1, 12).reshape(4, 3)
    for library, begin in ((framework, start), (torch, start), (torch, start * (1 + 2e-16))):
        param = library.nn.Parameter(library.tensor(begin))
        data = library.tensor(np.arange(12.0).reshape(3, 4) / 7)
        optimizer = library.optim.LBFGS([param], lr=0.01)

        def closure(optimizer=optimizer, param=param, data=data):
            optimizer.zero_grad()
            loss = ((param @ data) ** 2).sum() + param.sum()
            loss.backward()
            return loss

        for _ in range(10):
            optimizer.step(closure)
        finals.append(param.detach().numpy())
    assert abs(finals[1] - finals[2]).max() > 1e-6
    np.testing.assert_allclose(finals[0], finals[1], rtol=1e-7, atol=1e-9)


AVERAGES = {
    "mean": {},
    "mean, one at a time": {"avg_fn": "get_swa_avg_fn"},
    "mean, all at once": {"multi_avg_fn": "get_swa_multi_avg_fn"},
    "moving": {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.8)},
    "moving, one at a time": {"avg_fn": ("get_ema_avg_fn", 0.8)},
    "mean, with buffers": {"use_buffers": True},
    "moving, with buffers": {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.8), "use_buffers": True},
}


def averaged(library, settings):
    """A network with norms trained for a while, and its average."""
    rng = np.random.default_rng(0)
    net = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.Linear(4, 1))
    with library.no_grad():
        for value in net.parameters():
            value.copy_(library.tensor(rng.standard_normal(tuple(value.shape)).astype(np.float32)))
    made = {}
    for key, value in settings.items():
        name, *rest = value if isinstance(value, tuple) else (value,)
        made[key] = value if isinstance(value, bool) else getattr(library.optim.swa_utils, name)(*rest)
    average = library.optim.swa_utils.AveragedModel(net, **made)
    optimizer = library.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    batches = [library.tensor(rng.standard_normal((6, 3)).astype(np.float32)) for _ in range(5)]
    for batch in batches:
        optimizer.zero_grad()
        (net(batch) ** 2).mean().backward()
        optimizer.step()
        average.update_parameters(net)
    return net, average, batches


def assert_states_close(own, theirs):
    assert own.keys() == theirs.keys()
    for key, value in own.items():
        np.testing.assert_allclose(value.numpy(), theirs[key].numpy(), rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.oracle
@pytest.mark.parametrize("which", AVERAGES)
def test_averages_equal_torch(which):
    torch = pytest.importorskip("torch")
    (_, own, data), (_, theirs, their_data) = (averaged(library, AVERAGES[which]) for library in (framework, torch))
    assert_states_close(own.state_dict(), theirs.state_dict())
    assert int(own.n_averaged) == 5
    np.testing.assert_allclose(
        own(data[0]).detach().numpy(), theirs(their_data[0]).detach().numpy(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.oracle
@pytest.mark.parametrize("training", [True, False])
def test_update_bn_equals_torch(training):
    torch = pytest.importorskip("torch")
    models = []
    for library in (framework, torch):
        net, _, batches = averaged(library, {})
        net.train(training)
        library.optim.swa_utils.update_bn([(batch, 1) for batch in batches[:2]] + batches[2:], net)
        assert net.training == training
        assert net[1].momentum == 0.1
        models.append(net.state_dict())
        library.optim.swa_utils.update_bn([], library.nn.Linear(1, 1))
    assert_states_close(*models)


def test_averages_refuse_what_they_cannot_do():
    for name in ("get_ema_avg_fn", "get_ema_multi_avg_fn"):
        with pytest.raises(ValueError, match=r"Invalid decay value 1\.5"):
            getattr(swa_utils, name)(1.5)
    with pytest.raises(AssertionError, match="Only one of"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=lambda *_: 0, multi_avg_fn=lambda *_: 0)


@pytest.mark.oracle
@pytest.mark.parametrize("order", [2.0, 1.0, 0.5, float("inf")])
@pytest.mark.parametrize("scale", [1e-3, 1.0, float("nan")])
def test_clipping_equals_torch(order, scale):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(np.float32) * np.float32(scale) for shape in ((3, 4), (5,))]
    results = []
    for library in (framework, torch):
        params = [*weights(library, (3, 4), (5,)), *weights(library, (1,))]
        for param, value in zip(params, values):
            param.grad = library.tensor(value)
        clip = library.nn.utils
        total = clip.get_total_norm([p.grad for p in params if p.grad is not None], order, foreach=True)
        clip.clip_grads_with_norm_(iter(params), 0.5, total, foreach=False)
        again = clip.clip_grad_norm_(iter(params), 0.25, order, foreach=None)
        clip.clip_grad_value_(params, 0.05, foreach=True)
        results.append([np.asarray(x) for x in (total, again, *(p.grad for p in params[:2]))])
        if np.isnan(scale):
            with pytest.raises(RuntimeError) as refused:
                clip.clip_grad_norm_(params, 1.0, order, error_if_nonfinite=True)
            results[-1].append(np.asarray(str(refused.value)))
    for own, theirs in zip(*results, strict=True):
        if own.dtype.kind == "U":
            assert own == theirs
        else:
            np.testing.assert_allclose(own, theirs, rtol=1e-5)
