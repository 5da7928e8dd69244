"""The tile's shape on this processor."""

import functools
from typing import Any

import numpy as np

from framework.backends.cpu import machine


@functools.cache
def tile_shape() -> tuple[int, int]:
    """Rows and vectors of a tile: its accumulators, one row of B and a splat fill the registers (16; else 32)."""
    return {64: (8, 2), 32: (6, 2), 16: (6, 4)}[machine.vector_bytes()]


@functools.cache
def block(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Rows of a tile and its columns."""
    tile, vectors = tile_shape()
    return tile, vectors * machine.lanes(dtype.name)


@functools.cache
def constants(dtype: np.dtype[Any]) -> dict[str, Any]:
    """What kernels around the tile are compiled for."""
    tile, vectors = tile_shape()
    return {
        "Float": dtype.name, "LANES": machine.lanes(dtype.name), "SIZE": dtype.itemsize, "TILE": tile,
        "VECTORS": vectors, "WIDTH": vectors, "ALONE": 0,
    }  # fmt: skip
