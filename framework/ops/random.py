"""Sampling: tensors of random numbers, and in-place sampling methods, all from the Philox stream."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import as_dtype, get_default_dtype
from framework.core.layout import strided
from framework.core.random import Generator, default_generator
from framework.core.tensor import Tensor
from framework.core.views import check_writable
from framework.ops.creation import finish
from framework.ops.shape import sizes

_WHOLE = {"bool": 1, "bfloat16": 8, "float16": 11, "float32": 24, "float64": 53, "complex64": 24, "complex128": 53}


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1)."""
    return _draw(lambda stream, count, kind: stream.uniform(count, kind), size, generator, dtype, device, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers; complex ones have variance one too, half in each part."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    scale = math.sqrt(0.5) if kind.is_complex else 1
    return _draw(
        lambda stream, count, part: _normal(stream, count, part, scale), size, generator, kind, device, requires_grad
    )


def rand_like(input: Tensor, **options: Any) -> Tensor:
    """Uniform numbers in [0, 1) of another tensor's shape and type (`dtype`, `device`, ... choose others)."""
    return _like(rand, input, options)


def randn_like(input: Tensor, **options: Any) -> Tensor:
    """Standard normal numbers of another tensor's shape and type (`dtype`, `device`, ... choose others)."""
    return _like(randn, input, options)


def randint_like(input: Tensor, low: Any, high: Any = None, **options: Any) -> Tensor:
    """Integers in [low, high), or [0, low) when only one bound is given, of another tensor's shape and type."""
    first, last = (0, int(low)) if high is None else (int(low), int(high))
    return _like(lambda size, **how: randint(first, last, size, **how), input, options)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers in [low, high), or [0, low) when only one bound is given."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    shape = sizes((size,))
    kind = np.dtype(np.int64) if dtype is None else as_dtype(dtype).numpy_dtype
    _expect_range(low, high, kind)
    numbers = (generator or default_generator).integers(low, high, math.prod(shape)).reshape(shape)
    return finish(numbers.astype(kind, copy=False), device, requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, layout: Any = strided, device: Any = None
) -> Tensor:
    """A random order of `range(n)`."""
    order = (generator or default_generator).permutation(n)
    return finish(order if dtype is None else order.astype(as_dtype(dtype).numpy_dtype), device)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of the given means and standard deviations (numbers with a size, or tensors)."""
    given = [value for value in (mean, std) if isinstance(value, Tensor)]
    if any((np.asarray(getattr(std, "_data", std)) < 0).reshape(-1)):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    shape = size if size is not None else np.broadcast_shapes(*(value.shape for value in given))
    kind = dtype if dtype is not None else given[0].dtype if given else None
    draws = randn(tuple(shape), generator=generator, dtype=kind, device=device)._data
    scale, centre = (value._data if isinstance(value, Tensor) else value for value in (std, mean))
    return finish((draws * scale + centre).astype(draws.dtype), None, requires_grad)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """One with the probability each element (or `p`) gives, else zero."""
    chances = _probabilities("bernoulli", input if p is None else p, input.shape)
    draws = (generator or default_generator).uniform(input.numel(), np.float64).reshape(input.shape)
    return finish((draws < chances).astype(input._data.dtype), input.device)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Counts of Poisson's distribution with each element as rate, by inversion: one uniform number each."""
    from scipy import special

    if not input.is_floating_point():
        raise RuntimeError(f"poisson is for floating-point rates, got {input.dtype}")
    rates = input.numpy(force=True).astype(np.float64)
    if not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    draws = _open(generator, input)
    with np.errstate(all="ignore"):
        high = np.ceil(special.pdtrik(draws, rates))
        counts = _step_back(high, lambda count: special.pdtr(count, rates) >= draws)
    return finish(np.where(rates == 0, 0, counts).astype(input._data.dtype), input.device)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials of probability `prob` succeed, by inversion: one uniform number each."""
    from scipy import special

    if not count.is_floating_point() or count.dtype is not prob.dtype:
        raise RuntimeError(
            f"binomial expects count and prob of one floating-point type, got {count.dtype}, {prob.dtype}"
        )
    shape = np.broadcast_shapes(count.shape, prob.shape)
    trials, chances = (np.broadcast_to(each.numpy(force=True).astype(np.float64), shape) for each in (count, prob))
    if not (trials >= 0).all() or (trials != np.floor(trials)).any():
        raise RuntimeError("binomial expects whole counts that are not negative")
    chances = _probabilities("binomial", chances, shape)
    draws = _open(generator, np.empty(shape))
    with np.errstate(all="ignore"):
        high = np.ceil(special.bdtrik(draws, trials, chances))
        counts = _step_back(high, lambda number: special.bdtr(number, trials.astype(np.int64), chances) >= draws)
    certain = np.where(chances == 1, trials, 0)
    sure = (chances == 0) | (chances == 1) | (trials == 0)
    return finish(np.where(sure, certain, np.clip(counts, 0, trials)).astype(count._data.dtype), count.device)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn by weights: (..., num_samples) from (..., categories)."""
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not input.is_floating_point():
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    weights = np.atleast_2d(input.numpy(force=True).astype(np.float64))
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise RuntimeError(
            "probability tensor contains either `inf`, `nan` or element < 0, or a row without any weight"
        )
    if not replacement and num_samples > (weights > 0).sum(1).min():
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    stream = generator or default_generator
    if replacement:
        limits = np.cumsum(weights, 1) / weights.sum(1, keepdims=True)
        draws = stream.uniform(len(weights) * num_samples, np.float64).reshape(len(weights), num_samples)
        chosen = np.stack([np.searchsorted(limit, draw, side="right") for limit, draw in zip(limits, draws)])
    else:  # the exponential trick: the order of log(u) / w is a weighted draw without replacement
        draws = stream.uniform(weights.size, np.float64).reshape(weights.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            keys = np.where(weights > 0, np.log(draws + 2.0**-60) / weights, -np.inf)
        chosen = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    chosen = np.minimum(chosen, weights.shape[1] - 1).astype(np.int64)
    return finish(chosen if input.ndim > 1 else chosen[0], input.device)


def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with uniform numbers of [a, b)."""
    if a > b:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")

    def sample(stream: Generator, count: int, kind: Any) -> Any:
        draws = stream.uniform(count, kind) * kind(b - a) + kind(a)
        return np.minimum(draws, np.nextafter(kind(b), kind(a)), out=draws)  # a sum may be rounded up to b

    return _fill(input, sample, generator)


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if input.is_complex():
        check_writable(input)
        drawn = randn(input.shape, generator=generator, dtype=input.dtype, device=input.device)
        return _fill(input, lambda stream, count, kind: drawn._data.reshape(-1) * std + mean, generator)
    return _fill(input, lambda stream, count, kind: stream.normal(count, kind) * kind(std) + kind(mean), generator)


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Filled with ones of probability `p` (a number or a tensor) and zeros."""
    chances = np.reshape(_probabilities("bernoulli_", p, input.shape), -1)
    return _fill(
        input, lambda stream, count, kind: (stream.uniform(count, np.float64) < chances).astype(kind), generator
    )


def exponential_(input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with exponential numbers of rate `lambd`."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return _fill(input, lambda stream, count, kind: -np.log1p(-stream.uniform(count, kind)) / kind(lambd), generator)


def cauchy_(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with numbers of Cauchy's distribution."""
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return _fill(
        input,
        lambda stream, count, kind: median + sigma * np.tan(np.pi * (stream.uniform(count, np.float64) - 0.5)),
        generator,
    )


def log_normal_(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with numbers whose logarithms are normal."""
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return _fill(input, lambda stream, count, kind: np.exp(stream.normal(count, np.float64) * std + mean), generator)


def geometric_(input: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Filled with the numbers of trials up to the first success of probability `p`."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return _fill(
        input,
        lambda stream, count, kind: np.maximum(np.ceil(np.log1p(-stream.uniform(count, np.float64)) / np.log1p(-p)), 1),
        generator,
    )


def random_(
    input: Tensor, low: int | None = None, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Filled with integers of [low, high), or [0, low) of one bound; without bounds of all that the type holds.

    For floating types that is up to the largest number below which every integer is one of theirs.
    """
    kind = input._data.dtype
    if low is None:
        low, high = (
            0,
            2 if kind == np.bool_ else 1 << _WHOLE[kind.name] if kind.name in _WHOLE else np.iinfo(kind).max + 1,
        )
    elif high is None:
        low, high = 0, low
    _expect_range(low, high, kind)
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _fill(input, lambda stream, count, kind: stream.integers(low, high, count), generator)


def _expect_range(low: int, high: int, kind: Any) -> None:
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        for name, value in (("from", low), ("to - 1", high - 1)):
            if not limits.min <= value <= limits.max:
                raise RuntimeError(f"{name} is out of bounds for {kind.name}: {value}")


def _normal(stream: Generator, count: int, kind: Any, scale: float) -> Any:
    numbers = stream.normal(count, kind)
    return numbers if scale == 1 else numbers * kind(scale)


def _open(generator: Generator | None, like: Any) -> Any:
    """Uniform numbers in (0, 1), in the shape of another tensor or array."""
    count = like.numel() if isinstance(like, Tensor) else like.size
    return ((generator or default_generator).uniform(count, np.float64) + 2.0**-54).reshape(like.shape)


def _step_back(high: Any, reached: Any) -> Any:
    """The inverse of a distribution function is rounded up; one less where that is enough already."""
    low = np.maximum(high - 1, 0)
    return np.where(reached(low), low, high)


def _probabilities(name: str, value: Any, shape: Any) -> Any:
    given = plain = getattr(value, "_data", value)
    while hasattr(plain, "level"):  # inside vmap: those of all samples
        plain = plain.array
    plain = np.asarray(plain)
    if not ((plain >= 0) & (plain <= 1)).all():
        raise RuntimeError(f"{name}: expected probabilities p >= 0 and p <= 1")
    if hasattr(given, "level"):
        return given.astype(np.float64)
    return np.broadcast_to(plain.astype(np.float64), shape)


def _like(sample: Any, input: Tensor, options: dict[str, Any]) -> Tensor:
    how = {"dtype": input.dtype, "device": input.device} | {k: v for k, v in options.items() if v is not None}
    memory_format = how.pop("memory_format", None)
    result = sample(tuple(input.shape), **how)
    return result if memory_format is None else result.contiguous(memory_format=memory_format)


def _draw(sample: Any, size: Any, generator: Generator | None, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    shape = sizes(size)
    kind = (get_default_dtype() if dtype is None else as_dtype(dtype)).numpy_dtype
    if kind.kind == "c":
        parts = sample(generator or default_generator, 2 * math.prod(shape), kind.type(0).real.dtype.type)
        array = (parts[::2] + 1j * parts[1::2]).astype(kind)
    elif kind.kind in "fV":
        array = sample(generator or default_generator, math.prod(shape), kind.type)
    else:
        raise RuntimeError(f"random numbers of type {kind} are not defined; use randint")
    return finish(array.reshape(shape), device, requires_grad)


def _fill(input: Tensor, sample: Any, generator: Generator | None) -> Tensor:
    check_writable(input)
    kind = input._data.dtype
    draws = sample(generator or default_generator, input.numel(), kind.type if kind.kind in "fV" else np.float32)
    array = draws.astype(kind, copy=False).reshape(input.shape)
    if hasattr(array, "level") and not hasattr(input._data, "level"):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. Please use randomness='same'"
        )
    input._data[...] = array if not input.is_cuda else Tensor._wrap(array).to(input.device)._data
    input._shared().version += 1
    if input._view is None:
        input._edge = input._edge if input.is_leaf else None
    return input
