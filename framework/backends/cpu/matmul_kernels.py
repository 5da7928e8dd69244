"""Matrix product in the kernel language: loops around the tile kernel over packed panels of B."""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, address, fetch_add, minimum, pointer
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.tile import column_of_tiles

TILE = VECTORS = LANES = SIZE = 1  # given when compiling


@kernel
def pack_panels(
    counter: Pointer[Int], jobs: Int, matrices: Pointer[Int], target: Pointer[Float], blocks: Int, inner: Int,
    columns: Int, row_step: Int, column_step: Int, scratch: Int,
) -> None:  # fmt: skip
    """Matrices (inner, columns) as panels (blocks, inner, VECTORS * LANES), zeros beyond; a job is one panel."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job % blocks * VECTORS * LANES
        valid = minimum(columns - first, VECTORS * LANES)
        source = matrices[job // blocks] + first * column_step
        to = target + job * inner * VECTORS * LANES
        for i in range(inner):
            here = source + i * row_step
            if column_step == SIZE:
                row = pointer(Float, here)
                for n in range(valid):
                    to[n] = row[n]
            else:
                for n in range(valid):
                    to[n] = pointer(Float, here + n * column_step)[0]
            for n in range(valid, VECTORS * LANES):
                to[n] = 0.0
            to = to + VECTORS * LANES


@kernel
def multiply(
    counter: Pointer[Int], jobs: Int, a: Pointer[Int], packed: Pointer[Int], c: Pointer[Int], rows: Int, inner: Int,
    columns: Int, a_row: Int, a_step: Int, row_chunk: Int, row_chunks: Int, depth: Int, splits: Int,
    bias: Pointer[Float], scratch: Int,
) -> None:  # fmt: skip
    """C = A @ B + bias for lists of matrices (addresses in a, packed, c); a job is some rows and panels of one product.

    `bias` has whole panels of columns.
    """
    blocks = (columns + VECTORS * LANES - 1) // (VECTORS * LANES)
    table = pointer(Int, scratch)
    near = pointer(Float, scratch + 64)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        split = job % splits
        row0 = job // splits % row_chunks * row_chunk
        matrix = job // splits // row_chunks
        row1 = minimum(row0 + row_chunk, rows)
        start = 0
        while start < inner:
            length = minimum(depth, inner - start)
            again = 1 if start > 0 else 0
            table[1] = a[matrix] + row0 * a_row + start * a_step
            row_step = a_row
            step = a_step
            if a_step != SIZE:  # columns far apart: bring this part of A together
                for i in range(length):
                    source = table[1] + i * a_step
                    line = near + i * row_chunk
                    if a_row == SIZE:
                        for r in range(row1 - row0):
                            line[r] = pointer(Float, source)[r]
                    else:
                        for r in range(row1 - row0):
                            line[r] = pointer(Float, source + r * a_row)[0]
                table[1] = address(near)
                row_step = SIZE
                step = row_chunk * SIZE
            for block in range(blocks * split // splits, blocks * (split + 1) // splits):
                column = block * VECTORS * LANES
                table[0] = (block * inner + start) * VECTORS * LANES * SIZE
                column_of_tiles(
                    table, 1, length, row1 - row0, row_step, step, packed[matrix], VECTORS * LANES * SIZE,
                    c[matrix] + row0 * columns * SIZE, column * SIZE, columns * SIZE, columns - column, again,
                    bias + column,
                )  # fmt: skip
            start += length
