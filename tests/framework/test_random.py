"""The Philox stream: known answers, resumption, distributions."""

import numpy as np
import pytest
import scipy.stats

import framework as vh
from framework.core.random import Generator, fold, philox


def test_known_answers() -> None:
    """Philox4x32-10 from Random123's kat_vectors: counter and key of zeros, and NumPy's own Philox-like layout."""
    assert [hex(word) for word in philox(0, 0, 1)[0]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_a_part_of_the_stream_does_not_depend_on_how_it_is_asked_for() -> None:
    whole = philox(7, 0, 300_000)
    np.testing.assert_array_equal(philox(7, 123_456, 1000), whole[123_456:124_456])


def test_two_integers_are_the_state() -> None:
    vh.manual_seed(3)
    vh.rand(5)
    state = vh.default_generator.get_state()
    first = vh.randn(7).tolist()
    vh.rand(100)
    vh.default_generator.set_state(state)
    assert vh.randn(7).tolist() == first


def test_folded_seeds_differ() -> None:
    seeds = {fold(1, epoch, item) for epoch in range(50) for item in range(50)}
    assert len(seeds) == 2500


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda: vh.rand(20_000), scipy.stats.uniform()),
        (lambda: vh.randn(20_000), scipy.stats.norm()),
        (lambda: vh.empty(20_000).exponential_(2.0), scipy.stats.expon(scale=0.5)),
        (lambda: vh.empty(20_000).uniform_(-2, 3), scipy.stats.uniform(-2, 5)),
        (lambda: vh.normal(1.0, 2.0, (20_000,)), scipy.stats.norm(1, 2)),
    ],
)
def test_distributions(draw, law) -> None:  # type: ignore[no-untyped-def]
    vh.manual_seed(11)
    assert scipy.stats.kstest(draw().numpy(), law.cdf).pvalue > 0.01


def test_integers_and_permutations() -> None:
    stream = Generator().manual_seed(5)
    counts = np.bincount(vh.randint(0, 10, (50_000,), generator=stream).numpy(), minlength=10)
    assert scipy.stats.chisquare(counts).pvalue > 0.01
    assert sorted(vh.randperm(100, generator=stream).tolist()) == list(range(100))
    weights = vh.tensor([0.0, 1.0, 3.0])
    drawn = vh.multinomial(weights, 10_000, replacement=True, generator=stream).numpy()
    assert (np.bincount(drawn, minlength=3) / 10_000).tolist() == pytest.approx([0, 0.25, 0.75], abs=0.02)
    assert sorted(vh.multinomial(weights, 2, generator=stream).tolist()) == [1, 2]


def test_dropout_keeps_the_mean_and_its_gradient_matches() -> None:
    vh.manual_seed(0)
    x = vh.ones(10_000, requires_grad=True)
    y = vh.dropout(x, 0.25)
    y.sum().backward()
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert x.grad.tolist() == y.tolist()
    with pytest.raises(ValueError, match="between 0 and 1"):
        vh.dropout(x, 1.5)
