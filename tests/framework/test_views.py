"""Views alias; writing in place keeps the graph right."""

import numpy as np
import pytest

import framework as vh


def test_views_share_memory() -> None:
    x = vh.arange(12.0).reshape(3, 4)
    x.T[0, 0] = 100
    x[1:, ::2][0, 1] = 200
    x.view(12)[11] = 300
    assert x[0, 0].item() == 100
    assert x[1, 2].item() == 200
    assert x[2, 3].item() == 300
    with pytest.raises(RuntimeError, match=r"reshape"):
        x.T.view(12)


def test_negative_steps() -> None:
    x = vh.arange(5.0, requires_grad=True)
    (x[::-1] * vh.arange(5.0)).sum().backward()
    assert x.grad.tolist() == [4, 3, 2, 1, 0]


def test_write_through_a_view_rebases_its_base() -> None:
    x = vh.tensor([1.0, 2.0, 3.0], requires_grad=True)
    base = x * 2
    part = base[1:]
    part.mul_(10)
    base.sum().backward()
    assert x.grad.tolist() == [2, 20, 20]


def test_write_to_the_base_reaches_its_views() -> None:
    x = vh.tensor([1.0, 2.0], requires_grad=True)
    base = x * 1
    view = base[0]
    base.mul_(5)
    view.backward()
    assert view.item() == 5
    assert x.grad.tolist() == [5, 0]


def test_chain_of_views_and_writes() -> None:
    x = vh.ones(2, 3, requires_grad=True)
    y = vh.tensor([7.0, 8.0], requires_grad=True)
    base = x * 1
    column = base.T[1]
    column.copy_(y)
    column.add_(1)
    (base * base).sum().backward()
    assert x.grad.tolist() == [[2, 0, 2], [2, 0, 2]]
    assert y.grad.tolist() == [16, 18]


def test_assignment_gives_the_value_its_gradient() -> None:
    target, value = vh.zeros(4), vh.ones(2, requires_grad=True)
    target[1:3] = value * 3
    target[vh.tensor([0])] = 5.0
    (target * vh.arange(4.0)).sum().backward()
    assert target.tolist() == [5, 3, 3, 0]
    assert value.grad.tolist() == [3, 6]


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(25))
def test_random_programs_of_views_and_writes_match_torch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    plan = np.random.default_rng(seed)
    choices = plan.integers(0, 6, 8)
    numbers = plan.standard_normal(8)

    def run(module):  # type: ignore[no-untyped-def]
        x = module.tensor(np.arange(12.0).reshape(3, 4) / 7 + 0.5).requires_grad_()
        base = x * 1
        views = [base]
        for choice, number in zip(choices, numbers):
            current = views[int(abs(number) * 100) % len(views)]
            if choice == 0:
                views.append(current[1:] if current.ndim and current.shape[0] > 1 else current)
            elif choice == 1:
                views.append(current.T if current.ndim == 2 else current)
            elif choice == 2:
                current.mul_(float(number))
            elif choice == 3:
                current.add_(x.sum() * 0.1)
            elif choice == 4:
                current.copy_(current.detach() * 2 + x[0, 0])
            elif current.ndim == 2:
                current[0] = x[:, 0].sum() * float(number)
        total = sum((view * (n + 1)).sum() for n, view in enumerate(views))
        total.backward()
        return base.detach().numpy(), x.grad.numpy()

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_refused_writes() -> None:
    leaf = vh.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        leaf.add_(1)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        leaf[0].add_(1)
    with vh.no_grad():
        leaf.add_(1)
    assert leaf.tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="single memory location"):
        vh.ones(1).expand(3).add_(1)
    with pytest.raises(RuntimeError, match="can't be cast"):
        vh.ones(2, dtype=vh.int64).add_(0.5)
    with pytest.raises(RuntimeError, match="broadcast shape"):
        vh.ones(2).add_(vh.ones(3, 2))


def test_unrecorded_writes_go_straight_into_the_memory() -> None:
    x = vh.tensor([1.0, 2.0, 3.0])
    before = x.data_ptr()
    assert x.add_(vh.tensor([1.0])) is x
    assert x.mul_(2).sub_(vh.ones(3)).tolist() == [3.0, 5.0, 7.0]
    assert x.data_ptr() == before
    assert x._version == 3
    x[1:].add_(x[:-1])  # overlapping memory is read before it is written
    assert x.tolist() == [3.0, 8.0, 12.0]
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(vh.ones(2, 3))
    with pytest.raises(RuntimeError, match="must match the size"):
        x.add_(vh.ones(2))
    assert x.tolist() == [3.0, 8.0, 12.0]
    with vh.no_grad():
        leaf = vh.ones(2, requires_grad=True)
        leaf.sub_(0.5)
    assert leaf.requires_grad
    assert leaf.tolist() == [0.5, 0.5]
    assert vh.tensor([3e38]).mul_(10).item() == float("inf")
