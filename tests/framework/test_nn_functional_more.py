"""Arguments of functions that networks use more rarely, against torch: values and gradients."""

import numpy as np
import pytest

import framework
from tests.support.beside_torch import assert_same, uniform

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle
INDEX = np.array([[1, 2, 4], [4, 4, 9]])


@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_fewer_heads_of_keys(causal: bool) -> None:
    assert_same(
        lambda m, q, k, v: m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True),
        uniform([(2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 7)]),
        second=False,
    )
    heads = [framework.ones(1, n, 2, 4) for n in (4, 3, 3)]
    with pytest.raises(RuntimeError, match=r"query's heads \(4\) to be a multiple of the heads of key and value \(3\)"):
        framework.nn.functional.scaled_dot_product_attention(*heads, enable_gqa=True)


@pytest.mark.parametrize("order", [np.inf, -np.inf])
def test_power_pooling_of_infinite_order(order: float) -> None:
    assert_same(lambda m, x: m.nn.functional.lp_pool2d(x, order, 2), uniform([(2, 3, 6, 5)]))


@pytest.mark.parametrize("settings", [{}, {"padding_idx": -1}, {"scale_grad_by_freq": True}])
def test_embedding(settings: dict) -> None:
    assert_same(lambda m, w: m.nn.functional.embedding(m.tensor(INDEX), w, **settings), uniform([(10, 4)]))


@pytest.mark.parametrize("norm_type", [1.0, 2.0])
def test_long_rows_that_are_used_are_shortened_in_place(norm_type: float) -> None:
    tables = []
    for lib in (framework, torch):
        table = lib.tensor(uniform([(10, 4)])[0])
        lib.nn.functional.embedding(lib.tensor(INDEX), table, max_norm=1.0, norm_type=norm_type)
        tables.append(table.numpy())
    np.testing.assert_allclose(*tables, rtol=1e-7)
    assert (np.linalg.norm(tables[0][[1, 2, 4, 9]], norm_type, axis=1) < 1.001).all()


def test_tables_that_are_given() -> None:
    table = uniform([(10, 4)])[0]
    for name, settings in (
        ("Embedding", {"padding_idx": 2, "max_norm": 1.0, "norm_type": 1.0, "scale_grad_by_freq": True}),
        ("EmbeddingBag", {"max_norm": 1.0, "mode": "sum", "padding_idx": 2}),
    ):
        ours = getattr(framework.nn, name).from_pretrained(framework.tensor(table), **settings)
        theirs = getattr(torch.nn, name).from_pretrained(torch.tensor(table), **settings)
        assert repr(ours) == repr(theirs)
        assert not ours.weight.requires_grad
        np.testing.assert_allclose(
            ours(framework.tensor(INDEX)).numpy(), theirs(torch.tensor(INDEX)).numpy(), rtol=1e-7
        )
    trained = framework.nn.Embedding.from_pretrained(framework.tensor(table), False, 3)
    assert trained.weight.requires_grad
    assert trained.padding_idx == 3
