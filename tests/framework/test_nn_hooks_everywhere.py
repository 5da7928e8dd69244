"""Hooks of all modules, registration hooks, and adaptive softmax, in both libraries by the same source."""

import numpy as np
import pytest

import framework

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def everything_seen(lib):
    import importlib

    where = importlib.import_module(f"{lib.__name__}.nn.modules.module")
    seen = []
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.ReLU())
    net[0].register_forward_hook(lambda m, a, o: seen.append("own after"))
    net[0].register_forward_pre_hook(lambda m, a: seen.append("own before"))
    name = {type(net): "net", lib.nn.Linear: "linear", lib.nn.ReLU: "relu"}
    handles = [
        where.register_module_forward_pre_hook(lambda m, a: seen.append(("before", name[type(m)]))),
        where.register_module_forward_hook(
            lambda m, a, k, o: seen.append(("after", name[type(m)], tuple(o.shape), k)), with_kwargs=True
        ),
        where.register_module_full_backward_pre_hook(lambda m, g: seen.append(("back before", name[type(m)]))),
        where.register_module_full_backward_hook(
            lambda m, i, o: seen.append(("back", name[type(m)], [None if g is None else tuple(g.shape) for g in i]))
        ),
    ]
    x = lib.ones(4, 2).requires_grad_()
    net(x).sum().backward()
    for handle in handles:
        handle.remove()
    count = len(seen)
    net(x)
    return seen[:count], len(seen) - count


def test_hooks_of_all_modules_run_before_a_modules_own() -> None:
    assert everything_seen(framework) == everything_seen(torch)


def test_hooks_see_and_change_what_is_registered() -> None:
    from framework.nn.modules import module as where

    seen = []
    handle = where.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n))
    twice = where.register_module_buffer_registration_hook(lambda m, n, b: None if b is None else b + b)
    try:
        framework.nn.Linear(2, 3, bias=False)
        norm = framework.nn.BatchNorm1d(2, affine=False)
    finally:
        handle.remove()
        twice.remove()
    assert seen[:2] == ["weight", "bias"]
    assert norm.running_var.tolist() == [2, 2]


def test_always_called_hooks_run_when_forward_fails() -> None:
    class Failing(framework.nn.Module):
        def forward(self, x):
            raise ValueError("no")

    seen = []
    module = Failing()
    module.register_forward_hook(lambda m, a, o: seen.append(o), always_call=True)
    with pytest.raises(ValueError, match="no"):
        module(1)
    assert seen == [None]


def test_adaptive_softmax() -> None:
    numbers = np.random.default_rng(0)
    x, target = numbers.standard_normal((7, 8)), np.array([1, 5, 12, 19, 3, 4, 0])
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True).double()
    ours = framework.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True).double()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    results = []
    for lib, module in ((framework, ours), (torch, theirs)):
        leaf = lib.tensor(x).requires_grad_()
        output, loss = module(leaf, lib.tensor(target))
        loss.backward()
        single = module(leaf[1], lib.tensor(5))
        tensors = [output, loss, leaf.grad, single.output, module.log_prob(leaf), module.predict(leaf)]
        results.append([t.detach().numpy() for t in (*tensors, *(p.grad for p in module.parameters()))])
    for mine, reference in zip(*results, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-12)
    with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 19\], but values in range \[1, 20\]"):
        ours(framework.tensor(x[:2]), framework.tensor([1, 20]))


def test_gumbel_softmax_draws_each_class_as_often_as_it_is_likely() -> None:
    framework.manual_seed(0)
    logits = framework.tensor([0.5, 0.3, 0.2]).log().expand(20000, 3).requires_grad_()
    drawn = framework.nn.functional.gumbel_softmax(logits, tau=0.5, hard=True)
    np.testing.assert_allclose(drawn.mean(0).detach().numpy(), [0.5, 0.3, 0.2], atol=0.015)
    assert set(np.unique(drawn.detach().numpy()).round(6)) == {0, 1}
    soft = framework.nn.functional.gumbel_softmax(logits[:5], tau=0.5)
    np.testing.assert_allclose(soft.sum(-1).detach().numpy(), 1, rtol=1e-5)
