"""Separable weighted sums: what average pooling, interpolation and their gradients have in common."""

import functools
from typing import Any

import numpy as np

from framework.core.op import Array, op

Ints = tuple[int, ...]


class Taps:
    """The weights of one dimension: entry `i` of a result is the sum over `k` of weight[i, k] * input[index[i, k]].

    A weight of zero is no tap: what is not finite there stays out of the result.
    """

    def __init__(self, index: Any, weight: Any, length: int) -> None:
        order = np.argsort(weight == 0, axis=1, kind="stable")  # the taps first
        used = max(1, int((weight != 0).sum(1).max(initial=0)))
        self.index = np.take_along_axis(index, order, 1)[:, :used].astype(np.int64)
        self.weight = np.take_along_axis(weight, order, 1)[:, :used].astype(np.float64)
        self.length = length

    @functools.cached_property
    def transposed(self) -> "Taps":
        """The weights of the gradient."""
        rows, slots = np.nonzero(self.weight)
        places = self.index[rows, slots]
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=self.length)
        first = np.cumsum(counts) - counts
        at, slot = places[order], np.arange(len(places)) - first[places[order]]
        index = np.zeros((self.length, max(1, int(counts.max(initial=0)))), np.int64)
        weight = np.zeros(index.shape)
        index[at, slot], weight[at, slot] = rows[order], self.weight[rows, slots][order]
        return Taps(index, weight, len(self.index))

    def along(self, xp: Any, input: Any, axis: int) -> Any:
        """The weighted sums along one dimension of an array."""
        shape = (-1, *(1,) * (input.ndim - 1 - axis))
        result: Any = None
        for k in range(self.index.shape[1]):
            weight = xp.asarray(self.weight[:, k]).astype(input.dtype).reshape(shape)
            part = xp.where(weight != 0, xp.take(input, xp.asarray(self.index[:, k]), axis) * weight, 0)
            result = part if result is None else result + part
        return result.astype(input.dtype, copy=False)


@op(method=False, wide=True)
def weigh(xp: Any, input: Array, taps: tuple[Taps | None, ...]) -> Array:
    """Weighted sums of (N, C, *) along each spatial dimension; None leaves a dimension as it is."""
    result = input
    for axis, each in enumerate(taps, start=2):
        if each is not None:
            result = each.along(xp, result, axis)
    return result


@weigh.vjp("input")
def _(g: Any, taps: Any) -> Any:
    return weigh(g, tuple(None if each is None else each.transposed for each in taps))


@functools.lru_cache(maxsize=256)
def windows(length: int, starts: Ints, stops: Ints, divisors: Ints | None) -> Taps:
    """The sums of the parts `starts[i]:stops[i]`, divided by `divisors[i]`."""
    first, last = np.array(starts), np.array(stops)
    places = np.arange(max(1, int((last - first).max(initial=1))))
    share = np.ones(len(first)) if divisors is None else 1.0 / np.array(divisors)
    weight = np.where(places < (last - first)[:, None], share[:, None], 0.0)
    return Taps(np.clip(first[:, None] + places, 0, length - 1), weight, length)
