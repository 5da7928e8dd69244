"""Softmax, its logarithm and their gradients, along any dimension of an array that is contiguous in some order."""

from typing import Any

import numpy as np

from framework.backends.cpu import machine, threads
from framework.backends.cpu.layout import empty_like, is_dense, like, served

Array = np.ndarray[Any, Any]


def softmax(x: Array, dim: int) -> Any:
    """exp(x) / sum exp(x) along `dim`."""
    return _forward(x, dim, 0)


def log_softmax(x: Array, dim: int) -> Any:
    """The logarithm of `softmax`."""
    return _forward(x, dim, 1)


def softmax_grad(g: Array, out: Array, dim: int, log: bool) -> Any:
    """The gradient by the input, from that by the result `out` of softmax (or, with `log`, of log_softmax)."""
    if not _serves(g, out):
        return NotImplemented
    from framework.backends.cpu import softmax_kernels

    g = like(g, out)
    result = empty_like(out)
    constants = _constants(out, int(log))
    form = _form(out, dim)
    addresses = g.ctypes.data, out.ctypes.data, result.ctypes.data
    if form[0] == "rows":
        threads.run(softmax_kernels.rows_gradient(**constants), form[1], *addresses, *form[2])
    else:
        scratch = 2 * out.shape[dim] * constants["LANES"] * out.itemsize
        threads.run(softmax_kernels.blocks_gradient(**constants), form[1], *addresses, *form[2], scratch=scratch)
    return result


_FEW = 1 << 12  # elements below which NumPy's own passes cost less than starting a kernel
_ROWS_BYTES = 64 << 10  # of one job
_CHUNK = 2048  # positions of one job


def _forward(x: Array, dim: int, log: int) -> Any:
    if not _serves(x):
        return NotImplemented
    from framework.backends.cpu import softmax_kernels

    result = empty_like(x)
    constants = _constants(x, log)
    form = _form(x, dim)
    addresses = x.ctypes.data, result.ctypes.data
    if form[0] == "rows":
        threads.run(softmax_kernels.rows(**constants), form[1], *addresses, *form[2])
    else:
        scratch = (x.shape[dim] + 1) * constants["LANES"] * x.itemsize
        threads.run(softmax_kernels.blocks(**constants), form[1], *addresses, *form[2], scratch=scratch)
    return result


def _serves(*arrays: Array) -> bool:
    x = arrays[-1]
    return x.size >= _FEW and served(*arrays) and is_dense(x) and all(each.shape == x.shape for each in arrays)


def _form(x: Array, dim: int) -> tuple[str, int, tuple[int, ...]]:
    """Which kernel, how many jobs, and its sizes."""
    axis = dim % x.ndim
    width = x.shape[axis]
    if not x.flags.c_contiguous:  # channels-last memory: (images, positions, channels)
        order = (0, *range(2, x.ndim), 1)
        x = x.transpose(order)
        axis = order.index(axis)
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64))
    if inner == 1 and width >= 2 * machine.lanes(x.dtype.name):
        count = x.size // width
        chunk = max(1, _ROWS_BYTES // (width * x.itemsize))
        return "rows", -(-count // chunk), (count, width, chunk)
    images = x.size // (width * inner)
    if inner == 1:  # short rows: their positions lie a row apart
        chunks = -(-images // _CHUNK)
        return "blocks", chunks, (images, width, _CHUNK, chunks, 0, width * x.itemsize, x.itemsize)
    chunks = -(-inner // _CHUNK)
    steps = width * inner * x.itemsize, x.itemsize, inner * x.itemsize
    return "blocks", images * chunks, (inner, width, _CHUNK, chunks, *steps)


def _constants(x: Array, log: int) -> dict[str, Any]:
    return {"Float": x.dtype.name, "LANES": machine.lanes(x.dtype.name), "SIZE": x.itemsize, "LOG": log}
