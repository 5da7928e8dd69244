"""Distributions beside PyTorch (values, gradients, shapes, messages) and SciPy (the law that samples follow)."""

import math

import numpy as np
import pytest
import scipy.stats

import framework as vh
from framework import distributions as dist

A = [[0.7, 1.6, 2.5]]  # positive
B = [[1.3], [0.4]]  # positive, broadcasts with A
R = [[-0.8, 0.2, 1.1]]
P = [[0.15, 0.6, 0.9], [0.5, 0.35, 0.02]]
SIMPLEX = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]
SPD = [[2.0, 0.4, 0.1], [0.4, 1.5, -0.3], [0.1, -0.3, 0.9]]
FACTOR = [[0.5, 0.1], [-0.4, 0.8], [0.3, 0.2]]

# name: (parameters, a value)
CASES = {
    "Normal": ({"loc": R, "scale": B}, R),
    "LogNormal": ({"loc": R, "scale": B}, A),
    "HalfNormal": ({"scale": A}, A),
    "HalfCauchy": ({"scale": A}, A),
    "Uniform": ({"low": R, "high": [[2.0, 1.5, 3.0]]}, [[0.1, 0.3, 2.2]]),
    "Laplace": ({"loc": R, "scale": B}, [[0.3, -0.5, 2.0]]),
    "Cauchy": ({"loc": R, "scale": B}, [[0.3, -0.5, 2.0]]),
    "Exponential": ({"rate": A}, A),
    "StudentT": ({"df": [[3.3, 5.0, 2.5]], "loc": R, "scale": B}, [[0.3, -0.5, 2.0]]),
    "VonMises": ({"loc": R, "concentration": B}, [[0.3, -0.5, 2.0]]),
    "Gamma": ({"concentration": A, "rate": B}, A),
    "Chi2": ({"df": A}, A),
    "InverseGamma": ({"concentration": [[3.2, 2.6, 5.0]], "rate": B}, A),
    "Beta": ({"concentration1": A, "concentration0": B}, P),
    "Dirichlet": ({"concentration": [[0.7, 1.6, 2.5], [3.0, 2.0, 4.0]]}, SIMPLEX),
    "FisherSnedecor": ({"df1": A, "df2": [[5.0, 6.0, 7.0]]}, A),
    "Bernoulli": ({"probs": P}, [[0.0, 1.0, 1.0]]),
    "Geometric": ({"probs": P}, [[0.0, 3.0, 1.0]]),
    "ContinuousBernoulli": ({"probs": [[0.15, 0.6, 0.9], [0.4995, 0.35, 0.02]]}, P),
    "Binomial": ({"total_count": [[5.0, 3.0, 8.0]], "probs": P}, [[2.0, 3.0, 0.0]]),
    "NegativeBinomial": ({"total_count": [[5.0, 3.5, 8.0]], "probs": P}, [[2.0, 3.0, 0.0]]),
    "Poisson": ({"rate": A}, [[0.0, 3.0, 1.0]]),
    "Categorical": ({"probs": SIMPLEX}, [2, 0]),
    "OneHotCategorical": ({"probs": SIMPLEX}, [[0.0, 1.0, 0.0]]),
    "OneHotCategoricalStraightThrough": ({"probs": SIMPLEX}, [[0.0, 1.0, 0.0]]),
    "Multinomial": ({"total_count": 6, "probs": SIMPLEX}, [[1.0, 3.0, 2.0]]),
    "Gumbel": ({"loc": R, "scale": B}, [[0.3, -0.5, 2.0]]),
    "Weibull": ({"scale": A, "concentration": [[1.4, 1.8, 3.0]]}, A),
    "Pareto": ({"scale": [[0.5, 0.3, 1.0]], "alpha": [[2.5, 3.0, 2.2]]}, A),
    "Kumaraswamy": ({"concentration1": A, "concentration0": [[1.5, 2.0, 1.2]]}, P),
    "LogisticNormal": ({"loc": [0.2, -0.4], "scale": [0.8, 1.2]}, SIMPLEX[0]),
    "MultivariateNormal": ({"loc": R, "covariance_matrix": SPD}, A),
    "LowRankMultivariateNormal": ({"loc": R, "cov_factor": FACTOR, "cov_diag": A}, A),
    "RelaxedBernoulli": ({"temperature": [0.7], "probs": P}, P),
    "RelaxedOneHotCategorical": ({"temperature": [0.7], "probs": SIMPLEX}, SIMPLEX),
}


