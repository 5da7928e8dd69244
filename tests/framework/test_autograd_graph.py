"""Hooks on what a graph saves and on its nodes; what it holds; anomaly mode."""

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework import autograd, nn
from framework.autograd import Function, detect_anomaly, graph, set_detect_anomaly


def leaf(*values: float) -> vh.Tensor:
    return vh.tensor(list(values), dtype=vh.float64, requires_grad=True)


# -- saved tensors ------------------------------------------------------------------------------------------------


def test_saved_tensors_go_through_the_innermost_hooks() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    seen: list[str] = []

    def hooks(name: str) -> graph.saved_tensors_hooks:
        return graph.saved_tensors_hooks(
            lambda t: (seen.append(f"pack {name} {t.tolist()}"), t.numpy().copy())[1],
            lambda a: (seen.append(f"unpack {name}"), vh.from_numpy(a))[1],
        )

    with hooks("outer"):
        y = vh.exp(x)
        with hooks("inner"):
            z = x * w
    (y + z).sum().backward()
    assert seen[0].startswith("pack outer [2.718")
    assert seen[1:3] == ["pack inner [3.0, 4.0]", "pack inner [1.0, 2.0]"] or set(seen[1:3]) == {
        "pack inner [3.0, 4.0]",
        "pack inner [1.0, 2.0]",
    }
    assert seen.count("unpack inner") == 2
    assert seen.count("unpack outer") == 1
    np.testing.assert_allclose(x.grad.numpy(), np.add(np.exp([1, 2]), [3, 4]))


def test_what_pack_loses_backward_does_not_have() -> None:
    x = leaf(1, 2)
    with graph.saved_tensors_hooks(lambda t: None, lambda packed: vh.zeros(2, dtype=vh.float64)):
        y = x * x
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]
    with graph.saved_tensors_hooks(lambda t: t, lambda packed: 3):  # type: ignore[arg-type,return-value]
        y = x * x
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got int"):
        y.sum().backward()


def test_hooks_serve_functions_lists_and_second_derivatives() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return 3 * g * ctx.saved_tensors[0] ** 2

    x = leaf(1, 2)
    packed: list[Any] = []
    with graph.saved_tensors_hooks(lambda t: packed.append(t) or len(packed) - 1, lambda n: packed[n] * 1):
        y = vh.einsum("i,i->i", Cube.apply(x), vh.sin(x))
        (g,) = autograd.grad(y.sum(), x, create_graph=True)
        (h,) = autograd.grad(g.sum(), x)
    v = np.array([1.0, 2.0])
    np.testing.assert_allclose(h.numpy(), 6 * v * np.sin(v) + 6 * v**2 * np.cos(v) - v**3 * np.sin(v))


def test_save_on_cpu_and_disabled_hooks() -> None:
    x = leaf(2)
    with graph.save_on_cpu():
        y = x * x
    y.backward()
    assert x.grad.tolist() == [4]
    with (
        graph.disable_saved_tensors_hooks("not here"),
        pytest.raises(RuntimeError, match="not here"),
        graph.save_on_cpu(),
    ):
        pass
    with graph.save_on_cpu():
        assert vh.is_grad_enabled()


@pytest.mark.oracle
def test_hooked_saves_are_torchs_for_common_operations() -> None:
    import torch

    def count(module: Any) -> list[list[tuple[int, ...]]]:
        results = []
        a = module.ones(3, 4).requires_grad_()
        b = module.ones(4, 5).requires_grad_()
        for function in (lambda: a @ b, lambda: a.exp(), lambda: a * a, lambda: a.sum(), lambda: a.tanh() + 1):
            shapes: list[tuple[int, ...]] = []
            hooks = module.autograd.graph.saved_tensors_hooks(
                lambda t, shapes=shapes: shapes.append(tuple(t.shape)), lambda t: t
            )
            with hooks:
                function()
            results.append(sorted(shapes))
        return results

    assert count(vh) == count(torch)


def test_a_saved_output_does_not_keep_its_own_graph_alive() -> None:
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            y = vh.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g * ctx.saved_tensors[0]

    x = leaf(1)
    y = Exp.apply(x)
    assert autograd.gradgradcheck(Exp.apply, [x])
    node = weakref.ref(y.grad_fn)
    gc.disable()
    try:
        del y
        assert node() is None
    finally:
        gc.enable()


# -- nodes --------------------------------------------------------------------------------------------------------


def test_hooks_around_nodes() -> None:
    x = leaf(1, 2)
    y = x * 3
    seen: list[Any] = []
    node = y.grad_fn
    node.metadata["mine"] = 7
    assert node.metadata == {"mine": 7}
    assert node.next_functions[0][0].name() == "AccumulateGrad"
    pre = node.register_prehook(lambda grads: (grads[0] * 10,))
    node.register_hook(lambda inputs, outputs: seen.append((inputs[0].tolist(), outputs[0].tolist())))
    y.sum().backward(retain_graph=True)
    assert seen == [([30, 30], [10, 10])]
    assert x.grad.tolist() == [30, 30]
    pre.remove()
    node.register_hook(lambda inputs, outputs: (inputs[0] + 1, None))
    y.sum().backward()
    assert x.grad.tolist() == [34, 34]


