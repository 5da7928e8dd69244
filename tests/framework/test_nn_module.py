"""The Module base: registration, traversal, state dicts, hooks, copies; compared with torch where it can be."""

import copy

import numpy as np
import pytest

import framework
from framework import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.body = nn.ModuleList([nn.Linear(2, 3), nn.BatchNorm1d(3)])
        self.scale = nn.Parameter(framework.ones(2))
        self.register_buffer("seen", framework.zeros(1))
        self.register_buffer("cache", framework.zeros(3), persistent=False)
        self.register_parameter("absent", None)
        self.note = "a plain attribute"

    def forward(self, x):
        return self.first(x)


def names(pairs):
    return [name for name, _ in pairs]


def test_registration_and_order_of_names():
    net = Net()
    assert names(net.named_parameters()) == [
        "scale", "first.weight", "first.bias", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias",
    ]  # fmt: skip
    assert names(net.named_buffers()) == [
        "seen", "cache", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked",
    ]  # fmt: skip
    assert names(net.named_modules()) == ["", "first", "body", "body.0", "body.1"]
    assert names(net.named_children()) == ["first", "body"]
    assert list(net.state_dict()) == [
        "scale", "seen", "first.weight", "first.bias", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias",
        "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked",
    ]  # fmt: skip
    assert net.absent is None
    assert "note" not in net.state_dict()
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    assert net.get_submodule("body.1") is net.body[1]
    with pytest.raises(AttributeError, match="no attribute `missing`"):
        net.get_submodule("body.missing")


def test_same_names_as_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = Net(), torch.nn.Module()
    theirs.first = torch.nn.Conv2d(1, 4, 3)
    theirs.body = torch.nn.ModuleList([torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)])
    theirs.scale = torch.nn.Parameter(torch.ones(2))
    theirs.register_buffer("seen", torch.zeros(1))
    theirs.register_buffer("cache", torch.zeros(3), persistent=False)
    theirs.register_parameter("absent", None)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert dict(ours.state_dict()._metadata) == dict(theirs.state_dict()._metadata)
    assert names(ours.named_modules()) == names(theirs.named_modules())
    assert repr(ours).split("\n")[1:] == repr(theirs).split("\n")[1:]