def tensor(module, value):
    if isinstance(value, int | float):
        return value
    array = np.array(value)
    return module.tensor(array if array.dtype == np.int64 else array.astype(np.float64))


def build(module, laws, name, parameters, differentiable=True):
    """The law, and its parameters as leaves."""
    given = {key: tensor(module, value) for key, value in parameters.items()}
    leaves = [value for value in given.values() if not isinstance(value, int | float)]
    for leaf in leaves if differentiable else []:
        leaf.requires_grad_()
    return getattr(laws, name)(**given), leaves


def both(name, parameters=None):
    torch = pytest.importorskip("torch")
    parameters = CASES[name][0] if parameters is None else parameters
    return build(vh, dist, name, parameters), build(torch, torch.distributions, name, parameters)


def assert_alike(ours, theirs, leaves, their_leaves, what=""):
    """Values and gradients."""
    torch = pytest.importorskip("torch")
    assert tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-7, atol=1e-10, err_msg=what)
    assert ours.requires_grad == theirs.requires_grad, what
    if not ours.requires_grad or not np.isfinite(theirs.detach().numpy()).all():
        return
    mine = vh.autograd.grad(ours.sum(), leaves, retain_graph=True, allow_unused=True)
    other = torch.autograd.grad(theirs.sum(), their_leaves, retain_graph=True, allow_unused=True)
    for one, two in zip(mine, other, strict=True):
        one, two = (np.zeros(1) if grad is None else grad.detach().numpy() for grad in (one, two))
        np.testing.assert_allclose(*np.broadcast_arrays(one, two), rtol=1e-6, atol=1e-9, err_msg=f"{what}: gradient")


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("expanded", [False, True])
def test_is_torchs(name, expanded):
    (ours, leaves), (theirs, their_leaves) = both(name)
    if expanded:
        ours, theirs = ours.expand((4, *ours.batch_shape)), theirs.expand((4, *theirs.batch_shape))
    assert ours.batch_shape == tuple(theirs.batch_shape)
    assert ours.event_shape == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    for attribute in ("mean", "mode", "variance", "stddev"):
        if (name, attribute) == ("Kumaraswamy", "mode"):
            continue  # torch's takes the logarithm of a negative number; tested below
        try:
            expected = getattr(theirs, attribute)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                getattr(ours, attribute)
            continue
        assert_alike(getattr(ours, attribute), expected, leaves, their_leaves, attribute)
    value = CASES[name][1]
    mine, other = tensor(vh, value), tensor(pytest.importorskip("torch"), value)
    for method, arguments in (
        ("log_prob", (mine, other)),
        ("cdf", (mine, other)),
        ("icdf", (tensor(vh, P[:1]), tensor(pytest.importorskip("torch"), P[:1]))),
        ("entropy", None),
        ("perplexity", None),
        ("enumerate_support", None),
    ):
        if method == "enumerate_support" and name == "Binomial":
            continue  # of unequal counts; tested below
        if method in ("entropy", "perplexity") and name == "Multinomial" and expanded:
            continue  # torch's has lost a part
        try:
            expected = getattr(theirs, method)(*(arguments or ())[1:])
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                getattr(ours, method)(*(arguments or ())[:1])
            continue
        result = getattr(ours, method)(*(arguments or ())[:1])
        if method == "cdf" and name in ("Gamma", "Chi2", "InverseGamma"):  # torch lacks the derivative by the shape
            result, expected = result.detach(), expected.detach()
        assert_alike(result, expected, leaves, their_leaves, method)
    if name != "InverseGamma":  # torch shows no parameters
        assert repr(ours) == repr(theirs).replace("torch.Size", "framework.Size")


