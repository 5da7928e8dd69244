"""Random numbers of the laws that need rejection: gamma, Dirichlet, von Mises.

They are drawn by NumPy's algorithms from a stream seeded by ours, in float64. Samples of the gamma and the Dirichlet
law have derivatives by their parameters: implicit reparameterisation, -(dF/da) / (dF/dx) (Figurnov et al. 2018).
"""

from typing import Any

import numpy as np

from framework.core.op import Array, op
from framework.core.random import Generator, default_generator
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.creation import finish
from framework.ops.elementwise.transcendental import scipy_special
from framework.ops.reduce import sum as total_of

_STEP = 1e-3  # of a parameter, relative; with one extrapolation errors stay below 1e-10


def von_mises(loc: Tensor, concentration: Tensor, generator: Generator | None = None) -> Tensor:
    """Angles in [-pi, pi) around `loc`."""
    drawn = _stream(generator).vonmises(0.0, _values(concentration)) + _values(loc)
    return finish(((drawn + np.pi) % (2 * np.pi) - np.pi).astype(loc._data.dtype), loc.device)


@op(method=False)
def _standard_gamma(xp: Any, input: Array, generator: Generator | None = None) -> Array:
    """Gamma numbers of shape parameter `input` and rate 1."""
    logarithm = _log_gamma_numbers(_host(input), generator)
    return xp.asarray(np.maximum(np.exp(logarithm), _tiny(input)).astype(input.dtype))


@_standard_gamma.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, standard_gamma_grad(input, out))


@op(method=False)
def standard_gamma_grad(xp: Any, input: Array, output: Array) -> Array:
    """By how much a gamma number changes with its shape parameter."""
    special = scipy_special(np)
    a, x = _host(input), np.maximum(_host(output), 1e-300)
    below, above = special.gammainc(a, x), special.gammaincc(a, x)
    slope = np.where(
        below < 0.5,
        _log_slope(lambda s: special.gammaincinv(s, below), a),
        _log_slope(lambda s: special.gammainccinv(s, above), a),
    )
    return xp.asarray((slope * x).astype(output.dtype))


@op(method=False)
def _sample_dirichlet(xp: Any, input: Array, generator: Generator | None = None) -> Array:
    """Points of the simplex: (..., K) of Dirichlet's law with concentrations (..., K)."""
    logarithm = _log_gamma_numbers(_host(input), generator)
    weights = np.exp(logarithm - logarithm.max(-1, keepdims=True))
    share = weights / weights.sum(-1, keepdims=True)
    return xp.asarray(np.clip(share, _tiny(input), 1).astype(input.dtype))


@_sample_dirichlet.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    mean = total_of(e.mul(out, g), -1, keepdim=True)
    return e.mul(dirichlet_grad(out, input, total_of(input, -1, keepdim=True)), e.sub(g, mean))


@op(method=False)
def dirichlet_grad(xp: Any, x: Array, alpha: Array, total: Array) -> Array:
    """By how much a share `x` of Beta(alpha, total - alpha) changes with alpha, over `1 - x`.

    This is the derivative of a Dirichlet sample of smallest variance (Jankowiak & Obermeyer 2018).
    """
    special = scipy_special(np)
    a = _host(alpha)
    b = np.maximum(_host(total) - a, 1e-300)
    share = np.clip(_host(x), 1e-300, 1 - 2.0**-53)
    rest = 1 - share
    below, above = special.betainc(a, b, share), special.betainc(b, a, rest)
    slope = np.where(
        below < 0.5,
        share * _log_slope(lambda s: special.betaincinv(s, b, below), a),
        -rest * _log_slope(lambda s: special.betaincinv(b, s, above), a),
    )
    return xp.asarray((slope / rest).astype(x.dtype))


def _log_slope(quantile: Any, parameter: Any) -> Any:
    """The derivative of the logarithm of a quantile by a parameter: central differences, extrapolated once."""

    def central(step: float) -> Any:
        high, low = quantile(parameter * (1 + step)), quantile(parameter * (1 - step))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (np.log(high) - np.log(low)) / (2 * step * parameter)

    slope = (4 * central(_STEP / 2) - central(_STEP)) / 3
    return np.where(np.isfinite(slope), slope, 0.0)  # where a quantile is no longer a number above zero


def _log_gamma_numbers(shape: Any, generator: Generator | None) -> Any:
    """Logarithms of gamma numbers; of small shape by the power of a uniform number, so that none is zero."""
    stream = _stream(generator)
    small = shape < 1
    drawn = np.log(stream.standard_gamma(np.where(small, shape + 1, shape)))
    with np.errstate(divide="ignore"):
        return np.where(small, drawn + np.log1p(-stream.random(shape.shape)) / shape, drawn)


def _stream(generator: Generator | None) -> np.random.Generator:
    words = (generator or default_generator).bits(4).astype(np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words.tolist())))


def _values(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _host(array: Any) -> Any:
    return (array if isinstance(array, np.ndarray) else array.get()).astype(np.float64)


def _tiny(array: Any) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(array.dtype).tiny)