def test_shared_members_are_given_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert names(net.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(net.state_dict()) == 4
    shared = nn.ReLU()
    assert len(list(nn.Sequential(shared, shared).modules())) == 2


def test_attributes_change_their_kind():
    net = Net()
    net.first = nn.Identity()
    assert "first.weight" not in net.state_dict()
    net.scale = None
    assert net.scale is None
    assert "scale" not in net.state_dict()
    net.note = nn.Parameter(framework.zeros(1))
    assert "note" in net.state_dict()
    del net.note
    assert not hasattr(net, "note")
    net.seen = framework.ones(1)
    assert net.state_dict()["seen"].item() == 1
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'absent'"):
        net.absent = framework.zeros(1)
    with pytest.raises(TypeError, match="cannot assign 'int' as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'seen'"):
        net.seen = 3


def test_bad_registrations_are_refused():
    net = Net()
    with pytest.raises(KeyError, match="already exists"):
        net.register_buffer("note", framework.zeros(1))
    with pytest.raises(KeyError, match="contain"):
        net.add_module("a.b", nn.ReLU())
    with pytest.raises(KeyError, match="be empty"):
        net.register_parameter("", None)
    with pytest.raises(TypeError, match="not a Module subclass"):
        net.add_module("x", 3)
    with pytest.raises(ValueError, match="non-leaf"):
        net.register_parameter("computed", _non_leaf_parameter())
    with pytest.raises(AttributeError, match=r"before Module\.__init__"):
        Forgetful()
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        _ = net.nothing


class Forgetful(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(framework.zeros(1))


def _non_leaf_parameter():
    parameter = nn.Parameter(framework.zeros(1))
    with framework.no_grad():
        other = nn.Parameter(framework.zeros(1), requires_grad=False)
    return other.mul_(parameter)


def test_modes_freezing_and_zero_grad():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(framework.ones(1, 1, 4, 4)).sum().backward()
    assert net.first.weight.grad is not None
    assert net.scale.grad is None
    net.zero_grad(set_to_none=False)
    assert not net.first.weight.grad.numpy().any()
    net.zero_grad()
    assert net.first.weight.grad is None


def test_apply_visits_children_first():
    order = []
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    net.apply(lambda m: order.append(type(m).__name__))
    assert order == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_conversion_keeps_the_parameter_objects():
    net = Net()
    before = {name: id(p) for name, p in net.named_parameters()}
    net(framework.ones(1, 1, 4, 4)).sum().backward()
    net.double()
    assert {name: id(p) for name, p in net.named_parameters()} == before
    assert net.first.weight.dtype == framework.float64
    assert net.first.weight.grad.dtype == framework.float64
    assert net.body[1].num_batches_tracked.dtype == framework.int64
    assert net.first.weight.requires_grad
    y = net(framework.ones(1, 1, 4, 4, dtype=framework.float64))
    net.zero_grad()
    y.sum().backward()
    assert net.first.weight.grad.dtype == framework.float64
    assert net.to(framework.float32).first.bias.dtype == framework.float32
    with pytest.raises(TypeError, match="floating point"):
        net.to(framework.int64)


def test_load_state_dict_reports_everything_at_once():
    state = Net().state_dict()
    del state["scale"]
    state["extra"] = framework.zeros(1)
    state["first.extra.deep"] = framework.zeros(1)
    state["first.weight"] = framework.zeros(4, 1, 5, 5)
    with pytest.raises(RuntimeError) as caught:
        Net().load_state_dict(state)
    message = str(caught.value)
    assert message.startswith("Error(s) in loading state_dict for Net:\n\t")
    assert 'Missing key(s) in state_dict: "scale". ' in message
    assert 'Unexpected key(s) in state_dict: "extra", "first.extra.deep". ' in message
    assert (
        "size mismatch for first.weight: copying a param with shape framework.Size([4, 1, 5, 5]) from checkpoint"
        in message
    )
    state["first.weight"] = Net().first.weight
    keys = Net().load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale"]
    assert keys.unexpected_keys == ["extra", "first.extra.deep"]
    with pytest.raises(RuntimeError, match="size mismatch"):
        Net().load_state_dict({"scale": framework.zeros(3)}, strict=False)
    with pytest.raises(TypeError, match="dict-like"):
        Net().load_state_dict([1])
    with pytest.raises(RuntimeError, match="or Tensor-like object"):
        Net().load_state_dict({"scale": "text"}, strict=False)


def test_messages_of_missing_keys_are_torchs():
    torch = pytest.importorskip("torch")
    for state in ({}, {"weight": None, "other.x": None}):
        texts = []
        for library in (framework, torch):
            values = {key: library.zeros(2, 3) for key in state}
            with pytest.raises(RuntimeError) as caught:
                library.nn.Linear(3, 2).load_state_dict(values)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


def test_state_dict_shares_memory_and_loading_copies():
    net, other = Net(), Net()
    state = net.state_dict()
    assert not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.first.weight.detach().numpy(), net.first.weight.detach().numpy())
    with framework.no_grad():
        net.first.weight.fill_(7)
    assert state["first.weight"].numpy().max() == 7
    assert other.first.weight.detach().numpy().max() < 7
    assigned = Net()
    weight = framework.zeros(4, 1, 3, 3)
    assigned.load_state_dict({**state, "first.weight": weight}, assign=True)
    assert isinstance(assigned.first.weight, nn.Parameter)
    assert assigned.first.weight.data_ptr() == weight.data_ptr()
    assert assigned.first.weight.requires_grad


def test_loading_casts_to_the_parameters_type():
    net = nn.Linear(2, 2)
    net.load_state_dict({"weight": np.ones((2, 2), np.float64), "bias": np.zeros(2, np.float64)})
    assert net.weight.dtype == framework.float32
    assert net.weight.requires_grad


def test_old_batch_norm_without_a_counter_loads():
    norm = nn.BatchNorm1d(2)
    state = dict(norm.state_dict())
    del state["num_batches_tracked"]
    norm.load_state_dict(state)
    assert norm.num_batches_tracked.item() == 0


def test_extra_state_and_state_hooks():
    class Stateful(nn.Linear):
        extra = 1

        def get_extra_state(self):
            return {"extra": self.extra}

        def set_extra_state(self, state):
            self.extra = state["extra"]

    net = nn.Sequential(Stateful(2, 2))
    net[0].extra = 5
    state = net.state_dict()
    assert state["0._extra_state"] == {"extra": 5}
    other = nn.Sequential(Stateful(2, 2))
    other.load_state_dict(state)
    assert other[0].extra == 5
    del state["0._extra_state"]
    assert other.load_state_dict(state, strict=False).missing_keys == ["0._extra_state"]

    calls = []
    other.register_state_dict_pre_hook(lambda module, prefix, keep: calls.append(("pre", prefix)))
    other.register_state_dict_post_hook(lambda module, state, prefix, meta: state.update(added=framework.zeros(1)))
    state = other.state_dict()
    assert calls == [("pre", "")]
    assert "added" in state

    def rename(module, state, prefix, *_):
        state.pop("added", None)

    handle = other.register_load_state_dict_pre_hook(rename)
    other.register_load_state_dict_post_hook(lambda module, keys: calls.append(keys.unexpected_keys.copy()))
    other.load_state_dict(state)
    assert calls[-1] == []
    handle.remove()
    with pytest.raises(RuntimeError, match='Unexpected key\\(s\\) in state_dict: "added"'):
        other.load_state_dict(state)


def test_forward_hooks_change_arguments_and_output():
    net = nn.Linear(2, 2)
    seen = []
    x = framework.ones(1, 2)
    plain = net(x).detach().numpy()
    pre = net.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    with_kwargs = net.register_forward_pre_hook(lambda m, args, kwargs: seen.append(kwargs), with_kwargs=True)
    post = net.register_forward_hook(lambda module, args, output: output - net.bias)
    first = net.register_forward_hook(lambda module, args, output: seen.append("first"), prepend=True)
    np.testing.assert_allclose(net(x).detach().numpy(), 2 * (plain - net.bias.detach().numpy()), atol=1e-6)
    assert seen == [{}, "first"]
    for handle in (pre, with_kwargs, post, first):
        handle.remove()
    handle.remove()
    np.testing.assert_array_equal(net(x).detach().numpy(), plain)
    with net.register_forward_hook(lambda *_: 3):
        assert net(x) == 3
    assert net(x) is not 3  # noqa: F632


def test_hooks_that_are_always_called():
    class Failing(nn.Module):
        def forward(self, x):
            raise ArithmeticError("inside")

    seen = []
    net = Failing()
    net.register_forward_hook(lambda module, args, output: seen.append(output), always_call=True)
    net.register_forward_hook(lambda module, args, output: seen.append("never"))
    with pytest.raises(ArithmeticError):
        net(1)
    assert seen == [None]


def backward_trace(library, tensor):
    """Gradients that full backward hooks see and change, with an input used elsewhere too."""
    net = library.nn.Linear(2, 2)
    net.load_state_dict({"weight": tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": tensor([0.0, 0.0])})
    trace = []
    net.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 2,))

    def hook(module, grad_input, grad_output):
        trace.append(([g.tolist() for g in grad_input], [g.tolist() for g in grad_output]))
        return (grad_input[0] + 1,)

    net.register_full_backward_hook(hook)
    x = tensor([[1.0, -1.0]]).requires_grad_()
    y = net(x)
    (y.sum() + 10 * x.sum()).backward()
    return trace, x.grad.tolist(), net.weight.grad.tolist()


def test_full_backward_hooks_see_this_calls_gradients():
    ours = backward_trace(framework, framework.tensor)
    assert ours == ([([[[8.0, 12.0]]], [[[2.0, 2.0]]])], [[19.0, 23.0]], [[2.0, -2.0], [2.0, -2.0]])
    torch = pytest.importorskip("torch")
    assert ours == backward_trace(torch, torch.tensor)


def test_backward_hook_of_a_first_layer_has_no_input_gradient():
    net = nn.Linear(2, 2)
    seen = []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, len(grad_output))))
    net(framework.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1)]


