"""Every sampler against its distribution, with fixed seeds; generators and their states; bounds and errors."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

import framework as vh

N = 20_000
CONTINUOUS: dict[str, Any] = {
    "rand": (lambda kind: vh.rand(N, dtype=kind), scipy.stats.uniform()),
    "rand_like": (lambda kind: vh.rand_like(vh.empty(N, dtype=kind)), scipy.stats.uniform()),
    "randn": (lambda kind: vh.randn(N, dtype=kind), scipy.stats.norm()),
    "randn_like": (lambda kind: vh.randn_like(vh.empty(N, dtype=kind)), scipy.stats.norm()),
    "normal": (lambda kind: vh.normal(vh.full((N,), 3.0, dtype=kind), 2.0), scipy.stats.norm(3, 2)),
    "normal of deviations": (lambda kind: vh.normal(1.0, vh.full((N,), 0.5, dtype=kind)), scipy.stats.norm(1, 0.5)),
    "uniform_": (lambda kind: vh.empty(N, dtype=kind).uniform_(-2, 3), scipy.stats.uniform(-2, 5)),
    "normal_": (lambda kind: vh.empty(N, dtype=kind).normal_(-1, 0.25), scipy.stats.norm(-1, 0.25)),
    "exponential_": (lambda kind: vh.empty(N, dtype=kind).exponential_(2), scipy.stats.expon(scale=0.5)),
    "cauchy_": (lambda kind: vh.empty(N, dtype=kind).cauchy_(1, 2), scipy.stats.cauchy(1, 2)),
    "log_normal_": (
        lambda kind: vh.empty(N, dtype=kind).log_normal_(0.5, 0.75),
        scipy.stats.lognorm(0.75, scale=np.exp(0.5)),
    ),
}
DISCRETE: dict[str, Any] = {
    "bernoulli": (lambda: vh.bernoulli(vh.full((N,), 0.3)), scipy.stats.bernoulli(0.3)),
    "bernoulli of a number": (lambda: vh.empty(N).bernoulli(0.8), scipy.stats.bernoulli(0.8)),
    "bernoulli_": (lambda: vh.empty(N).bernoulli_(0.1), scipy.stats.bernoulli(0.1)),
    "bernoulli_ of a tensor": (
        lambda: vh.empty(2, N).bernoulli_(vh.tensor([[0.6], [0.0]]))[0],
        scipy.stats.bernoulli(0.6),
    ),
    "geometric_": (lambda: vh.empty(N).geometric_(0.3), scipy.stats.geom(0.3)),
    "poisson of a small rate": (lambda: vh.poisson(vh.full((N,), 0.7)), scipy.stats.poisson(0.7)),
    "poisson": (lambda: vh.poisson(vh.full((N,), 12.5)), scipy.stats.poisson(12.5)),
    "poisson of a large rate": (lambda: vh.poisson(vh.full((N,), 300.0)), scipy.stats.poisson(300)),
    "binomial": (lambda: vh.binomial(vh.full((N,), 9.0), vh.tensor(0.35)), scipy.stats.binom(9, 0.35)),
    "binomial of many": (lambda: vh.binomial(vh.full((N,), 500.0), vh.tensor(0.1)), scipy.stats.binom(500, 0.1)),
    "randint": (lambda: vh.randint(-3, 5, (N,)), scipy.stats.randint(-3, 5)),
    "randint_like": (lambda: vh.randint_like(vh.empty(N), 7), scipy.stats.randint(0, 7)),
    "random_": (lambda: vh.empty(N).random_(2, 11), scipy.stats.randint(2, 11)),
    "random_ of one bound": (lambda: vh.empty(N).random_(4), scipy.stats.randint(0, 4)),
    "random_ of bytes": (lambda: vh.empty(N, dtype=vh.uint8).random_(), scipy.stats.randint(0, 256)),
    "random_ of bool": (lambda: vh.empty(N, dtype=vh.bool).random_().long(), scipy.stats.bernoulli(0.5)),
    "multinomial": (
        lambda: vh.multinomial(vh.tensor([1.0, 2.0, 0.0, 5.0]), N, replacement=True),
        scipy.stats.rv_discrete(values=([0, 1, 3], [0.125, 0.25, 0.625])),
    ),
    "first of a multinomial without replacement": (
        lambda: vh.multinomial(vh.tensor([1.0, 2.0, 5.0]).expand(N, 3), 2)[:, 0],
        scipy.stats.rv_discrete(values=([0, 1, 2], [0.125, 0.25, 0.625])),
    ),
    "place in a permutation": (
        lambda: vh.tensor([vh.randperm(6)[2].item() for _ in range(3000)]),
        scipy.stats.randint(0, 6),
    ),
}


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_laws(name: str, kind: str) -> None:
    draw, law = CONTINUOUS[name]
    vh.manual_seed(20)
    sample = draw(getattr(vh, kind))
    assert sample.dtype is getattr(vh, kind)
    assert scipy.stats.kstest(sample.double().numpy(), law.cdf).pvalue > 0.001


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_laws(name: str) -> None:
    draw, law = DISCRETE[name]
    vh.manual_seed(21)
    sample = draw().numpy().astype(int)
    values, counts = np.unique(sample, return_counts=True)
    expected = law.pmf(values) * len(sample)
    assert (expected > 0).all()
    often = expected >= 5
    seen = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], len(sample) - expected[often].sum())
    if wanted[-1] < 5:  # too few to test, and their own bin would only add noise
        seen, wanted = seen[:-1], wanted[:-1] * seen[:-1].sum() / wanted[:-1].sum()
    assert scipy.stats.chisquare(seen, wanted).pvalue > 0.001


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32", "float64"])
def test_uniform_numbers_stay_below_their_bound(kind: str) -> None:
    vh.manual_seed(0)
    sample = vh.rand(200_000, dtype=getattr(vh, kind))
    assert sample.max().item() < 1
    assert sample.min().item() >= 0
    assert sample.double().mean().item() == pytest.approx(0.5, abs=0.01)
    wide = vh.empty(200_000, dtype=getattr(vh, kind)).uniform_(1000, 1001)
    assert wide.max().item() < 1001


def test_complex_normal_numbers_have_variance_one() -> None:
    vh.manual_seed(1)
    for z in (vh.randn(N, dtype=vh.complex128), vh.empty(N, dtype=vh.complex64).normal_()):
        assert z.abs().square().mean().item() == pytest.approx(1, abs=0.03)
        assert z.imag.square().mean().item() == pytest.approx(0.5, abs=0.03)


def test_certain_counts() -> None:
    assert vh.poisson(vh.zeros(5)).tolist() == [0] * 5
    assert vh.binomial(vh.tensor([4.0, 4.0, 0.0]), vh.tensor([0.0, 1.0, 0.5])).tolist() == [0, 4, 0]
    assert vh.poisson(vh.full((200,), 1e9)).mean().item() == pytest.approx(1e9, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vh.poisson(vh.tensor([-1.0])), "non-negative"),
        (lambda: vh.binomial(vh.tensor([1.5]), vh.tensor([0.5])), "whole counts"),
        (lambda: vh.binomial(vh.tensor([1.0]), vh.tensor([1.5])), "p <= 1"),
        (lambda: vh.bernoulli(vh.tensor([2.0])), "p <= 1"),
        (lambda: vh.empty(2).bernoulli_(-0.5), "p >= 0"),
        (lambda: vh.randint(0, 300, (2,), dtype=vh.uint8), "out of bounds"),
        (lambda: vh.empty(2, dtype=vh.int8).random_(-200, 3), "out of bounds"),
        (lambda: vh.empty(2).random_(3, 3), "less than"),
        (lambda: vh.randint(3, 3, (2,)), "less than"),
        (lambda: vh.empty(2).geometric_(0.0), "p to be in"),
        (lambda: vh.Generator().manual_seed(1 << 64), "64 bits"),
        (lambda: vh.multinomial(vh.tensor([0.0, 0.0]), 1), "without any weight"),
        (lambda: vh.multinomial(vh.tensor([0.0, 1.0]), 2), "without replacement"),
    ],
)
def test_errors(call: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        call()


def test_generators() -> None:
    one = vh.Generator().manual_seed(7)
    vh.rand(5, generator=one)
    twin = one.clone_state()
    state = one.get_state()
    first = vh.randn(6, generator=one).tolist()
    assert vh.randn(6, generator=twin).tolist() == first
    assert vh.randn(6, generator=vh.Generator().set_state(state)).tolist() == first
    assert one.initial_seed() == 7
    assert one.device == vh.device("cpu")
    assert vh.Generator().manual_seed(-1).initial_seed() == (1 << 64) - 1
    assert one.seed() == one.initial_seed() != 7


def test_the_default_stream() -> None:
    vh.manual_seed(3)
    assert vh.initial_seed() == vh.random.initial_seed() == 3
    state = vh.get_rng_state()
    first = vh.rand(3).tolist()
    with vh.random.fork_rng():
        vh.manual_seed(99)
        vh.rand(10)
    second = vh.rand(3).tolist()
    vh.set_rng_state(state)
    assert vh.rand(3).tolist() == first
    assert vh.rand(3).tolist() == second
    with vh.random.fork_rng(enabled=False):
        vh.rand(1)
    assert vh.rand(3).tolist() != second


def test_the_number_of_threads_changes_no_number() -> None:
    found = []
    threads = vh.get_num_threads()
    try:
        for count in (1, 2, 4):
            vh.set_num_threads(count)
            vh.manual_seed(5)
            parts = [vh.rand(300_001), vh.randn(100_003), vh.randperm(50_000), vh.poisson(vh.full((1000,), 3.0)),
                     vh.dropout(vh.ones(100_000), 0.5), vh.empty(1000).exponential_()]  # fmt: skip
            found.append(b"".join(part.numpy().tobytes() for part in parts))
    finally:
        vh.set_num_threads(threads)
    assert found[0] == found[1] == found[2]
