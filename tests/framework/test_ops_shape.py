"""Views, parts, joins, copies, strides, constants and memory formats beside PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from beside_torch import assert_same, assert_same_values, uniform

import framework as vh

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "swapaxes": (lambda m, a: m.swapaxes(a, 0, 2) * m.moveaxis(a, 0, -1).sum(), [(2, 3, 4)]),
    "atleast": (lambda m, a, b: [*m.atleast_3d(a, b), m.atleast_2d(a), m.atleast_1d(b)], [(3,), ()]),
    "broadcast": (lambda m, a, b: m.broadcast_tensors(a * a, b), [(3, 1), (1, 4)]),
    "unflatten": (lambda m, a: m.unflatten(a, 1, (2, -1)) ** 2, [(3, 6)]),
    "tensor_split": (lambda m, a: [*m.tensor_split(a * a, 3, 1), *m.tensor_split(a, (1, 5), 1)], [(2, 7)]),
    "hsplit": (lambda m, a: [*m.hsplit(a * a, 2), *m.vsplit(a, 2), *m.dsplit(a, [1])], [(2, 4, 3)]),
    "diag": (lambda m, a, b: [m.diag(a, 1), m.diag(b * b, -1), m.diagflat(b, 1)], [(4,), (3, 4)]),
    "diag_embed": (lambda m, a: [m.diag_embed(a * a, 1, 0, 2), m.diag_embed(a, -2, 2, 0)], [(2, 3)]),
    "diagonal_scatter": (lambda m, a, b: m.diagonal_scatter(a * a, b * b, 1), [(3, 4), (3,)]),
    "trace": (lambda m, a: m.trace(a * a), [(3, 4)]),
    "flips": (lambda m, a: m.fliplr(a * a) + m.flipud(a), [(3, 4)]),
    "rot90": (lambda m, a: [m.rot90(a * a, k, (0, 2)) for k in range(-2, 4)], [(2, 3, 4)]),
    "roll": (lambda m, a: m.roll(a * a, (1, -2), (0, 1)) + m.roll(a, 3), [(3, 4)]),
    "repeat_interleave": (
        lambda m, a: [m.repeat_interleave(a * a, 2), m.repeat_interleave(a, m.tensor([1, 0, 2]), 0)],
        [(3, 2)],
    ),
    "renorm": (lambda m, a: m.renorm(a, 2, 1, 1.0), [(3, 4, 2)]),
    "stacks": (lambda m, a, b: [m.hstack([a, b]), m.vstack([a * b, b]), m.dstack([a, b])], [(2, 3), (2, 3)]),
    "column_stack": (lambda m, a, b: m.column_stack([a * a, b]), [(3,), (3, 2)]),
    "block_diag": (lambda m, a, b, c: m.block_diag(a * a, b, c), [(2, 3), (2,), ()]),
    "meshgrid": (
        lambda m, a, b: [*m.meshgrid(a * a, b, indexing="ij"), *m.meshgrid(a, b, indexing="xy")],
        [(3,), (2,)],
    ),
    "cartesian_prod": (lambda m, a, b: m.cartesian_prod(a * a, b), [(3,), (2,)]),
    "combinations": (lambda m, a: [m.combinations(a * a), m.combinations(a, 3, True)], [(4,)]),
    "as_strided": (lambda m, a: m.as_strided(a * a, (3, 2, 2), (2, 1, 3), 1), [(4, 3)]),
    "as_strided of a transpose": (lambda m, a: m.as_strided((a * a).T, (2, 2), (1, 2)), [(4, 3)]),
    "unfold": (lambda m, a: (a * a).unfold(1, 3, 2).unfold(0, 2, 1), [(3, 7)]),
    "pad circular": (lambda m, a: m.nn.functional.pad(a * a, (-1, 2, 1, -2), mode="circular"), [(1, 1, 4, 4)]),
    "pad reflect": (lambda m, a: m.nn.functional.pad(a * a, (-1, 2, 1, -1), mode="reflect"), [(1, 1, 4, 4)]),
    "constant_pad_nd": (lambda m, a: m.constant_pad_nd(a * a, (1, -1, 0, 2), 3.5), [(3, 4)]),
    "copies": (lambda m, a: m.permute_copy(a * a, (1, 0)) + m.t_copy(a) + m.transpose_copy(a, 0, 1), [(3, 4)]),
    "copies of parts": (lambda m, a: [*m.unbind_copy(a * a), *m.split_with_sizes_copy(a, [1, 2])], [(3, 4)]),
    "complex": (lambda m, a, b: m.view_as_real(m.complex(a, b) * m.polar(a, b)), [(3,), (3,)]),
    "view_as_complex": (lambda m, a: m.view_as_complex(a * a).abs(), [(3, 2)]),
    "adjoint": (lambda m, a, b: (m.complex(a, b).mH @ m.complex(a, b)).abs(), [(3, 2), (3, 2)]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_two_gradients(name: str) -> None:
    function, shapes = CASES[name]
    assert_same(function, uniform(shapes, 0.5, 2.0))


VALUES: dict[str, Callable[[Any], Any]] = {
    "linspace": lambda m: [m.linspace(-3, 4, 9), m.linspace(1, 2, 1), m.linspace(5, -5, 7, dtype=m.int64)],
    "logspace": lambda m: [m.logspace(-2, 2, 5, dtype=m.float64), m.logspace(0, 3, 4, 2, dtype=m.int32)],
    "triangles": lambda m: [m.tril_indices(3, 4, 1), m.triu_indices(4, 3, -1, dtype=m.int32)],
    "like": lambda m: [m.full_like(m.ones(2, 3, dtype=m.int32), 7), m.zeros_like(m.ones(2), dtype=m.bool)],
    "new": lambda m: [m.ones(1, dtype=m.float64).new_full((2,), 3), m.ones(1, dtype=m.int8).new_zeros(2, 3)],
    "scalar_tensor": lambda m: [m.scalar_tensor(3), m.full((2,), True), m.full((), 1j)],
    "interleaved counts": lambda m: m.repeat_interleave(m.tensor([2, 0, 3])),
    "fill": lambda m: [m.fill(m.arange(6.0), 2), m.positive(m.arange(3))],
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    assert_same_values(lambda m: VALUES[name](m), [])


@pytest.mark.parametrize("name", ["contiguous_format", "preserve_format", "channels_last"])
def test_memory_formats_have_torch_strides(name: str) -> None:
    def strides(m: Any) -> list[Any]:
        chosen = getattr(m, name)
        turned = m.ones(2, 3, 4, 5).permute(0, 2, 1, 3)
        made = [turned.clone(memory_format=chosen), m.empty_like(turned, memory_format=chosen)]
        made += [turned.to(m.float64, memory_format=chosen), turned.double(memory_format=chosen)]
        return [each.stride() for each in made]

    assert strides(vh) == strides(torch)


def test_channels_last_volumes() -> None:
    dense = vh.empty(2, 3, 4, 5, 6, memory_format=vh.channels_last_3d)
    assert dense.stride() == torch.empty(2, 3, 4, 5, 6, memory_format=torch.channels_last_3d).stride()
    assert dense.is_contiguous(memory_format=vh.channels_last_3d)
    assert not dense.is_contiguous()
    values = vh.randn(2, 3, 4, 5, 6)
    moved = values.contiguous(memory_format=vh.channels_last_3d)
    assert np.array_equal(moved.numpy(), values.numpy())
    assert moved.contiguous(memory_format=vh.channels_last_3d).data_ptr() == moved.data_ptr()
    with pytest.raises(RuntimeError, match="rank 4"):
        vh.empty(2, 3, memory_format=vh.channels_last)
    assert vh.ones(2).layout is vh.strided


def test_strided_views_alias_and_write_through() -> None:
    base = vh.zeros(6, requires_grad=True) * 1
    window = base.as_strided((2, 2), (2, 1), 1)
    window.mul_(0).add_(3)
    assert base.detach().numpy().tolist() == [0, 3, 3, 3, 3, 0]
    rows = vh.arange(5.0)
    rows.unfold(0, 2, 2)[1, 0] = 9
    assert rows.numpy().tolist() == [0, 1, 9, 3, 4]
    pairs = vh.zeros(3, dtype=vh.complex64)
    vh.view_as_real(pairs)[1, 1] = 2
    assert pairs[1].item() == 2j
    with pytest.raises(RuntimeError, match="out of bounds"):
        base.as_strided((7,), (1,))


def test_as_strided_scatter_has_the_derivative_of_its_values() -> None:
    """PyTorch 2.13 gives another gradient here, which finite differences contradict."""
    from framework.autograd import gradcheck, gradgradcheck

    x, src = vh.randn(3, 3, dtype=vh.float64, requires_grad=True), vh.randn(2, 2, dtype=vh.float64, requires_grad=True)
    mine = vh.as_strided_scatter(x, src, (2, 2), (3, 1), 1)
    reference = torch.as_strided_scatter(
        torch.tensor(x.detach().numpy()), torch.tensor(src.detach().numpy()), (2, 2), (3, 1), 1
    )
    assert np.array_equal(mine.detach().numpy(), reference.numpy())
    assert gradcheck(lambda a, b: vh.as_strided_scatter(a, b, (2, 2), (3, 1), 1), (x, src))
    assert gradgradcheck(lambda a, b: vh.as_strided_scatter(a * a, b * b, (2, 2), (3, 1), 1), (x, src))


def test_shapes_change_in_place() -> None:
    t = vh.arange(6.0).reshape(1, 2, 3)
    assert t.squeeze_(0) is t
    assert t.shape == (2, 3)
    assert t.t_().shape == (3, 2)
    assert t.unsqueeze_(1).shape == (3, 1, 2)
    assert t.transpose_(0, 2).shape == (2, 1, 3)
    assert t.resize_(2, 2).shape == (2, 2)
    assert t.resize_as_(vh.ones(3)).shape == (3,)
    leaf = vh.ones(2, 1, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.squeeze_()
    hidden = leaf * 2
    hidden.squeeze_(1).mul_(3)
    hidden.sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.numpy().tolist() == [[6], [6]]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.rot90(m.ones(2, 2), 1, (0, 0)),
        lambda m: m.hsplit(m.ones(3), 2),
        lambda m: m.tensor_split(m.ones(3), 0),
        lambda m: m.ones(3).unfold(0, 4, 1),
        lambda m: m.meshgrid(m.ones(2, 2), m.ones(2), indexing="ij"),
        lambda m: m.cat([m.ones(2), None]),
        lambda m: m.movedim(m.ones(2, 3), (0, 0), (0, 1)),
        lambda m: m.view_as_complex(m.ones(3)),
        lambda m: m.linspace(0, 1, 2.5),
        lambda m: m.empty(2, -1),
        lambda m: m.gather(m.ones(2, 2), 0, m.zeros(1, 1, dtype=m.int64), out=m.ones(1, 1, dtype=m.float64)),
        lambda m: m.repeat_interleave(m.ones(3), m.tensor([1, 2])),
    ],
)
def test_what_torch_refuses_is_refused_alike(call: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(type(theirs.value)):
        call(vh)
