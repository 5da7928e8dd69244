"""Running products, extremes and sums along a dimension; differences and integrals of samples."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.dtype import CATEGORY, FLOATING
from framework.core.half import in_float32
from framework.core.op import Array, op
from framework.core.tensor import check_dim
from framework.ops import elementwise as e
from framework.ops.index import scatter_add
from framework.ops.reduce import cumsum
from framework.ops.reduce import sum as sum_
from framework.ops.results import ValuesIndices
from framework.ops.shape import cat, flip, movedim, narrow, reshape, unsqueeze


@op(method=False, wide=True)
def _cumprod(xp: Any, input: Array, dim: int) -> Array:
    """The running product along a dimension."""
    axis = check_dim(dim, input.ndim)
    kind = np.int64 if CATEGORY[input.dtype] < FLOATING else input.dtype
    return input.astype(kind) if not input.ndim else xp.cumprod(input, axis=axis, dtype=kind)


@_cumprod.vjp("input")
def _(g: Any, input: Any, out: Any, dim: Any) -> Any:
    if not input.ndim:
        return g
    if not _has_zero(input):
        return e.div(flip(cumsum(flip(e.mul(g, e.conj(out)), dim), dim), dim), e.conj(input))
    # with zeros no division is possible: the product without each factor, for all lengths of the product
    rows = movedim(input, dim, -1)
    length = rows.shape[-1]
    identity = like(np.eye(length, dtype=bool), rows)
    without = _cumprod(e.where(identity, 1, unsqueeze(rows, -2)), -1)  # (..., factor left out, length)
    reached = e.where(like(np.triu(np.ones((length, length), bool)), rows), without, 0 * without)
    return movedim(sum_(e.mul(unsqueeze(movedim(g, dim, -1), -2), e.conj(reached)), -1), -1, dim)


@operation(autocast="cuda:float32")
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running product along a dimension."""
    return _cumprod(input if dtype is None else e.to_dtype(input, dtype), dim)


@op(method=False)
def _running_extreme(xp: Any, input: Array, dim: int, largest: bool) -> tuple[Array, Array]:
    """The extreme so far and where it stands: the last place among equals; a NaN stays."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim:
        return input.copy(), xp.zeros((), np.int64)
    values = (xp.maximum if largest else xp.minimum).accumulate(input, axis)
    hit = input == values
    if CATEGORY[input.dtype] >= FLOATING:
        hit |= xp.isnan(input)
    shape = [1] * input.ndim
    shape[axis] = -1
    places = xp.where(hit, xp.arange(input.shape[axis]).reshape(shape), 0)
    return values, xp.maximum.accumulate(places, axis)


@_running_extreme.vjp("input")
def _(g: Any, out1: Any, input_shape: Any, dim: Any) -> Any:
    if not input_shape:
        return g[0]
    zeros = np.zeros(input_shape, getattr(g[0], "_data", g[0]).dtype)
    return scatter_add(zeros, dim, out1, g[0])


def cummax(input: Any, dim: int) -> ValuesIndices:
    """The largest value so far along a dimension, and where it stands."""
    return ValuesIndices(*_running_extreme(input, dim, True))


def cummin(input: Any, dim: int) -> ValuesIndices:
    """The smallest value so far along a dimension, and where it stands."""
    return ValuesIndices(*_running_extreme(input, dim, False))


@op(kind="float")
def logcumsumexp(xp: Any, input: Array, dim: int) -> Array:
    """The logarithm of the running sum of exponentials along a dimension."""
    axis = check_dim(dim, input.ndim)
    if not input.ndim or not input.shape[axis]:
        return input.copy()
    if input.dtype.kind != "c":
        return xp.logaddexp.accumulate(input, axis)
    result = input.copy()
    rows, sums = xp.moveaxis(input, axis, 0), xp.moveaxis(result, axis, 0)
    for place in range(1, rows.shape[0]):
        sums[place] = e.logaddexp(sums[place - 1], rows[place])
    return result


@logcumsumexp.vjp("input")
def _(g: Any, input: Any, dim: Any) -> Any:
    if not input.ndim:
        return g
    # in double precision: the running sums cover many orders of magnitude, and `out` rounds away the small ones
    wide = np.complex128 if getattr(g, "_data", g).dtype.kind == "c" else np.float64
    g, input = e.to_dtype(g, wide), e.to_dtype(input, wide)
    out = logcumsumexp(input, dim)

    def back(part: Any) -> Any:  # exp(input) * reversed running sum of part * exp(-out), in the logarithm
        present = e.gt(part, 0)
        levels = e.where(present, e.log(e.where(present, part, 1)), floor)
        return e.exp(e.add(flip(logcumsumexp(flip(e.sub(levels, e.conj(out)), dim), dim), dim), e.conj(input)))

    kind = getattr(g, "_data", g).dtype
    floor = float(np.finfo(kind).min) / 4
    if kind.kind == "c":
        parts = [(back(e.real(g)), back(e.neg(e.real(g)))), (back(e.imag(g)), back(e.neg(e.imag(g))))]
        (a, b), (c, d) = parts
        return e.add(e.sub(a, b), e.mul(e.sub(c, d), 1j))
    return e.sub(back(g), back(e.neg(g)))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along a dimension, taken `n` times."""
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if not n:  # nor is anything joined to it
        return e.clone(input)
    axis = check_dim(dim, input.ndim)
    pieces = [piece for piece in (prepend, input, append) if piece is not None]
    if len(pieces) > 1:
        input = cat(pieces, axis)
    for _ in range(n):
        length = input.shape[axis]
        if length < 1:
            break
        above, below = narrow(input, axis, 1, length - 1), narrow(input, axis, 0, length - 1)
        is_bool = getattr(input, "_data", input).dtype == np.bool_
        input = e.logical_xor(above, below) if is_bool else e.sub(above, below)
    return input