def test_deepcopy_is_independent():
    net = Net()
    net.first.register_forward_hook(lambda module, args, output: output * 0)
    other = copy.deepcopy(net)
    with framework.no_grad():
        net.first.weight.fill_(3)
        net.seen.fill_(3)
    assert isinstance(other.first.weight, nn.Parameter)
    assert other.first.weight.requires_grad
    assert other.first.weight.detach().numpy().max() < 3
    assert other.seen.item() == 0
    assert not other(framework.ones(1, 1, 4, 4)).detach().numpy().any()
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    tied = copy.deepcopy(tied)
    assert tied[1].weight is tied[0].weight


def test_buffer_class_registers_itself():
    net = nn.Module()
    net.kept = nn.Buffer(framework.ones(2))
    net.lost = nn.Buffer(framework.ones(2), persistent=False)
    assert list(net.state_dict()) == ["kept"]
    assert names(net.named_buffers()) == ["kept", "lost"]
    assert copy.deepcopy(net.lost).persistent is False


def test_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    assert tuple(net(framework.ones(5, 2)).shape) == (5, 1)
    assert len(net) == 3
    assert net[-1] is c
    assert list(net[:2]) == [a, b]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    net.append(nn.Sigmoid()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "ReLU", "Linear", "Sigmoid"]
    assert net.pop(0).__class__ is nn.Identity
    del net[-1]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    named = nn.Sequential({"first": a, "second": b})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert list((net + named)._modules) == ["0", "1", "2", "3", "4"]
    with pytest.raises(IndexError, match="out of range"):
        _ = net[3]


