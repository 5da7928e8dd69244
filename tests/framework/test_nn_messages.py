"""What modules refuse, and in which words: each refusal as torch words it."""

import re

import pytest

import framework

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def net(lib):
    class Net(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = lib.nn.Conv1d(1, 2, 3)
            self.norm = lib.nn.BatchNorm1d(2)
            self.register_buffer("mask", lib.ones(2), persistent=False)
            self.register_parameter("none", None)
            self.plain = 3

        def forward(self, x):
            return self.norm(self.first(x))

    return Net()


def without_init(lib):
    class Net(lib.nn.Module):
        def __init__(self) -> None:
            self.weight = lib.nn.Parameter(lib.ones(1))

    return Net()


def with_hook(lib, hook):
    module = net(lib)
    module.register_load_state_dict_post_hook(hook)
    return module


CALLS = {
    "no forward": lambda lib: lib.nn.Module()(1),
    "no init": without_init,
    "parameter not a parameter": lambda lib: net(lib).register_parameter("p", lib.ones(1)),
    "parameter of a graph": lambda lib: net(lib).register_parameter("p", 3),
    "parameter name": lambda lib: net(lib).register_parameter("a.b", None),
    "empty parameter name": lambda lib: net(lib).register_parameter("", None),
    "number as parameter name": lambda lib: net(lib).register_parameter(3, None),
    "taken parameter name": lambda lib: net(lib).register_parameter("plain", None),
    "buffer not a tensor": lambda lib: net(lib).register_buffer("b", 3),
    "buffer name": lambda lib: net(lib).register_buffer("a.b", None),
    "taken buffer name": lambda lib: net(lib).register_buffer("first", None),
    "module not a module": lambda lib: net(lib).add_module("m", 3),
    "module name": lambda lib: net(lib).add_module("a.b", None),
    "taken module name": lambda lib: net(lib).add_module("plain", None),
    "assigned parameter": lambda lib: setattr(net(lib).first, "weight", lib.ones(1)),
    "assigned module": lambda lib: setattr(net(lib), "first", 3),
    "assigned buffer": lambda lib: setattr(net(lib), "mask", 3),
    "absent attribute": lambda lib: net(lib).nothing,
    "absent submodule": lambda lib: net(lib).get_submodule("first.nothing"),
    "submodule not a module": lambda lib: net(lib).get_submodule("plain"),
    "absent parameter": lambda lib: net(lib).get_parameter("first.nothing"),
    "parameter that is a buffer": lambda lib: net(lib).get_parameter("mask"),
    "absent buffer": lambda lib: net(lib).get_buffer("nothing"),
    "buffer that is a parameter": lambda lib: net(lib).get_buffer("first.weight"),
    "integer type": lambda lib: net(lib).to(lib.int64),
    "mode": lambda lib: net(lib).train(1),
    "set without a name": lambda lib: net(lib).set_submodule("", lib.nn.ReLU()),
    "set where nothing is": lambda lib: net(lib).set_submodule("nothing.deeper", lib.nn.ReLU()),
    "set over what is no module": lambda lib: net(lib).set_submodule("plain", lib.nn.ReLU()),
    "state not a dict": lambda lib: net(lib).load_state_dict([1]),
    "missing and unexpected": lambda lib: net(lib).load_state_dict(
        {"first.weight": lib.ones(2, 1, 3), "x.y": 1, "z": 2}
    ),
    "sizes": lambda lib: net(lib).load_state_dict(
        {**net(lib).state_dict(), "first.bias": lib.ones(3), "norm.running_var": lib.ones(1)}
    ),
    "sizes, not strict": lambda lib: net(lib).load_state_dict({"first.bias": lib.ones(3)}, strict=False),
    "not a tensor": lambda lib: net(lib).load_state_dict({**net(lib).state_dict(), "first.bias": "text"}),
    "hook that returns": lambda lib: with_hook(lib, lambda module, keys: 1).load_state_dict(net(lib).state_dict()),
    "pre-hook that returns": lambda lib: _pre_hooked(lib)(lib.ones(1, 1, 5)),
}


def _pre_hooked(lib):
    module = net(lib)
    module.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    return module


@pytest.mark.parametrize("name", CALLS)
def test_refused_in_torchs_words(name: str) -> None:
    with pytest.raises(Exception) as reference:
        CALLS[name](torch)
    with pytest.raises(Exception) as mine:
        CALLS[name](framework)
    assert type(mine.value).__name__ == type(reference.value).__name__
    assert _plain(mine.value) == _plain(reference.value)


def test_what_could_not_be_matched_reads_as_torchs() -> None:
    texts = [
        repr(net(lib).load_state_dict({"x": lib.ones(1), "first.bias": lib.ones(2)}, strict=False))
        for lib in (framework, torch)
    ]
    assert texts[0] == texts[1]
    assert repr(net(framework).load_state_dict(net(framework).state_dict())) == "<All keys matched successfully>"


def test_assign_takes_the_tensors_themselves() -> None:
    for lib in (framework, torch):
        source, target = net(lib), net(lib)
        target.first.weight.requires_grad_(False)
        state = source.double().state_dict()
        target.load_state_dict(state, assign=True)
        assert target.first.weight.dtype == lib.float64
        assert not target.first.weight.requires_grad
        assert target.first.bias.requires_grad
        assert isinstance(target.first.weight, lib.nn.Parameter)
        assert target.norm.running_mean.data_ptr() == state["norm.running_mean"].data_ptr()


def test_a_scalar_saved_with_one_dimension_loads() -> None:
    for lib in (framework, torch):
        module = lib.nn.Module()
        module.scale = lib.nn.Parameter(lib.tensor(1.0))
        module.load_state_dict({"scale": lib.tensor([4.0])})
        assert module.scale.item() == 4


def test_moving_to_memory_without_values() -> None:
    module = net(framework).to_empty(device="cpu")
    assert {name: tuple(t.shape) for name, t in module.state_dict().items()} == {
        name: tuple(t.shape) for name, t in net(torch).state_dict().items()
    }
    assert all(p.requires_grad for p in module.parameters())


def _plain(error: Exception) -> str:
    """The message without the library's name, or the addresses of objects."""
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    text = re.sub(r" at 0x\w+", "", text.replace("torch.FloatTensor", "Tensor"))
    return re.sub(r"\b(torch|framework)[. ]", "", text)
