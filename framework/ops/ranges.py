"""Ranges of numbers, the identity matrix, and the indices of triangles."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import as_dtype, get_default_dtype
from framework.core.layout import strided
from framework.core.tensor import Tensor
from framework.ops.creation import finish, kind_of


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (0) up to, not including, `end`, by `step`."""
    if end is None:
        start, end = 0, start
    start, end, step = (value.item() if isinstance(value, Tensor) else value for value in (start, end, step))
    if dtype is not None and as_dtype(dtype).numpy_dtype.kind in "iu" and all(map(math.isfinite, (start, end, step))):
        start, end, step = int(start), int(end), int(step)  # as torch does: the bounds are cut first
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(value, int | np.integer) for value in (start, end, step))
    kind = as_dtype(dtype) if dtype is not None else as_dtype(int) if whole else get_default_dtype()
    count = math.ceil((end - start) / step)
    numbers = start + np.arange(count, dtype=np.int64 if whole else np.float64) * step
    return finish(numbers.astype(kind.numpy_dtype), device, requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included; symmetric about the middle, as torch computes them."""
    _expect_count(steps)
    first, last = _end(start, "start"), _end(end, "end")
    kind = _kind_of_ends(dtype, first, last)
    exact = np.complex128 if kind.kind == "c" else np.float64
    if kind.kind in "iu":  # the ends are cut to integers first, and so is every number
        first, last = int(first.real), int(last.real)
    step = (last - first) / (steps - 1) if steps > 1 else 0
    places = np.arange(steps)
    low = first + places * step
    high = last - (steps - 1 - places) * step
    numbers = np.where(places < steps // 2 if steps > 1 else True, low, high).astype(exact)
    return finish(_cut(numbers, kind), device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from `base ** start` to `base ** end`, evenly spaced in their logarithms."""
    _expect_count(steps)
    first, last = _end(start, "start"), _end(end, "end")
    kind = _kind_of_ends(dtype, first, last)
    if kind.kind in "iu":
        first, last = int(first.real), int(last.real)
    step = (last - first) / (steps - 1) if steps > 1 else 0
    places = np.arange(steps)
    powers = np.where(
        places < steps // 2 if steps > 1 else True, first + places * step, last - (steps - 1 - places) * step
    )
    with np.errstate(all="ignore"):
        numbers = np.power(complex(base) if kind.kind == "c" or np.iscomplexobj(powers) else float(base), powers)
    return finish(_cut(np.asarray(numbers), kind), device, requires_grad)


def eye(n: int, m: int | None = None, *, out: Tensor | None = None, dtype: Any = None, layout: Any = strided,
        device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The identity matrix of n rows and m (n) columns."""
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {n if n < 0 else m}")
    return finish(np.eye(n, m, dtype=kind_of(dtype)), device, requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The (2, n) row and column indices of the lower triangle of a matrix."""
    return _triangle(np.tril_indices, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The (2, n) row and column indices of the upper triangle of a matrix."""
    return _triangle(np.triu_indices, row, col, offset, dtype, device)


def _triangle(function: Any, row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"row and col must be non-negative, got {row} and {col}")
    kind = np.dtype(np.int64) if dtype is None else as_dtype(dtype).numpy_dtype
    if kind not in (np.dtype(np.int64), np.dtype(np.int32)):
        raise RuntimeError(f"indices of a triangle have type int32 or int64, not {kind}")
    return finish(np.stack(function(row, offset, col)).astype(kind), device)


def _expect_count(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise TypeError(f"the number of steps must be an integer, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")


def _end(value: Any, name: str) -> Any:
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"linspace only supports 0-dimensional start and end tensors, but got {name} with {value.ndim} "
                "dimension(s)."
            )
        return value.item()
    return value


def _kind_of_ends(dtype: Any, first: Any, last: Any) -> Any:
    is_complex = isinstance(first, complex) or isinstance(last, complex)
    if dtype is None:
        kind = get_default_dtype()
        return (kind.to_complex() if is_complex else kind).numpy_dtype
    kind = as_dtype(dtype)
    if is_complex and not kind.is_complex:
        raise RuntimeError(f"inferred dtype of complex ends can't be safely cast to passed dtype {kind.name}")
    return kind.numpy_dtype


def _cut(numbers: Any, kind: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return numbers.astype(np.int64).astype(kind) if kind.kind in "iu" else numbers.astype(kind)