@pytest.mark.parametrize("name", CASES)
def test_samples_have_shapes_types_and_moments(name):
    vh.manual_seed(3)
    law, leaves = build(vh, dist, name, CASES[name][0])
    draws = law.sample((20_000,))
    assert draws.shape == (20_000, *law.batch_shape, *law.event_shape)
    assert not draws.requires_grad
    assert law.sample().shape == law.batch_shape + law.event_shape
    assert law.sample((2, 3)).shape == (2, 3, *law.batch_shape, *law.event_shape)
    law._validate_sample(draws)
    if name not in ("HalfCauchy", "Cauchy", "Categorical", "VonMises", "LogisticNormal") and "Relaxed" not in name:
        mean, spread = law.mean.detach().numpy(), law.stddev.detach().numpy()
        off = np.abs(draws.numpy().mean(0) - mean) / np.where(spread > 0, spread, 1)
        assert (off[np.isfinite(off)] < 5 / math.sqrt(20_000) * 1.5).all(), (draws.numpy().mean(0), mean)
    if law.has_rsample:
        again = law.rsample((2,))
        assert again.requires_grad
        grads = vh.autograd.grad(again.sum(), leaves, allow_unused=True)
        assert any(grad is not None for grad in grads)
        assert all(np.isfinite(grad.numpy()).all() for grad in grads if grad is not None)
    else:
        with pytest.raises(NotImplementedError):
            law.rsample()


LAWS = {
    "Normal": ({"loc": 0.5, "scale": 2.0}, scipy.stats.norm(0.5, 2)),
    "LogNormal": ({"loc": 0.5, "scale": 0.4}, scipy.stats.lognorm(0.4, scale=math.exp(0.5))),
    "HalfNormal": ({"scale": 2.0}, scipy.stats.halfnorm(scale=2)),
    "HalfCauchy": ({"scale": 2.0}, scipy.stats.halfcauchy(scale=2)),
    "Uniform": ({"low": -1.0, "high": 2.0}, scipy.stats.uniform(-1, 3)),
    "Laplace": ({"loc": 0.5, "scale": 2.0}, scipy.stats.laplace(0.5, 2)),
    "Cauchy": ({"loc": 0.5, "scale": 2.0}, scipy.stats.cauchy(0.5, 2)),
    "Exponential": ({"rate": 3.0}, scipy.stats.expon(scale=1 / 3)),
    "StudentT": ({"df": 3.0, "loc": 0.5, "scale": 2.0}, scipy.stats.t(3, 0.5, 2)),
    "VonMises": ({"loc": 0.0, "concentration": 2.0}, scipy.stats.vonmises(2.0)),
    "Gamma": ({"concentration": 0.4, "rate": 3.0}, scipy.stats.gamma(0.4, scale=1 / 3)),
    "Chi2": ({"df": 4.0}, scipy.stats.chi2(4)),
    "InverseGamma": ({"concentration": 2.0, "rate": 3.0}, scipy.stats.invgamma(2, scale=3)),
    "Beta": ({"concentration1": 0.4, "concentration0": 2.0}, scipy.stats.beta(0.4, 2)),
    "FisherSnedecor": ({"df1": 3.0, "df2": 7.0}, scipy.stats.f(3, 7)),
    "Gumbel": ({"loc": 0.5, "scale": 2.0}, scipy.stats.gumbel_r(0.5, 2)),
    "Weibull": ({"scale": 2.0, "concentration": 1.5}, scipy.stats.weibull_min(1.5, scale=2)),
    "Pareto": ({"scale": 2.0, "alpha": 1.5}, scipy.stats.pareto(1.5, scale=2)),
}
COUNTS = {
    "Bernoulli": ({"probs": 0.3}, scipy.stats.bernoulli(0.3)),
    "Geometric": ({"probs": 0.3}, scipy.stats.geom(0.3, loc=-1)),
    "Binomial": ({"total_count": 7, "probs": 0.3}, scipy.stats.binom(7, 0.3)),
    "NegativeBinomial": ({"total_count": 2.5, "probs": 0.3}, scipy.stats.nbinom(2.5, 0.7)),
    "Poisson": ({"rate": 2.5}, scipy.stats.poisson(2.5)),
}