def test_module_list_and_dict_and_their_repr():
    torch = pytest.importorskip("torch")
    texts = []
    for library in (framework, torch):
        n = library.nn
        net = n.Module()
        net.blocks = n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.ReLU()])
        net.empty = n.ModuleList()
        net.heads = n.ModuleDict({"a": n.Linear(2, 1), "b": n.Identity()})
        net.blocks += [n.Sequential(n.Tanh())]
        net.blocks.insert(1, n.Tanh())
        net.heads["c"] = n.ReLU()
        net.heads.pop("b")
        texts.append((repr(net), list(net.state_dict()), list(net.heads.keys()), len(net.blocks), "a" in net.heads))
    assert texts[0] == texts[1]


def test_parameter_containers():
    values = nn.ParameterList([framework.ones(2), nn.Parameter(framework.zeros(3))])
    values.append(framework.full((1,), 4.0))
    values[0] = framework.zeros(2)
    assert list(values.state_dict()) == ["0", "1", "2"]
    assert all(isinstance(v, nn.Parameter) for v in values)
    assert tuple(values[-1].shape) == (1,)
    assert len(values[1:]) == 2
    table = nn.ParameterDict({"a": framework.ones(2), "b": framework.zeros(1)})
    assert list(table.state_dict()) == ["a", "b"]
    assert table.pop("a").numel() == 2
    assert list(table.keys()) == ["b"]
    with pytest.raises(KeyError):
        _ = table["a"]


def test_clipping_gradients():
    weights = [nn.Parameter(framework.zeros(3)), nn.Parameter(framework.zeros(2)), nn.Parameter(framework.zeros(1))]
    weights[0].grad = framework.tensor([3.0, 0.0, 0.0])
    weights[1].grad = framework.tensor([0.0, -4.0])
    assert nn.utils.clip_grad_norm_(weights, 1.0).item() == 5
    np.testing.assert_allclose(weights[0].grad.numpy(), [0.6, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(weights[1].grad.numpy(), [0, -0.8], rtol=1e-5)
    assert nn.utils.clip_grad_norm_(weights, 100.0, norm_type=float("inf")).item() == pytest.approx(0.8, rel=1e-5)
    assert nn.utils.get_total_norm([w.grad for w in weights[:2]], 1.0).item() == pytest.approx(1.4, rel=1e-5)
    np.testing.assert_allclose(weights[1].grad.numpy(), [0, -0.8], rtol=1e-5)
    nn.utils.clip_grad_value_(weights, 0.5)
    np.testing.assert_allclose(weights[1].grad.numpy(), [0, -0.5])
    weights[1].grad = framework.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(weights, 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector():
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert tuple(vector.shape) == (8,)
    nn.utils.vector_to_parameters(vector, other.parameters())
    np.testing.assert_array_equal(other.weight.detach().numpy(), net.weight.detach().numpy())
    with pytest.raises(ValueError, match="8"):
        nn.utils.vector_to_parameters(framework.zeros(9), other.parameters())
