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
    """Standard normal numbers."""
    return _draw(lambda stream, count, kind: stream.normal(count, kind), size, generator, dtype, device, requires_grad)


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
    numbers = (generator or default_generator).integers(low, high, math.prod(shape)).reshape(shape)
    kind = np.dtype(np.int64) if dtype is None else as_dtype(dtype).numpy_dtype
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


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """One with the probability each element gives, else zero."""
    draws = (generator or default_generator).uniform(input.numel(), np.float64).reshape(input.shape)
    probability = (input.detach() if hasattr(input._data, "level") else input.detach().cpu())._data.astype(np.float64)
    return finish((draws < probability).astype(input._data.dtype), input.device)


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
    return _fill(input, lambda stream, count, kind: stream.uniform(count, kind) * kind(b - a) + kind(a), generator)


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _fill(input, lambda stream, count, kind: stream.normal(count, kind) * kind(std) + kind(mean), generator)


def bernoulli_(input: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Filled with ones of probability `p` and zeros."""
    return _fill(input, lambda stream, count, kind: (stream.uniform(count, np.float64) < p).astype(kind), generator)


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


def random_(input: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None) -> Tensor:
    """Filled with integers of [low, high); the type's whole range where `high` is missing."""
    if high is None:
        kind = input._data.dtype
        low, high = (
            (low, int(np.iinfo(kind).max)) if kind.kind in "iu" else (0, 1 << (24 if kind.itemsize == 4 else 53))
        )
    return _fill(input, lambda stream, count, kind: stream.integers(low, high, count), generator)


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