@pytest.mark.parametrize("name", LAWS)
def test_samples_follow_the_law(name):
    """Kolmogorov-Smirnov at a fixed seed; densities are SciPy's."""
    vh.manual_seed(12)
    parameters, law = LAWS[name]
    ours = getattr(dist, name)(**{key: vh.tensor(value, dtype=vh.float64) for key, value in parameters.items()})
    draws = ours.sample((20_000,)).numpy()
    assert scipy.stats.kstest(draws, law.cdf).pvalue > 0.01
    np.testing.assert_allclose(ours.log_prob(vh.tensor(draws[:50])).numpy(), law.logpdf(draws[:50]), rtol=1e-8)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_follow_the_law(name):
    """Chi-squared at a fixed seed; probabilities are SciPy's."""
    vh.manual_seed(5)
    parameters, law = COUNTS[name]
    ours = getattr(dist, name)(**{key: vh.tensor(float(value), dtype=vh.float64) for key, value in parameters.items()})
    draws = ours.sample((20_000,)).numpy().astype(int)
    most = int(law.ppf(0.9995))
    seen = np.bincount(np.minimum(draws, most), minlength=most + 1)
    expected = 20_000 * np.append(law.pmf(np.arange(most)), law.sf(most - 1))
    keep = expected > 5
    seen, expected = (np.append(x[keep], x[~keep].sum()) for x in (seen, expected))
    if expected[-1] < 1:
        seen, expected = seen[:-1], expected[:-1]
    assert scipy.stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 0.01
    values = np.arange(2)
    np.testing.assert_allclose(ours.log_prob(vh.tensor(values).double()).numpy(), law.logpmf(values), rtol=1e-9)


def test_vectors_follow_the_law():
    vh.manual_seed(2)
    probs = np.array([0.2, 0.5, 0.3])
    chosen = dist.Categorical(vh.tensor(probs)).sample((20_000,)).numpy()
    assert scipy.stats.chisquare(np.bincount(chosen), 20_000 * probs).pvalue > 0.01
    counts = dist.Multinomial(6, vh.tensor(probs)).sample((20_000,)).numpy()
    assert (counts.sum(1) == 6).all()
    np.testing.assert_allclose(np.cov(counts.T), scipy.stats.multinomial(6, probs).cov(), atol=0.03)
    shares = dist.Dirichlet(vh.tensor([0.3, 2.0, 1.0], dtype=vh.float64)).sample((20_000,)).numpy()
    for i, a in enumerate((0.3, 2.0, 1.0)):
        assert scipy.stats.kstest(shares[:, i], scipy.stats.beta(a, 3.3 - a).cdf).pvalue > 0.01
    normal = dist.MultivariateNormal(vh.tensor(R[0]).double(), vh.tensor(SPD).double()).sample((20_000,)).numpy()
    np.testing.assert_allclose(np.cov(normal.T), SPD, atol=0.06)
    factor, diag = vh.tensor(FACTOR).double(), vh.tensor(A[0]).double()
    low = dist.LowRankMultivariateNormal(vh.tensor(R[0]).double(), factor, diag)
    np.testing.assert_allclose(np.cov(low.sample((20_000,)).numpy().T), low.covariance_matrix.numpy(), atol=0.08)


@pytest.mark.parametrize("shape", [0.02, 0.3, 1.0, 2.5, 30.0, 400.0])
def test_gamma_gradients_follow_the_distribution_function(shape):
    """-(dF/da) / (dF/dx) by finite differences of SciPy's distribution function."""
    vh.manual_seed(1)
    a = vh.full((40,), shape, dtype=vh.float64, requires_grad=True)
    draws = dist.Gamma(a, 1.0).rsample()
    (grad,) = vh.autograd.grad(draws.sum(), a)
    x = draws.detach().numpy()
    keep = x > 1e-200
    h = 1e-5 * shape
    law = scipy.stats.gamma
    slope = -(law.cdf(x, shape + h) - law.cdf(x, shape - h)) / (2 * h) / law.pdf(x, shape)
    np.testing.assert_allclose(grad.numpy()[keep], slope[keep], rtol=3e-5)


@pytest.mark.oracle
def test_gradients_of_samples_are_torchs():
    torch = pytest.importorskip("torch")
    stream = np.random.default_rng(0)
    alpha = stream.uniform(0.2, 8, (50, 3))
    x = stream.dirichlet([1.0, 2.0, 3.0], 50)
    total = alpha.sum(-1, keepdims=True)
    from framework.ops import laws

    ours = laws.dirichlet_grad(vh.tensor(x), vh.tensor(alpha), vh.tensor(total)).numpy()
    theirs = torch._dirichlet_grad(*map(torch.tensor, (x, alpha, np.broadcast_to(total, x.shape).copy()))).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=2e-2)  # torch approximates
    draws = stream.gamma(alpha)
    ours = laws.standard_gamma_grad(vh.tensor(alpha), vh.tensor(draws)).numpy()
    theirs = torch._standard_gamma_grad(torch.tensor(alpha), torch.tensor(draws)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=2e-2)


