"""Arrays of constants, ranges and data."""

from typing import Any

import numpy as np

from framework.array_api.dtypes import meet, tensor_of
from framework.core.dtype import DType, as_dtype, get_default_dtype
from framework.core.tensor import Tensor
from framework.ops import constants, creation, linalg
from framework.ops import ranges as _ranges
from framework.ops.shape import meshgrid as _meshgrid

Shape = int | tuple[int, ...]


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """Numbers from `start` (0 when it is the only bound) up to `stop`, by `step`; empty when that leads away."""
    if stop is None:
        start, stop = 0, start
    if step != 0 and (stop - start) * step < 0:
        stop = start
    return _ranges.arange(start, stop, step, dtype=dtype, device=device)


def asarray(obj: Any, /, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """The object as an array: a Tensor, a number, nested sequences, a buffer or a DLPack producer."""
    return creation.asarray(obj, dtype=dtype, device=device, copy=copy)


def empty(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array whose values are whatever was in memory."""
    return constants.empty(_size(shape), dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Uninitialised memory of the shape of `x`."""
    return constants.empty_like(tensor_of(x), dtype=dtype, device=device)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """Ones on the `k`-th diagonal, zeros elsewhere."""
    columns = n_rows if n_cols is None else n_cols
    array = np.eye(n_rows, columns, k, dtype=creation.kind_of(dtype))
    return creation.finish(array, device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array on the memory of any DLPack producer."""
    return creation.from_dlpack(x, device=device, copy=copy)


def full(shape: Shape, fill_value: complex, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array of one value."""
    return constants.full(_size(shape), fill_value, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: complex, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """One value in the shape of `x`."""
    return constants.full_like(tensor_of(x), fill_value, dtype=dtype, device=device)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Any = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` numbers evenly spaced from `start` to `stop`, which is the last of them with `endpoint`."""
    given = get_default_dtype() if dtype is None else as_dtype(dtype)
    if isinstance(start, complex) or isinstance(stop, complex):
        given = given.to_complex() if dtype is None else given
    if not given.is_floating_point and not given.is_complex:
        raise TypeError(f"linspace: the type must be a floating one, got {given!r}")
    if endpoint:
        return _ranges.linspace(start, stop, num, dtype=given, device=device)
    return _ranges.linspace(start, stop, num + 1, dtype=given, device=device)[:-1]


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinate arrays of a grid, in Cartesian ("xy") or matrix ("ij") order."""
    if len({tensor_of(each).dtype for each in arrays}) > 1:
        arrays = tuple(meet(*arrays))
    return _meshgrid(*arrays, indexing=indexing) if arrays else ()


def ones(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array of ones."""
    return constants.ones(_size(shape), dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Ones in the shape of `x`."""
    return constants.ones_like(tensor_of(x), dtype=dtype, device=device)


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of matrices, up to the `k`-th diagonal."""
    return linalg.tril(tensor_of(x), k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of matrices, from the `k`-th diagonal."""
    return linalg.triu(tensor_of(x), k)


def zeros(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array of zeros."""
    return constants.zeros(_size(shape), dtype=dtype, device=device)


def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Zeros in the shape of `x`."""
    return constants.zeros_like(tensor_of(x), dtype=dtype, device=device)


def _size(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]
