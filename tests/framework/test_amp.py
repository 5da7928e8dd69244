"""Autocast regions and the gradient scaler."""

import threading
from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.core.autocast import Policy, casting, operation
from framework.core.modes import modes
from framework.nn import functional as F


@pytest.fixture(autouse=True)
def no_region_is_left() -> Any:
    yield
    assert modes.flags == 1
    assert not casting.cache
    assert casting.depth == 0


def test_regions_nest_and_restore() -> None:
    x = vh.randn(3, 3)
    assert not vh.is_autocast_enabled("cpu")
    assert vh.get_autocast_dtype("cpu") is vh.bfloat16
    with vh.autocast("cpu"):
        assert vh.is_autocast_enabled("cpu")
        assert not vh.is_autocast_enabled("cuda")
        assert (x @ x).dtype is vh.bfloat16
        with vh.autocast("cpu", enabled=False):
            assert (x @ x).dtype is vh.float32
        with vh.autocast("cpu", dtype=vh.float16):
            assert vh.get_autocast_dtype("cpu") is vh.float16
            assert (x @ x).dtype is vh.float16
        assert (x @ x).dtype is vh.bfloat16
    assert (x @ x).dtype is vh.float32
    with pytest.raises(KeyError), vh.autocast("cpu"):
        raise KeyError
    assert not vh.is_autocast_enabled("cpu")


def test_one_region_object_nests_in_itself() -> None:
    region = vh.autocast("cpu")
    with region, region:
        assert vh.is_autocast_enabled("cpu")
    assert not vh.is_autocast_enabled("cpu")


def test_decorator() -> None:
    @vh.autocast("cpu", dtype=vh.bfloat16)
    def square(x: vh.Tensor) -> vh.Tensor:
        """Doc."""
        return x @ x

    assert square(vh.randn(2, 2)).dtype is vh.bfloat16
    assert square.__doc__ == "Doc."
    with pytest.raises(TypeError, match="requires a callable"):
        vh.autocast("cpu")(3)  # type: ignore[type-var]


def test_a_region_belongs_to_its_thread() -> None:
    seen: list[Any] = []
    with vh.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((vh.ones(2, 2) @ vh.ones(2, 2)).dtype))
        thread.start()
        thread.join()
    assert seen == [vh.float32]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="device_type"):
        vh.autocast(vh.float32)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'tpu'"):
        vh.autocast("tpu")
    with pytest.warns(UserWarning, match="only supports dtypes of"), vh.autocast("cpu", dtype=vh.float64):
        assert not vh.is_autocast_enabled("cpu")
    if not vh.core.device.cuda_is_available():
        with pytest.warns(UserWarning, match="CUDA is not available"), vh.autocast("cuda"):
            assert not vh.is_autocast_enabled("cuda")
    with pytest.raises(ValueError, match="autocast class 'cpu:high'"):
        Policy("cpu:high")


def test_gradients_have_the_parameters_type() -> None:
    layer = vh.nn.Linear(4, 3)
    x = vh.randn(5, 4, requires_grad=True)
    with vh.autocast("cpu"):
        y = layer(x)
        loss = F.mse_loss(y, vh.zeros(5, 3))
    assert y.dtype is vh.bfloat16
    assert loss.dtype is vh.float32
    loss.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is vh.float32
    assert x.grad is not None
    assert x.grad.dtype is vh.float32
    exact = vh.autograd.grad(F.mse_loss(layer(x), vh.zeros(5, 3)), layer.weight)[0]
    assert (layer.weight.grad - exact).abs().max() < 0.02 * exact.abs().max()


def test_backward_inside_a_region_casts_nothing() -> None:
    x = vh.randn(4, 4, requires_grad=True)
    with vh.autocast("cpu"):
        (x.exp() @ x).float().sum().backward()
    inside, x.grad = x.grad, None
    with vh.autocast("cpu"):
        loss = (x.exp() @ x).float().sum()
    loss.backward()
    assert x.grad is not None
    assert inside is not None
    assert np.array_equal(inside.numpy(), x.grad.numpy())


