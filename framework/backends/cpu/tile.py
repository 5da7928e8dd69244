"""The tile kernel: TILE x VECTORS accumulators in registers, the whole of dense CPU compute.

    C[t, v] (+)= sum over o, i of A_o[t, i] * B_o[i, v]

`o` runs over table rows: for a convolution the taps, for a weight gradient the rows of the volume, for matmul one.
Where the TILE rows of A and C lie is said in one of four ways:

    GATHER=1   the table holds an address for each row of A: any positions share a tile, and at a border some read zeros
    GATHER=2   the rows of A have addresses `a`, and the table one offset for all of them: tiles away from borders
    GATHER=3   the table holds one address; the rows are `a_tile` bytes apart
    GATHER=0   the same, and the rows of C are `c_tile` bytes apart
"""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    Vector,
    fetch_add,
    fma,
    load,
    local,
    minimum,
    pointer,
    splat,
    store,
    unroll,
    where,
)  # fmt: skip
from framework.backends.cpu.machine import kernel, subroutine

TILE = VECTORS = LANES = SIZE = GATHER = 1  # given when compiling


@kernel
def tile(
    table: Pointer[Int], outer: Int, inner: Int, a: Pointer[Int], a_shift: Int, a_tile: Int, a_step: Int, b: Int,
    b_step: Int, c: Pointer[Int], c_shift: Int, c_tile: Int, columns: Int, accumulate: Int, bias: Pointer[Float],
    activate: Int, slope: Float,
) -> None:  # fmt: skip
    """One tile. Table rows: offset into B, then where A is. `c`: address(es) of C's rows. Steps in bytes.

    `columns` valid columns are read and written; accumulate: start from C, else from `bias` (VECTORS vectors).
    activate: leaky ReLU with `slope` at the end.
    """
    total = local(Vector, TILE * VECTORS)
    rows = local(Int, TILE)
    edge = local(Float, VECTORS * LANES)
    full = columns >= VECTORS * LANES
    if accumulate:
        for t in unroll(TILE):
            place = pointer(Float, (c[t] if GATHER > 0 else c[0] + t * c_tile) + c_shift)
            if full:
                for v in unroll(VECTORS):
                    total[t * VECTORS + v] = load(place + v * LANES)
            else:
                for j in range(columns):
                    edge[j] = place[j]
                for v in unroll(VECTORS):
                    total[t * VECTORS + v] = load(edge + v * LANES)
    else:
        for v in unroll(VECTORS):
            first = load(bias + v * LANES)
            for t in unroll(TILE):
                total[t * VECTORS + v] = first
    if GATHER == 2:
        for t in unroll(TILE):
            rows[t] = a[t]
    for o in range(outer):
        if GATHER == 1:
            for t in unroll(TILE):
                rows[t] = table[o * (TILE + 1) + 1 + t]
            weights = b + table[o * (TILE + 1)]
            at = 0
        elif GATHER == 2:
            weights = b + table[o * 2]
            at = table[o * 2 + 1]
        else:
            for t in unroll(TILE):
                rows[t] = table[o * 2 + 1] + a_shift + t * a_tile
            weights = b + table[o * 2]
            at = 0
        for _ in range(inner):
            panel = pointer(Float, weights)
            for t in unroll(TILE):
                scalar = splat(pointer(Float, rows[t] + at)[0])
                for v in unroll(VECTORS):
                    total[t * VECTORS + v] = fma(scalar, load(panel + v * LANES), total[t * VECTORS + v])
            at += a_step
            weights += b_step
    if activate:
        for n in unroll(TILE * VECTORS):
            total[n] = where(total[n] > 0.0, total[n], total[n] * slope)
    for t in unroll(TILE):
        place = pointer(Float, (c[t] if GATHER > 0 else c[0] + t * c_tile) + c_shift)
        if full:
            for v in unroll(VECTORS):
                store(place + v * LANES, total[t * VECTORS + v])
        else:
            for v in unroll(VECTORS):
                store(edge + v * LANES, total[t * VECTORS + v])
            for j in range(columns):
                place[j] = edge[j]


@kernel
def column_of_tiles(
    table: Pointer[Int], outer: Int, inner: Int, rows: Int, a_tile: Int, a_step: Int, b: Int, b_step: Int, c: Int,
    c_shift: Int, c_tile: Int, columns: Int, accumulate: Int, bias: Pointer[Float],
) -> None:  # fmt: skip
    """`rows` evenly spaced rows in tiles of TILE, then of 4, then of 1, as wide as `columns` need; C starts at `c`."""
    if columns > LANES:
        evenly_spaced(
            table, outer, inner, rows, a_tile, a_step, b, b_step, c, c_shift, c_tile, columns, accumulate, bias
        )
    else:
        evenly_spaced(
            table, outer, inner, rows, a_tile, a_step, b, b_step, c, c_shift, c_tile, columns, accumulate, bias,
            VECTORS=1,
        )  # fmt: skip


@subroutine
def evenly_spaced(
    table: Pointer[Int], outer: Int, inner: Int, rows: Int, a_tile: Int, a_step: Int, b: Int, b_step: Int, c: Int,
    c_shift: Int, c_tile: Int, columns: Int, accumulate: Int, bias: Pointer[Float],
) -> None:  # fmt: skip
    """`column_of_tiles` at a known width."""
    place = local(Int, 1)
    row = 0
    while row < rows:
        place[0] = c + row * c_tile
        left = rows - row
        if left >= TILE and (left - TILE < 2 or left - TILE > 3):
            tile(
                table, outer, inner, place, row * a_tile, a_tile, a_step, b, b_step, place, c_shift, c_tile, columns,
                accumulate, bias, 0, 0.0, GATHER=0,
            )  # fmt: skip
            row += TILE
        elif left >= 4:
            tile(
                table, outer, inner, place, row * a_tile, a_tile, a_step, b, b_step, place, c_shift, c_tile, columns,
                accumulate, bias, 0, 0.0, GATHER=0, TILE=4,
            )  # fmt: skip
            row += 4
        else:
            tile(
                table, outer, inner, place, row * a_tile, a_tile, a_step, b, b_step, place, c_shift, c_tile, columns,
                accumulate, bias, 0, 0.0, GATHER=0, TILE=1,
            )  # fmt: skip
            row += 1


@kernel
def pack(
    counter: Pointer[Int], jobs: Int, source: Int, target: Int, blocks: Int, taps: Int, inner: Int, columns: Int,
    group_step: Int, column_step: Int, inner_step: Int, tap_step: Int, scratch: Int,
) -> None:  # fmt: skip
    """Weights into panels (groups, blocks, taps, inner, VECTORS * LANES), zeros beyond `columns`; a job is one block.

    `source` has `columns` columns for each group at the given byte steps.
    """
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        group = job // blocks
        block = job % blocks
        valid = minimum(columns - block * VECTORS * LANES, VECTORS * LANES)
        start = source + group * group_step + block * VECTORS * LANES * column_step
        panel = pointer(Float, target) + job * taps * inner * VECTORS * LANES
        for i in range(inner):
            for tap in range(taps):
                here = panel + (tap * inner + i) * VECTORS * LANES
                there = start + i * inner_step + tap * tap_step
                for n in range(valid):
                    here[n] = pointer(Float, there + n * column_step)[0]
                for n in range(valid, VECTORS * LANES):
                    here[n] = 0.0