@pytest.mark.parametrize("concentrations", [(0.3, 0.8), (2.0, 0.5), (6.0, 9.0)])
def test_beta_gradients_follow_the_distribution_function(concentrations):
    vh.manual_seed(4)
    a, b = concentrations
    one = vh.full((40,), a, dtype=vh.float64, requires_grad=True)
    zero = vh.full((40,), b, dtype=vh.float64, requires_grad=True)
    draws = dist.Beta(one, zero).rsample()
    grads = vh.autograd.grad(draws.sum(), (one, zero))
    x = draws.detach().numpy()
    law, h = scipy.stats.beta, 1e-5
    slopes = (
        -(law.cdf(x, a + h, b) - law.cdf(x, a - h, b)) / (2 * h) / law.pdf(x, a, b),
        -(law.cdf(x, a, b + h) - law.cdf(x, a, b - h)) / (2 * h) / law.pdf(x, a, b),
    )
    for grad, slope in zip(grads, slopes):
        np.testing.assert_allclose(grad.numpy(), slope, rtol=1e-4, atol=1e-9)


def test_modes_are_where_the_density_is_highest():
    for law, grid in (
        (dist.Kumaraswamy(vh.tensor(2.5).double(), vh.tensor(1.8).double()), np.linspace(0.01, 0.99, 9801)),
        (dist.Weibull(vh.tensor(2.0).double(), vh.tensor(1.5).double()), np.linspace(0.01, 5, 49901)),
    ):
        best = grid[law.log_prob(vh.tensor(grid)).argmax().item()]
        assert abs(law.mode.item() - best) < 2e-4
    assert dist.Weibull(2.0, 0.8).mode.item() == 0


def test_the_same_seed_gives_the_same_draws():
    law = dist.Gamma(vh.tensor([0.5, 3.0]), 1.0)
    vh.manual_seed(7)
    first = law.sample((5,)).tolist()
    vh.manual_seed(7)
    assert law.sample((5,)).tolist() == first
    assert law.sample((5,)).tolist() != first


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Normal", {"loc": [0.0, math.nan], "scale": [1.0, 1.0]}),
        ("Normal", {"loc": 0.0, "scale": [1.0, -1.0]}),
        ("Gamma", {"concentration": [0.0], "rate": [1.0]}),
        ("Bernoulli", {"probs": [1.5]}),
        ("Categorical", {"probs": [-0.5, 1.5]}),
        ("Dirichlet", {"concentration": [-1.0, 1.0]}),
        ("Binomial", {"total_count": [-1.0], "probs": [0.5]}),
        ("Uniform", {"low": [1.0], "high": [0.0]}),
        ("MultivariateNormal", {"loc": [0.0, 0.0], "covariance_matrix": [[1.0, 2.0], [2.0, 1.0]]}),
    ],
)
def test_bad_parameters_are_refused_as_torch_does(name, parameters):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError) as theirs:
        build(torch, torch.distributions, name, parameters, False)
    with pytest.raises(ValueError) as ours:
        build(vh, dist, name, parameters, False)
    assert str(ours.value).split("satisfy")[0] == str(theirs.value).split("satisfy")[0].replace("torch", "framework")


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match=r"to be within the support \(GreaterThanEq\(lower_bound=0\.0\)\)"):
        dist.Exponential(vh.ones(2)).log_prob(vh.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="not broadcastable"):
        dist.Normal(vh.zeros(3), 1.0).log_prob(vh.zeros(2))
    with pytest.raises(ValueError, match="must be a Tensor"):
        dist.Normal(0.0, 1.0).log_prob(0.5)
    assert dist.Exponential(vh.ones(1), validate_args=False).log_prob(vh.tensor([-1.0])).item() == 1
    with pytest.raises(ValueError, match="Either `probs` or `logits` must be specified, but not both"):
        dist.Bernoulli()
    with pytest.raises(ValueError, match="instances of Number or Tensor"):
        dist.Normal("0", 1.0)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["Bernoulli", "Geometric", "ContinuousBernoulli", "RelaxedBernoulli", "Binomial"])