class TestCache:
    def casts(self, layer: Any, times: int = 3, **options: Any) -> int:
        """How many nodes stand right before the layer's weight, after several uses."""
        x = vh.ones(1, 2)
        with vh.autocast("cpu", **options):
            total = sum((layer(x) for _ in range(times)), vh.zeros(()))
        seen, stack = set(), [total.sum().grad_fn]
        while stack:
            node = stack.pop()
            stack += [edge[0] for edge in node.edges if edge is not None and edge[0] not in seen]
            seen.update(edge[0] for edge in node.edges if edge is not None)
        weight = layer.weight._edge[0]
        return sum(any(edge is not None and edge[0] is weight for edge in node.edges) for node in seen)

    def test_a_parameter_is_cast_once(self) -> None:
        layer = vh.nn.Linear(2, 2)
        assert self.casts(layer) == 1
        assert self.casts(layer, cache_enabled=False) == 3

    def test_a_written_parameter_is_cast_again(self) -> None:
        weight = vh.nn.Parameter(vh.ones(2, 2))
        x = vh.ones(1, 2)
        with vh.autocast("cpu"):
            assert (x @ weight).sum() == 4
            with vh.no_grad():
                weight.mul_(3)
            assert (x @ weight).sum() == 12
            weight.data = vh.zeros(2, 2)
            assert (x @ weight).sum() == 0

    def test_an_optimizer_step_inside_a_region_is_seen(self) -> None:
        weight = vh.nn.Parameter(vh.ones(2, 2))
        optimizer = vh.optim.SGD([weight], lr=0.5)
        with vh.autocast("cpu"):
            (vh.ones(1, 2) @ weight).sum().backward()
            optimizer.step()
            assert (vh.ones(1, 2) @ weight).sum() == 2

    def test_a_cast_made_without_recording_is_not_used_for_recording(self) -> None:
        weight = vh.nn.Parameter(vh.ones(2, 2))
        with vh.autocast("cpu"):
            with vh.no_grad():
                weight @ weight
            assert (weight @ weight).requires_grad


def test_what_is_never_cast() -> None:
    x = vh.randn(2, 2)
    with vh.autocast("cpu"):
        assert (x.double() @ x.double()).dtype is vh.float64
        assert vh.matmul(x, x, out=vh.empty(2, 2)).dtype is vh.float32
        assert (vh.tensor([[1, 2]]) @ vh.tensor([[1], [2]])).dtype is vh.int64
        assert vh.prod(x.bfloat16(), dtype=vh.bfloat16).dtype is vh.bfloat16


def test_inside_an_operation_nothing_is_cast_further() -> None:
    @operation(autocast="cpu:float32")
    def precise(x: vh.Tensor) -> vh.Tensor:
        return x @ x

    with vh.autocast("cpu"):
        assert precise(vh.ones(2, 2).bfloat16()).dtype is vh.float32


class Cube(vh.autograd.Function):
    """x^3 in float32, whatever the region."""

    @staticmethod
    @vh.amp.custom_fwd(device_type="cpu", cast_inputs=vh.float32)
    def forward(ctx: Any, x: vh.Tensor) -> vh.Tensor:
        assert not vh.is_autocast_enabled("cpu")
        ctx.save_for_backward(x)
        return x @ x @ x

    @staticmethod
    @vh.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: vh.Tensor) -> Any:
        assert not vh.is_autocast_enabled("cpu")
        return grad


class Product(vh.autograd.Function):
    """A product in the region's type, forward and backward."""

    @staticmethod
    @vh.amp.custom_fwd(device_type="cpu")
    def forward(ctx: Any, x: vh.Tensor) -> vh.Tensor:
        ctx.save_for_backward(x)
        return x @ x

    @staticmethod
    @vh.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: vh.Tensor) -> Any:
        assert (grad @ grad).dtype is vh.bfloat16
        return grad


def test_custom_functions() -> None:
    x = vh.randn(2, 2, requires_grad=True)
    with vh.autocast("cpu"):
        cube, product = Cube.apply(x.bfloat16()), Product.apply(x)
    assert cube.dtype is vh.float32
    assert product.dtype is vh.bfloat16
    (cube.sum() + product.sum()).backward()
    assert x.grad is not None
    assert x.grad.dtype is vh.float32
    assert Cube.apply(x.bfloat16()).dtype is vh.bfloat16  # outside a region nothing is cast