def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """The integral of samples `y` along a dimension by the trapezoid rule, at places `x` or with spacing `dx`."""
    if not y.shape[dim]:
        return sum_(y, dim)
    areas = _trapezoids(y, x, dx, dim, "trapezoid")
    return sum_(areas, check_dim(dim, areas.ndim) if x is None or x.ndim <= 1 else dim)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """The running integral of samples `y` along a dimension by the trapezoid rule."""
    return cumsum(_trapezoids(y, x, dx, dim, "cumulative_trapezoid"), dim)


def _trapezoids(y: Any, x: Any, dx: Any, dim: int, name: str) -> Any:
    if x is not None and not x.ndim:  # one place: no distance between samples
        x, dx = None, 0
    axis = check_dim(dim, y.ndim)
    length = y.shape[axis]
    heights = e.add(narrow(y, axis, 1, length - 1), narrow(y, axis, 0, length - 1))
    if x is None:
        return e.mul(e.mul(heights, dx), 0.5)
    if x.ndim == 1:
        if x.shape[0] != length:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        x = reshape(x, *(length if place == axis else 1 for place in range(y.ndim)))
    span = diff(x, dim=axis - y.ndim)
    return e.mul(e.mul(heights, span), 0.5)


@in_float32
def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Any, ...]:
    """Slopes along each of `dim` by central differences of second order, at `spacing` or at coordinates.

    `spacing` is a distance, a list of distances, or a list of tensors of coordinates, one for each dimension.
    """
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [check_dim(each, input.ndim) for each in dims]
    if len(set(axes)) != len(axes):
        raise RuntimeError("dim appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    if edge_order not in (1, 2):
        raise RuntimeError("gradient only supports edge_order=1 and edge_order=2.")
    if hasattr(spacing, "dtype"):
        spacing = [spacing] if spacing.ndim else spacing.item()
    steps = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise RuntimeError(f"gradient expected {len(axes)} spacings, one for each dim, got {len(steps)}")
    return tuple(_slope(input, axis, step, edge_order) for axis, step in zip(axes, steps))


def _slope(input: Any, axis: int, step: Any, edge_order: int) -> Any:
    length = input.shape[axis]
    if length <= edge_order:
        raise RuntimeError("gradient expected each dimension size to be at least edge_order+1")
    if hasattr(step, "dtype"):
        gaps = diff(reshape(step, *(length if place == axis else 1 for place in range(input.ndim))), dim=axis)
    else:
        shape = [length - 1 if place == axis else 1 for place in range(input.ndim)]
        gaps = like(np.full(shape, step, np.result_type(type(step), np.float32)), input)
        gaps = e.to_dtype(gaps, _slope_kind(input))
    rises = e.div(diff(input, dim=axis), gaps)  # the slope of each interval

    def part(source: Any, start: int, count: int) -> Any:
        return narrow(source, axis, start, count)

    before, after = part(gaps, 0, length - 2), part(gaps, 1, length - 2)
    weighted = e.add(e.mul(part(rises, 0, length - 2), after), e.mul(part(rises, 1, length - 2), before))
    inner = e.div(weighted, e.add(before, after))
    first, last = part(rises, 0, 1), part(rises, length - 2, 1)
    if edge_order == 2:
        first = _extrapolated(first, part(rises, 1, 1), part(gaps, 0, 1), part(gaps, 1, 1))
        last = _extrapolated(last, part(rises, length - 3, 1), part(gaps, length - 2, 1), part(gaps, length - 3, 1))
    return cat([first, inner, last], axis)


def _extrapolated(near: Any, far: Any, near_gap: Any, far_gap: Any) -> Any:
    """The slope at an edge of the parabola through three points, from the slopes of two intervals."""
    return e.add(near, e.div(e.mul(e.sub(near, far), near_gap), e.add(near_gap, far_gap)))


def _slope_kind(input: Any) -> Any:
    kind = getattr(input, "_data", input).dtype
    return kind if CATEGORY[kind] >= FLOATING else np.dtype(np.float32)


def like(array: Any, other: Any) -> Any:
    """A constant array as what `other` is: a Tensor on its device, or an array."""
    from framework.core.tensor import Tensor

    return Tensor._wrap(array).to(other.device) if isinstance(other, Tensor) else array


def _has_zero(value: Any) -> bool:
    array = getattr(value, "_data", value)
    return bool((array == 0).any())
