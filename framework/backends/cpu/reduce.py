"""Sums over all positions of an activation, for each channel and image or over these too."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import machine, threads
from framework.backends.cpu.layout import is_dense, served
from framework.backends.cpu.norm import Form
from framework.backends.cpu.reduce_kernels import chunk_sums

Array = np.ndarray[Any, Any]


def sum(x: Array, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """The sum of x (N, C, *spatial) over `dim`, which holds all spatial axes; chunks are added in float64."""
    if not 3 <= x.ndim <= 5 or x.size < _FEW or not served(x) or not is_dense(x):
        return NotImplemented
    given = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    axes = {axis + x.ndim if axis < 0 else axis for axis in given}
    if len(axes) != len(given) or not set(range(2, x.ndim)) <= axes <= set(range(x.ndim)):
        return NotImplemented
    form = Form(x)
    parts = np.empty(form.parts, np.float64)
    kernel = chunk_sums(Float=x.dtype.name, LANES=machine.lanes(x.dtype.name))
    threads.run(kernel, form.jobs, x.ctypes.data, *form.sizes, parts.ctypes.data)
    each = parts.sum(1).reshape(x.shape[:2])
    left = tuple(axis for axis in (0, 1) if axis in axes)
    result = each.sum(left, keepdims=keepdim) if left else each
    if keepdim:
        result = result.reshape(*result.shape, *[1] * (x.ndim - 2))
    return np.asarray(result, np.float64).astype(x.dtype)


_FEW = 1 << 14  # below, NumPy's own sum is as fast