def test_logits_are_torchs(name):
    extra = {"RelaxedBernoulli": {"temperature": [0.5]}, "Binomial": {"total_count": 4}}.get(name, {})
    (ours, leaves), (theirs, their_leaves) = both(name, {**extra, "logits": R})
    value = P if name in ("ContinuousBernoulli", "RelaxedBernoulli") else [[0.0, 1.0, 1.0]]
    torch = pytest.importorskip("torch")
    assert_alike(ours.probs, theirs.probs, leaves, their_leaves)
    assert_alike(
        ours.log_prob(tensor(vh, value)), theirs.log_prob(tensor(torch, value)), leaves, their_leaves, "log_prob"
    )
    if name == "Binomial":
        assert_alike(ours.enumerate_support(), theirs.enumerate_support(), leaves, their_leaves)
        assert_alike(ours.entropy(), theirs.entropy(), leaves, their_leaves)


@pytest.mark.oracle
@pytest.mark.parametrize("given", ["precision_matrix", "scale_tril"])
def test_multivariate_normal_by_its_other_matrices(given):
    matrix = np.linalg.cholesky(SPD).tolist() if given == "scale_tril" else SPD
    (ours, leaves), (theirs, their_leaves) = both("MultivariateNormal", {"loc": R, given: matrix})
    torch = pytest.importorskip("torch")
    assert_alike(ours.log_prob(tensor(vh, A)), theirs.log_prob(tensor(torch, A)), leaves, their_leaves)
    for name in ("covariance_matrix", "precision_matrix", "scale_tril", "variance"):
        assert_alike(getattr(ours, name), getattr(theirs, name), leaves, their_leaves, name)


@pytest.mark.oracle
def test_independent_and_mixtures_are_torchs():
    torch = pytest.importorskip("torch")
    results = []
    for module, laws in ((vh, dist), (torch, torch.distributions)):
        means = tensor(module, [[-1.0, 0.5, 2.0], [0.0, 1.0, 3.0]]).requires_grad_()
        weights = tensor(module, SIMPLEX).requires_grad_()
        one = laws.MixtureSameFamily(laws.Categorical(probs=weights), laws.Normal(means, 1.0))
        vectors = laws.Independent(laws.Normal(means[..., None] + tensor(module, [0.0, 1.0]), 0.5), 1)
        two = laws.MixtureSameFamily(laws.Categorical(weights), vectors)
        x, y = tensor(module, [0.3, -0.2]), tensor(module, [[0.3, 1.0], [-0.2, 2.0]])
        parts = [
            one.log_prob(x), one.cdf(x), one.mean, one.variance, two.log_prob(y), two.mean, two.variance,
            two.expand((5, 2)).log_prob(y), vectors.entropy(), vectors.log_prob(y[:, None]),
        ]  # fmt: skip
        grads = module.autograd.grad(sum(part.sum() for part in parts), [means, weights])
        results.append([part.detach().numpy() for part in [*parts, *grads]])
        draws = two.sample((3, 4))
        assert draws.shape == (3, 4, 2, 2)
    for mine, other in zip(*results):
        np.testing.assert_allclose(mine, other, rtol=1e-9)
    vh.manual_seed(0)
    mixture = dist.MixtureSameFamily(dist.Categorical(vh.tensor([0.3, 0.7])), dist.Normal(vh.tensor([-2.0, 3.0]), 1.0))
    drawn = mixture.sample((20_000,)).numpy()
    assert scipy.stats.kstest(drawn, lambda x: mixture.cdf(vh.tensor(x)).numpy()).pvalue > 0.01


def test_exponential_families_know_their_entropy_and_expand_is_inherited():
    law = dist.Gamma(vh.tensor(A).double(), vh.tensor(B).double())
    np.testing.assert_allclose(dist.ExponentialFamily.entropy(law).detach().numpy(), law.entropy().numpy(), rtol=1e-10)

    class Own(dist.Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    with pytest.raises(NotImplementedError, match=r"must also define a custom \.expand\(\)"):
        Own().expand((2,))
