"""Parametrizations, weight and spectral norm, orthogonal matrices and folding: the same source in both libraries."""

import copy

import numpy as np
import pytest

import framework

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")]
LIBRARIES = (framework, torch)
X = np.random.default_rng(0).standard_normal((4, 5, 6))


def carried(module, source):
    """The module with the arrays of a state dict."""
    module.load_state_dict({key: value.numpy() for key, value in source.state_dict().items()})
    return module


def run(lib, module, x):
    """Output, gradients of input and parameters, and the state after one training step's forward and backward."""
    leaf = lib.tensor(x).requires_grad_()
    out = module(leaf)
    (out * out).sum().backward()
    parts = {"out": out, "x": leaf.grad, **{name: p.grad for name, p in module.named_parameters()}}
    parts.update(("state " + name, value) for name, value in module.state_dict().items())
    return {name: value.detach().numpy() for name, value in parts.items() if value is not None}


def assert_same_run(ours, theirs, x=X):
    mine, reference = run(framework, ours, x), run(torch, theirs, x)
    assert list(mine) == list(reference)
    for name, value in reference.items():
        np.testing.assert_allclose(mine[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def conv(lib):
    return lib.nn.Conv1d(5, 3, 2).double()


NORMS = {
    "weight": lambda lib: lib.nn.utils.parametrizations.weight_norm(conv(lib)),
    "weight, whole": lambda lib: lib.nn.utils.parametrizations.weight_norm(conv(lib), dim=None),
    "spectral": lambda lib: lib.nn.utils.parametrizations.spectral_norm(conv(lib), n_power_iterations=2),
    "spectral, transposed": lambda lib: lib.nn.utils.parametrizations.spectral_norm(
        lib.nn.ConvTranspose1d(5, 3, 2).double()
    ),
    "spectral, vector": lambda lib: lib.nn.utils.parametrizations.spectral_norm(conv(lib), "bias"),
    "both": lambda lib: lib.nn.utils.parametrizations.spectral_norm(
        lib.nn.utils.parametrizations.weight_norm(conv(lib))
    ),
    "older weight": lambda lib: lib.nn.utils.weight_norm(conv(lib)),
    "older weight, dim 1": lambda lib: lib.nn.utils.weight_norm(conv(lib), dim=1),
    "older spectral": lambda lib: lib.nn.utils.spectral_norm(conv(lib)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms(name) -> None:
    theirs = NORMS[name](torch)
    ours = carried(NORMS[name](framework), theirs)
    assert repr(ours) == repr(theirs)
    for mode in (True, True, False):
        ours.zero_grad(), theirs.zero_grad()
        assert_same_run(ours.train(mode), theirs.train(mode))
    if "older" not in name:  # a weight that a hook computed is no leaf, and not copied in either library
        assert_same_run(copy.deepcopy(ours), copy.deepcopy(theirs))


@pytest.mark.parametrize("which", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal(which, shape, trivial) -> None:
    def made(lib):
        layer = lib.nn.Linear(*shape).double()
        return lib.nn.utils.parametrizations.orthogonal(layer, "weight", which, use_trivialization=trivial)

    theirs = made(torch)
    ours = made(framework)
    if trivial:
        ours.parametrizations.weight[0].base = framework.tensor(theirs.parametrizations.weight[0].base.numpy())
    carried(ours, theirs)
    with framework.no_grad():
        ours.parametrizations.weight.original.add_(0.25)
    with torch.no_grad():
        theirs.parametrizations.weight.original.add_(0.25)
    assert_same_run(ours, theirs, np.random.default_rng(0).standard_normal((2, shape[0])))
    q = made(framework).weight
    small = q @ q.mT if q.shape[0] <= q.shape[1] else q.mT @ q
    np.testing.assert_allclose(small.detach().numpy(), np.eye(min(shape)), atol=1e-12)


def test_the_initial_weight_is_kept_where_it_is_orthogonal() -> None:
    framework.manual_seed(0)
    layer = framework.nn.Linear(4, 4).double()
    framework.nn.init.orthogonal_(layer.weight)
    before = layer.weight.detach().clone().numpy()
    after = framework.nn.utils.parametrizations.orthogonal(layer).weight
    np.testing.assert_allclose(after.detach().numpy(), before, atol=1e-12)


def own(lib):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x):
            return x.triu()

    class Scaled(lib.nn.Module):
        def forward(self, x):
            return 2 * x

        def right_inverse(self, x):
            return x / 2

    class RankOne(lib.nn.Module):
        def forward(self, x, y):
            return x.unsqueeze(-1) @ y.unsqueeze(-2)

        def right_inverse(self, z):
            return z[:, 0] + 1, z[0] + 1

    return Symmetric, Scaled, RankOne


def test_parametrizations_of_ones_own() -> None:
    stories = []
    for lib in LIBRARIES:
        symmetric, scaled, rank_one = own(lib)
        P = lib.nn.utils.parametrize
        layer = lib.nn.Linear(3, 3).double()
        with lib.no_grad():
            layer.weight.copy_(lib.arange(9).reshape(3, 3))
        first = layer.weight
        P.register_parametrization(layer, "weight", symmetric())
        P.register_parametrization(layer, "weight", scaled())
        story = [repr(layer), sorted(layer.state_dict()), layer.parametrizations.weight.original is first]
        story += [layer.weight.tolist(), P.is_parametrized(layer, "weight"), P.is_parametrized(layer, "bias")]
        layer.weight = lib.ones(3, 3).double()
        story.append(layer.weight.tolist())
        with P.cached():
            story.append(layer.weight is layer.weight)
        story.append(layer.weight is layer.weight)
        story += [copy.deepcopy(layer).weight.tolist(), P.type_before_parametrizations(layer) is lib.nn.Linear]
        P.remove_parametrizations(layer, "weight")
        story += [repr(layer), layer.weight.tolist(), layer.weight is first, type(layer) is lib.nn.Linear]
        P.remove_parametrizations(P.register_parametrization(layer, "weight", scaled()), "weight", False)
        story.append(layer.weight.tolist())
        P.register_parametrization(layer, "weight", rank_one())
        story += [sorted(layer.state_dict()), layer.weight.tolist()]
        into = P.transfer_parametrizations_and_params(layer, lib.nn.Linear(3, 3).double())
        story.append(into.weight.tolist())
        call = framework.nn.utils.functional_call if lib is framework else torch.func.functional_call
        story.append(call(into, {"bias": lib.zeros(3).double()}, lib.ones(3).double()).tolist())
        stories.append(story)
    assert stories[0] == stories[1]


def test_a_copy_keeps_its_parametrization_when_the_other_loses_it() -> None:
    P = framework.nn.utils.parametrize
    layer = P.register_parametrization(framework.nn.Linear(3, 3), "weight", own(framework)[1]())
    other, weight = copy.deepcopy(layer), layer.weight.tolist()
    P.remove_parametrizations(layer, "weight")
    assert other.weight.tolist() == weight
    assert P.is_parametrized(other)
    assert not P.is_parametrized(layer)


def test_refusals_are_torchs() -> None:
    def messages(lib):
        _, scaled, rank_one = own(lib)
        P, Q, U = lib.nn.utils.parametrize, lib.nn.utils.parametrizations, lib.nn.utils

        class Narrow(lib.nn.Module):
            def forward(self, x):
                return x[:1]

        class Half(lib.nn.Module):
            def forward(self, x):
                return x.half()

        class Words(lib.nn.Module):
            def forward(self, x):
                return "words"

        layer = lambda: lib.nn.Linear(3, 3)  # noqa: E731
        twice = lambda: P.register_parametrization(layer(), "weight", scaled())  # noqa: E731
        ranked = lambda: P.register_parametrization(layer(), "weight", rank_one())  # noqa: E731
        for call in (
            lambda: P.register_parametrization(layer(), "nothing", scaled()),
            lambda: P.register_parametrization(layer(), "weight", Narrow()),
            lambda: P.register_parametrization(layer(), "weight", Half()),
            lambda: P.register_parametrization(layer(), "weight", Words()),
            lambda: P.register_parametrization(twice(), "weight", Narrow()),
            lambda: P.register_parametrization(twice(), "weight", Half()),
            lambda: P.register_parametrization(twice(), "weight", Words()),
            lambda: setattr(P.register_parametrization(twice(), "weight", lib.nn.Identity()), "weight", lib.ones(3, 3)),
            lambda: P.remove_parametrizations(layer(), "weight"),
            lambda: P.remove_parametrizations(ranked(), "weight", leave_parametrized=False),
            lambda: Q.orthogonal(layer(), "nothing"),
            lambda: Q.orthogonal(layer(), "bias"),
            lambda: Q.orthogonal(layer(), orthogonal_map="polar"),
            lambda: Q.spectral_norm(layer(), n_power_iterations=0),
            lambda: Q.spectral_norm(layer(), dim=2),
            lambda: U.remove_weight_norm(layer()),
            lambda: U.remove_spectral_norm(layer()),
            lambda: U.weight_norm(U.weight_norm(layer())),
            lambda: U.spectral_norm(U.spectral_norm(layer())),
        ):
            with pytest.raises((RuntimeError, ValueError, IndexError)) as caught:
                call()
            yield str(caught.value).replace(lib.__name__ + ".", "")

    for mine, reference in zip(messages(framework), messages(torch), strict=True):
        assert mine == reference


def test_state_dicts_of_the_older_norms_load() -> None:
    old = torch.nn.utils.weight_norm(torch.nn.Conv1d(5, 3, 2).double())
    new = carried(framework.nn.utils.parametrizations.weight_norm(conv(framework)), old)
    np.testing.assert_allclose(new.weight.detach().numpy(), old.weight.detach().numpy(), rtol=1e-12)

    theirs = torch.nn.utils.spectral_norm(conv(torch))
    theirs(torch.tensor(X))
    state = {key: value.detach() for key, value in theirs.state_dict().items() if not key.endswith("_v")}
    state["weight"] = theirs.weight.detach()
    ours = framework.nn.utils.spectral_norm(conv(framework)).eval()
    ours.load_state_dict({key: framework.tensor(value.numpy()) for key, value in state.items()})
    ours(framework.tensor(X))
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-9)


def test_removal_leaves_the_weight_as_it_is() -> None:
    U = framework.nn.utils
    for make, remove in ((U.weight_norm, U.remove_weight_norm), (U.spectral_norm, U.remove_spectral_norm)):
        layer = make(conv(framework))
        layer(framework.tensor(X))
        weight = layer.weight.detach().numpy().copy()
        remove(layer)
        np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-12)
        assert sorted(layer.state_dict()) == ["bias", "weight"]
        assert isinstance(layer.weight, framework.nn.Parameter)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_batch_norm_folds_into_the_layer_before(kind, bias, affine) -> None:
    nn, fusion = framework.nn, framework.nn.utils.fusion
    layer = (nn.Linear(3, 4, bias=bias) if kind == "Linear" else getattr(nn, kind)(3, 4, 3, bias=bias)).double()
    norm = (nn.BatchNorm1d if kind == "Linear" else nn.BatchNorm2d)(4, affine=affine).double()
    x = framework.randn(*((6, 3) if kind == "Linear" else (2, 3, 7, 8)), dtype=framework.float64)
    for _ in range(3):
        norm(layer(x))
    if affine:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    layer.eval(), norm.eval()
    fused = (
        fusion.fuse_linear_bn_eval(layer, norm)
        if kind == "Linear"
        else fusion.fuse_conv_bn_eval(layer, norm, transpose=kind == "ConvTranspose2d")
    )
    np.testing.assert_allclose(fused(x).detach().numpy(), norm(layer(x)).detach().numpy(), atol=1e-12)
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fusion.fuse_conv_bn_eval(layer.train(), norm)


def test_modules_without_initial_values() -> None:
    layer = framework.nn.utils.skip_init(framework.nn.Linear, 3, 4, dtype=framework.float64)
    assert layer.weight.shape == (4, 3)
    framework.manual_seed(3)
    framework.nn.utils.skip_init(framework.nn.Linear, 100, 100)
    after = framework.rand(1).item()
    framework.manual_seed(3)
    assert framework.rand(1).item() == after  # nothing was drawn
    with pytest.raises(RuntimeError, match="Expected a Module"):
        framework.nn.utils.skip_init(len)
