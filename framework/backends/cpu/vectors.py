"""Sums and products of long vectors: one pass, each product and sum rounded together, in a fixed order."""

from typing import Any

import numpy as np

from framework.backends.cpu import threads
from framework.backends.cpu.layout import served

Array = np.ndarray[Any, Any]
_CHUNK = 1 << 15


def scaled_sum(y: Array, x: Array, alpha: float) -> Any:
    """y + alpha x."""
    if not _alike(x, y):
        return NotImplemented
    from framework.backends.cpu.vector_kernels import multiply_add

    out = np.empty_like(y)
    threads.run(
        multiply_add(Float=x.dtype.name), -(-x.size // _CHUNK), y.ctypes.data, x.ctypes.data, out.ctypes.data, x.size,
        _CHUNK, float(alpha),
    )  # fmt: skip
    return out


def ordered_dot(x: Array, y: Array) -> Any:
    """The sum of x y, chunk by chunk, whatever the number of threads and the width of the processor's vectors."""
    if not _alike(x, y):
        return NotImplemented
    from framework.backends.cpu.vector_kernels import dot

    parts = np.empty(-(-x.size // _CHUNK), x.dtype)
    threads.run(
        dot(Float=x.dtype.name, LANES=4), len(parts), x.ctypes.data, y.ctypes.data, parts.ctypes.data, x.size, _CHUNK
    )
    return np.asarray(parts.sum(dtype=x.dtype))


def _alike(x: Array, y: Array) -> bool:
    return x.ndim == 1 and x.shape == y.shape and served(x, y) and x.flags.c_contiguous and y.flags.c_contiguous
