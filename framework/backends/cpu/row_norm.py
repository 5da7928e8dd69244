"""Layer and root-mean-square normalisation over the last dimension, and its gradient."""

from typing import Any

import numpy as np

from framework.backends.cpu import machine, memory, threads
from framework.backends.cpu.layout import served

Array = np.ndarray[Any, Any]


def row_norm(x: Array, weight: Array | None, bias: Array | None, eps: float, centred: bool) -> Any:
    """(x - mean) * rstd * weight + bias along the last dimension, mean and rstd of each row."""
    if not _serves(x, weight, bias):
        return NotImplemented
    from framework.backends.cpu import row_norm_kernels

    x = np.ascontiguousarray(x)
    weight, bias = (None if each is None else np.ascontiguousarray(each) for each in (weight, bias))
    y = memory.empty(x.shape, x.dtype)
    rstd = np.empty((*x.shape[:-1], 1), x.dtype)
    mean = np.empty_like(rstd) if centred else np.zeros((), x.dtype)
    count, width, chunk, jobs = _form(x)
    threads.run(
        row_norm_kernels.forward(**_constants(x, weight, bias, centred)), jobs, x.ctypes.data, _address(weight),
        _address(bias), y.ctypes.data, mean.ctypes.data, rstd.ctypes.data, count, width, chunk, float(eps),
    )  # fmt: skip
    return y, mean, rstd


def row_norm_grad(g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, centred: bool) -> Any:
    """Gradients of `row_norm` by x, weight and bias, each of its shape; sums over rows are added in float64."""
    if not _serves(x, weight, None) or g.dtype != x.dtype or rstd.dtype != x.dtype or not g.size:
        return NotImplemented
    from framework.backends.cpu import row_norm_kernels

    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x)
    weight = None if weight is None else np.ascontiguousarray(weight)
    mean, rstd = np.ascontiguousarray(mean), np.ascontiguousarray(rstd)
    gx = memory.empty(x.shape, x.dtype)
    count, width, chunk, jobs = _form(x)
    products, sums = np.empty((jobs, width), x.dtype), np.empty((jobs, width), x.dtype)
    threads.run(
        row_norm_kernels.gradient(**_constants(x, weight, None, centred)), jobs, g.ctypes.data, x.ctypes.data,
        _address(weight), mean.ctypes.data, rstd.ctypes.data, gx.ctypes.data, products.ctypes.data, sums.ctypes.data,
        count, width, chunk,
    )  # fmt: skip
    return gx, *(part.sum(0, dtype=np.float64).astype(x.dtype) for part in (products, sums))


_FEW = 1 << 11  # elements below which NumPy's passes cost less than starting a kernel
_ROWS = 64  # of one job: fixed, so that sums over rows do not depend on the number of threads


def _serves(x: Array, weight: Array | None, bias: Array | None) -> bool:
    return x.ndim > 0 and x.size >= _FEW and served(x, weight, bias)


def _form(x: Array) -> tuple[int, int, int, int]:
    width = x.shape[-1]
    count = x.size // width
    return count, width, _ROWS, -(-count // _ROWS)


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data


def _constants(x: Array, weight: Array | None, bias: Array | None, centred: bool) -> dict[str, Any]:
    return {
        "Float": x.dtype.name, "LANES": machine.lanes(x.dtype.name), "SIZE": x.itemsize, "CENTRED": int(centred),
        "WEIGHTED": int(weight is not None), "SHIFTED": int(bias is not None),
    }  # fmt: skip
