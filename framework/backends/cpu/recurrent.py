"""One direction of a recurrent layer over all times in one kernel call, and back through time in another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.backends.cpu import memory, threads
from framework.backends.cpu.layout import served
from framework.backends.cpu.tiling import block, constants
from framework.core.half import half_type, rounded, widened

Array = np.ndarray[Any, Any]


def recurrent(
    parts: Array, w_hh: Array, b_hh: Array | None, h0: Array, c0: Array | None, w_hr: Array | None, cell: str,
    sizes: Sequence[int], reverse: bool, keep: bool,
) -> Any:  # fmt: skip
    """See `ops.recurrent`; half precision is computed in float32."""
    kind = half_type(parts)
    parts, w_hh, b_hh, h0, c0, w_hr = map(widened, (parts, w_hh, b_hh, h0, c0, w_hr))
    if not served(parts, w_hh, b_hh, h0, c0, w_hr):
        return NotImplemented
    from framework.backends.cpu import recurrent_kernels

    width, gates = w_hh.shape[1], w_hh.shape[0]
    hidden = gates // GATES[cell]
    h, c = np.array(h0, order="C"), np.empty((0, hidden), h0.dtype) if c0 is None else np.array(c0, order="C")
    parts = np.ascontiguousarray(parts)
    y = memory.empty((len(parts), width), parts.dtype)
    kept = memory.empty((len(parts) if keep else 0, KEPT[cell] * hidden), parts.dtype)
    room = block(parts.dtype)[1]
    bias = np.zeros(gates + 2 * room + width, parts.dtype)
    if b_hh is not None:
        bias[:gates] = b_hh
    weights, projection = _panels(w_hh.T), None if w_hr is None else _panels(w_hr.T)
    spans, chunk = _spans(sizes, reverse), _chunk(len(h0), parts.dtype)
    choices = _choices(parts.dtype, cell, w_hr) | {"KEEP": int(keep)}
    threads.run(
        recurrent_kernels.forward(**choices), -(-len(h0) // chunk), parts.ctypes.data, weights.ctypes.data,
        bias.ctypes.data, _address(projection), h.ctypes.data, c.ctypes.data, y.ctypes.data, kept.ctypes.data,
        spans.ctypes.data, len(spans), chunk, hidden, width,
        scratch=64 + chunk * (gates + hidden) * parts.itemsize,
    )  # fmt: skip
    return *rounded((y, h, c), kind), kept


def recurrent_grad(
    gy: Array | None, gh: Array | None, gc: Array | None, w_hh: Array, h0: Array, c0: Array | None, w_hr: Array | None,
    y: Array, kept: Array, cell: str, sizes: Sequence[int], reverse: bool,
) -> Any:  # fmt: skip
    """See `ops.recurrent`."""
    gy, gh, gc, w_hh, h0, c0, w_hr, y = map(widened, (gy, gh, gc, w_hh, h0, c0, w_hr, y))
    if not served(w_hh, gy, gh, gc, h0, c0, w_hr, y):
        return NotImplemented
    from framework.backends.cpu import recurrent_kernels

    width, gates = w_hh.shape[1], w_hh.shape[0]
    hidden, dtype = gates // GATES[cell], y.dtype
    gy = np.zeros_like(y) if gy is None else np.ascontiguousarray(gy)
    y, h0 = np.ascontiguousarray(y), np.ascontiguousarray(h0)
    c0 = None if c0 is None else np.ascontiguousarray(c0)
    dh = np.zeros(h0.shape, dtype) if gh is None else np.array(gh, order="C")
    dc = None if c0 is None else np.zeros(c0.shape, dtype) if gc is None else np.array(gc, order="C")
    slopes = memory.empty((len(y), gates), dtype)
    states = memory.empty(slopes.shape, dtype) if cell == "gru" else slopes
    outward = None if w_hr is None else memory.empty(y.shape, dtype)
    weights, projection = _panels(w_hh), None if w_hr is None else _panels(w_hr)
    zeros = np.zeros(max(width, hidden) + block(dtype)[1], dtype)
    spans, chunk = _spans(sizes, reverse), _chunk(len(h0), dtype)
    threads.run(
        recurrent_kernels.backward(**_choices(dtype, cell, w_hr)), -(-len(h0) // chunk), gy.ctypes.data, y.ctypes.data,
        h0.ctypes.data, _address(c0), kept.ctypes.data, weights.ctypes.data, _address(projection), zeros.ctypes.data,
        dh.ctypes.data, _address(dc), slopes.ctypes.data, states.ctypes.data, _address(outward), spans.ctypes.data,
        len(spans), chunk, hidden, width, scratch=64 + chunk * hidden * y.itemsize,
    )  # fmt: skip
    return slopes, states, dh, dc, outward


GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
KEPT = {"tanh": 0, "relu": 0, "lstm": 5, "gru": 4}  # gates and the LSTM's cells, the GRU's share of the new gate
_CELLS = {"tanh": 0, "relu": 1, "lstm": 2, "gru": 3}
_ROWS = 32  # sequences of one job: their states and gates stay in the second-level cache beside the weights


def _panels(matrix: Array) -> Array:
    """A matrix (inner, columns) as panels for the tile kernel."""
    from framework.backends.cpu.matmul_kernels import pack_panels

    inner, columns = matrix.shape
    width = block(matrix.dtype)[1]
    blocks = -(-columns // width)
    packed = memory.empty((blocks, inner, width), matrix.dtype)
    source = np.array([matrix.ctypes.data], np.int64)
    threads.run(
        pack_panels(**constants(matrix.dtype)), blocks, source.ctypes.data, packed.ctypes.data, blocks, inner, columns,
        *matrix.strides,
    )  # fmt: skip
    return packed


def _spans(sizes: Sequence[int], reverse: bool) -> Array:
    """First row and number of rows of each time, in the order of computation."""
    counts = np.array(sizes, np.int64)
    spans = np.stack([np.cumsum(counts) - counts, counts], 1)
    return np.ascontiguousarray(spans[::-1] if reverse else spans)


def _chunk(count: int, dtype: np.dtype[Any]) -> int:
    """Sequences of a job: whole tiles, one job for each thread. A row's result does not depend on its company."""
    tile = block(dtype)[0]
    return min(_ROWS, -(-count // (threads.get_num_threads() * tile)) * tile)


def _choices(dtype: np.dtype[Any], cell: str, w_hr: Array | None) -> dict[str, Any]:
    return constants(dtype) | {"CELL": _CELLS[cell], "PROJECTED": int(w_hr is not None)}


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data