@pytest.mark.oracle
class TestScalerBesideTorch:
    @staticmethod
    def history(m: Any, steps: int = 60) -> list[Any]:
        """Scale, tracker and parameters after each of many steps, some with infinite or NaN gradients."""
        stream = np.random.default_rng(3)
        params = [m.nn.Parameter(m.ones(3)), m.nn.Parameter(m.ones(2, 2))]
        first, second = m.optim.SGD(params[:1], lr=0.1, momentum=0.9), m.optim.AdamW(params[1:], lr=0.1)
        scaler = m.amp.GradScaler("cpu", init_scale=1000.0, growth_interval=3, growth_factor=1.7, backoff_factor=0.3)
        rows: list[Any] = []
        for step in range(steps):
            for number, param in enumerate(params):
                weights = stream.standard_normal(tuple(param.shape)).astype("float32")
                if stream.random() < 0.15:
                    weights.flat[0] = stream.choice([np.inf, -np.inf, np.nan])
                param.grad = None
                scaler.scale((param * m.tensor(weights)).sum()).backward()
                if step % 2 == number:
                    scaler.unscale_((first, second)[number])
            scaler.step(first)
            scaler.step(second)
            scaler.update(7.5 if step == 40 else None)
            state = scaler.state_dict()
            rows.append([state["scale"], state["_growth_tracker"]])
            rows += [param.detach().numpy().copy() for param in params]
        return [*rows, list(scaler.state_dict())]

    def test_same_sequence(self) -> None:
        import torch

        ours, theirs = self.history(vh), self.history(torch)
        assert ours[-1] == theirs[-1]
        for mine, reference in zip(ours[:-1], theirs[:-1], strict=True):
            np.testing.assert_allclose(mine, reference, rtol=1e-4, atol=1e-5)
        assert len({row[0] for row in ours[:-1:3]}) > 5  # it grew and backed off

    def test_scale_of_containers(self) -> None:
        import torch

        for m in (vh, torch):
            scaler = m.amp.GradScaler("cpu", init_scale=4.0)
            one, (two, three) = scaler.scale((m.ones(2), [m.ones(1), m.ones(1).double()]))
            assert one[0] == 4
            assert two.dtype == m.float32
            assert three.dtype == m.float64
            with pytest.raises(ValueError, match="must be a Tensor or an iterable"):
                scaler.scale(3)

    def test_state_goes_from_torch_and_back(self) -> None:
        import torch

        theirs = torch.amp.GradScaler("cpu", init_scale=32.0, growth_interval=5)
        ours = vh.amp.GradScaler("cpu")
        ours.load_state_dict(theirs.state_dict())
        assert ours.state_dict() == theirs.state_dict()
        theirs.load_state_dict(ours.state_dict())

    @pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
    def test_unscaling_of_other_types(self, kind: str) -> None:
        import torch

        found = []
        for m in (vh, torch):
            param = m.nn.Parameter(m.ones(5, dtype=getattr(m, kind)))
            scaler = m.amp.GradScaler("cpu", init_scale=3.0)
            optimizer = m.optim.SGD([param], lr=0.1)
            scaler.scale((param * m.tensor([1.1, 2.2, 3.3, 4.4, 5.5], dtype=param.dtype)).sum()).backward()
            if kind == "float16":
                with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
                    scaler.unscale_(optimizer)
                return
            scaler.unscale_(optimizer)
            found.append(param.grad.double().numpy())
        np.testing.assert_array_equal(*found)


class TestScaler:
    def test_order_of_calls(self) -> None:
        param = vh.nn.Parameter(vh.ones(1))
        optimizer = vh.optim.SGD([param], lr=0.1)
        scaler = vh.amp.GradScaler("cpu")
        with pytest.raises(AssertionError, match="_scale is None"):
            scaler.unscale_(optimizer)
        scaler.scale(param.sum()).backward()
        scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="already been called on this optimizer"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
            scaler.step(optimizer)
        with pytest.raises(RuntimeError, match=r"being called after step\(\)"):
            scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="Closure"):
            scaler.step(optimizer, closure=lambda: None)
        scaler.update()
        with pytest.raises(AssertionError, match="No inf checks"):
            scaler.update()

    def test_disabled(self) -> None:
        scaler = vh.amp.GradScaler("cpu", enabled=False)
        loss = vh.ones(())
        assert scaler.scale(loss) is loss
        assert scaler.get_scale() == 1.0
        assert scaler.state_dict() == {}
        enabled = vh.amp.GradScaler("cpu")
        with pytest.raises(RuntimeError, match="source state dict is empty"):
            enabled.load_state_dict({})

    def test_wrong_factors(self) -> None:
        with pytest.raises(AssertionError, match="growth factor"):
            vh.amp.GradScaler("cpu", growth_factor=1.0)
        with pytest.raises(AssertionError, match="backoff factor"):
            vh.amp.GradScaler("cpu", backoff_factor=1.0)

    @pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided", "large"])
    @pytest.mark.parametrize("bad", [None, np.inf, -np.inf, np.nan])
    def test_every_element_is_unscaled_and_looked_at(self, layout: str, bad: float | None) -> None:
        """The fused kernel beside the reference in NumPy, wherever the bad element lies."""
        from framework.ops.foreach import foreach_unscale

        stream = np.random.default_rng(0)
        values = stream.standard_normal((3, 5, 7, 2) if layout != "large" else (100_003,)).astype("float32")
        if bad is not None:
            values.flat[stream.integers(values.size)] = bad
        grad = values.copy()
        if layout == "channels_last":
            grad = np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
        if layout == "strided":
            grad = np.repeat(values, 2, axis=3)[..., ::2]
        others = [np.ones(3, np.float32), np.ones((), np.float32), np.empty(0, np.float32)]
        assert float(foreach_unscale([others[0], grad, *others[1:]], 0.25)) == (bad is not None)
        np.testing.assert_array_equal(grad, values * np.float32(0.25))
        assert others[0].tolist() == [0.25] * 3