def test_hooks_on_the_accumulating_node() -> None:
    x = leaf(1, 2)
    node = graph.get_gradient_edge(x).node
    node.register_prehook(lambda grads: (grads[0] * 2,))
    seen: list[Any] = []
    node.register_hook(lambda inputs, outputs: seen.append((inputs, outputs[0].tolist())))
    (x * 1).sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert seen == [((), [2, 2])]


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["all", "any"])
def test_hook_of_several_gradients_is_torchs(mode: str) -> None:
    import torch

    def run(module: Any) -> list[Any]:
        seen: list[Any] = []
        a, b, c, d = (module.ones(2).requires_grad_() for _ in range(4))

        def note(grads: Any) -> None:
            seen.append([None if g is None else g.tolist() for g in (grads if mode == "all" else [grads])])

        handle = module.autograd.graph.register_multi_grad_hook((a, b, c, d), note, mode=mode)
        out = a * 2 + b * c
        out.sum().backward(retain_graph=True)
        out.sum().backward(inputs=[a, c], retain_graph=True)
        (a * d).sum().backward()
        handle.remove()
        out.sum().backward()
        return seen if mode == "all" else [len(seen)]

    assert run(vh) == run(torch)


def test_saved_bytes_counts_memory_once() -> None:
    x = vh.ones(1000, requires_grad=True)
    y = x.exp()
    assert graph.saved_bytes(y) == 4000
    z = y * y.reshape(10, 100).reshape(1000)
    assert graph.saved_bytes(z) == 4000
    assert graph.saved_bytes(x * x) == 0  # a leaf's own memory
    z.sum().backward()
    assert graph.saved_bytes(z) == 0


# -- anomaly mode -------------------------------------------------------------------------------------------------


def test_anomaly_names_the_forward_line_last() -> None:
    x = leaf(0)
    with detect_anomaly():
        y = vh.sqrt(x) * 0  # the line
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"SqrtBackward.*nan values in its 0th output") as caught:
        y.backward()
    assert str(caught.value).rstrip().endswith("y = vh.sqrt(x) * 0  # the line")


def test_anomaly_without_the_check_lets_nan_pass() -> None:
    x = leaf(0)
    with detect_anomaly(check_nan=False):
        assert autograd.is_anomaly_enabled()
        assert not autograd.is_anomaly_check_nan_enabled()
        (vh.sqrt(x) * 0).backward()
    assert np.isnan(x.grad.numpy()).all()
    set_detect_anomaly(True)
    assert autograd.is_anomaly_check_nan_enabled()
    set_detect_anomaly(False)
    assert not autograd.is_anomaly_enabled()
    with set_detect_anomaly(True):
        assert autograd.is_anomaly_enabled()
    assert not autograd.is_anomaly_enabled()


def test_anomaly_notes_the_forward_line_of_any_error() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 2

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            raise ValueError("broken")

    x = leaf(1)
    with detect_anomaly():
        y = Broken.apply(x)  # the line
        with pytest.raises(ValueError, match="broken") as caught:
            y.backward()
    assert "BrokenBackward" in caught.value.__notes__[0]
    assert caught.value.__notes__[0].rstrip().endswith("y = Broken.apply(x)  # the line")


# -- the engine ---------------------------------------------------------------------------------------------------


def test_backward_inside_a_hook() -> None:
    x, w = leaf(2), leaf(3)
    y = x * x

    @vh.enable_grad()
    def inner(g: vh.Tensor) -> None:
        (w * w * g.item()).sum().backward()

    y.register_hook(inner)
    (y * 5).backward()
    assert w.grad.tolist() == [30]
    assert x.grad.tolist() == [20]


def test_backward_of_several_threads_on_graphs_that_share_nodes() -> None:
    x = leaf(*np.linspace(0, 1, 100))
    shared = (x * x).exp()
    errors: list[BaseException] = []

    def work(scale: float) -> None:
        try:
            for _ in range(20):
                (shared * 0 + x * scale).sum().backward(retain_graph=True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(float(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    np.testing.assert_array_equal(x.grad.numpy()[:10], np.full(10, 20.0 * sum(range(8))))


def test_a_long_chain_lives_and_dies_on_a_small_stack() -> None:
    done: list[float] = []

    def work() -> None:
        x = leaf(1)
        y = x
        for _ in range(100_000):
            y = y * 1.0
        y.backward()
        done.append(x.grad.item())
        z = x
        for _ in range(100_000):
            z = vh.add(z, 1.0, alpha=1)
        del z  # a graph that never ran backward

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done == [1.0]


@pytest.mark.oracle
def test_freed_graph_says_what_torch_says() -> None:
    import torch

    def message(module: Any) -> str:
        x = module.ones(2).requires_grad_()
        y = (x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError) as caught:
            y.backward()
        return " ".join(str(caught.value).replace(".backward()", "").split())[:120]

    assert message(vh) == message(torch)


def test_memory_of_a_network_is_what_its_graph_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward keeps the saved arrays and little else; backward frees them as it goes."""
    import tracemalloc

    from framework.backends.cpu import memory

    monkeypatch.setattr(memory, "SMALLEST", 1 << 62)  # all memory from NumPy, where it is traced
    net = nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1),
        nn.NormAct(8, negative_slope=0.01),
        nn.Conv3d(8, 16, 3, stride=2, padding=1),
        nn.NormAct(16, negative_slope=0.01),
        nn.ConvTranspose3d(16, 8, 2, stride=2),
        nn.Conv3d(8, 2, 1),
    )
    x = vh.randn(1, 1, 32, 32, 32)
    target = vh.zeros(1, 32, 32, 32, dtype=vh.int64)
    for _ in range(2):  # compiled kernels, gradients and work space are there
        nn.functional.cross_entropy(net(x), target).backward()
    gc.collect()
    tracemalloc.start()
    try:
        loss = nn.functional.cross_entropy(net(x), target)
        held = tracemalloc.get_traced_memory()[0]
        saved = graph.saved_bytes(loss)
        inputs = x.nbytes + target.nbytes  # saved, but made before
        loss.backward()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held == pytest.approx(saved - inputs, rel=0.05)
    assert left < 0.05 * held
