"""Matrix product on the generated tile kernel."""

from typing import Any

import numpy as np

from framework.backends.cpu import memory, threads
from framework.backends.cpu.layout import served
from framework.backends.cpu.tiling import block, constants

Array = np.ndarray[Any, Any]


def linear(x: Array, weight: Array, bias: Array | None) -> Any:
    """x (..., K) @ weight (N, K) transposed + bias (N,)."""
    if x.ndim < 2 or weight.ndim != 2 or not served(x, weight, bias):
        return NotImplemented
    return _product(x, weight.T, bias)


def matmul(a: Array, b: Array) -> Any:
    """a (..., M, K) @ b (..., K, N), leading axes broadcast; transposed views are read in place."""
    if a.ndim < 2 or b.ndim < 2 or not served(a, b) or a.shape[-1] != b.shape[-2]:
        return NotImplemented
    return _product(a, b, None)


def _product(a: Array, b: Array, bias: Array | None) -> Any:
    """a @ b, with a row added to each row of the result.

    Small products and products with few rows are left to NumPy: packing b would cost more than it saves.
    """
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    if rows < _FEW_ROWS or columns < _FEW_COLUMNS or rows * inner * columns < _FEW_PRODUCTS:
        return NotImplemented
    from framework.backends.cpu import matmul_kernels

    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:
        a, rows, folded = a.reshape(-1, inner), a.size // inner, True  # one product instead of many
    else:
        folded = False
    tile, width = block(a.dtype)
    itemsize = a.itemsize
    blocks = -(-columns // width)
    products = () if folded else batch
    result = memory.empty((*products, rows, columns), a.dtype)
    count = int(np.prod(products))
    packed = memory.empty((b.size // (inner * columns), blocks, inner, width), b.dtype)
    sources = _addresses(b, b.shape[:-2])
    threads.run(
        matmul_kernels.pack_panels(**constants(a.dtype)), len(sources) * blocks, sources.ctypes.data,
        packed.ctypes.data, blocks, inner, columns, *b.strides[-2:],
    )  # fmt: skip
    panels = packed.ctypes.data + np.arange(len(sources), dtype=np.int64) * (packed.strides[0] if len(sources) else 0)
    panels = np.ascontiguousarray(np.broadcast_to(panels.reshape(b.shape[:-2]), products)).ravel()
    left, targets = _addresses(a, products), _addresses(result, products)
    row_chunk = -(-_ROWS // tile) * tile
    row_chunks = -(-rows // row_chunk)
    depth = _DEPTH_BYTES // (width * itemsize)
    splits = max(1, min(blocks, -(-_JOBS // (row_chunks * count))))
    row = np.zeros(blocks * width, a.dtype)
    if bias is not None:
        row[:columns] = bias
    threads.run(
        matmul_kernels.multiply(**constants(a.dtype)), count * row_chunks * splits, left.ctypes.data,
        panels.ctypes.data, targets.ctypes.data, rows, inner, columns, *a.strides[-2:], row_chunk, row_chunks,
        depth, splits, row.ctypes.data, scratch=64 + row_chunk * depth * itemsize,
    )  # fmt: skip
    return result.reshape(*batch, -1, columns) if folded else result


_FEW_ROWS, _FEW_COLUMNS, _FEW_PRODUCTS = 8, 4, 1 << 15
_ROWS = 96  # rows of A of one job; with the depth below they stay in the second-level cache
_DEPTH_BYTES = 16 << 10  # of one panel: half of the first-level cache
_JOBS = 16


def _addresses(array: Array, batch: tuple[int, ...]) -> Array:
    """Address of each matrix of `array` broadcast to the leading axes `batch`."""
    steps = np.broadcast_to(array, (*batch, *array.shape[-2:])).strides[:-2]
    addresses = np.full(batch, array.ctypes.data, np.int64)
    for axis, step in enumerate(steps):
        shape = [1] * len(batch)
        shape[axis] = -1
        addresses += (np.arange(batch[axis], dtype=np.int64) * step).reshape(shape)
    return addresses.ravel()
