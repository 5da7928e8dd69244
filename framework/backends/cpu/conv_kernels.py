"""Convolution in the kernel language: loops around the tile kernel. `conv_plans` lays out its arguments.

Positions are described axis by axis (z, y, x) by tables of byte offsets made in Python: for output position p and tap k
the offset of the input position, or a large negative number outside the volume. One driver so serves strides, padding,
dilation and, on the residue classes of the stride, transposed convolution.
"""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    address,
    fetch_add,
    local,
    maximum,
    minimum,
    pointer,
    unroll,
)
from framework.backends.cpu.machine import kernel, subroutine
from framework.backends.cpu.tile import tile

TILE = VECTORS = LANES = SIZE = ALONE = WIDTH = 1  # given when compiling


@kernel
def gather(
    counter: Pointer[Int], jobs: Int, x: Int, weights: Int, bias: Pointer[Float], y: Int, zeros: Int,
    plan: Pointer[Int], slope: Float, scratch: Int,
) -> None:  # fmt: skip
    """y[p] = act(bias + sum over taps of x[p at tap] @ weights[tap]) for every position p of one residue class.

    A job is a chunk of tiles for one group and one part of the column blocks. Tiles away from borders share one table
    of taps. The others get their own: taps outside the volume read zeros or, where no row of the tile needs them, are
    left out. ALONE (one channel in a group): the values are laid side by side and the taps become the reduction.
    """
    pixels = plan[0]
    nz = plan[1]
    ny = plan[2]
    nx = plan[3]
    kz = plan[4]
    ky = plan[5]
    kx = plan[6]
    groups = plan[7]
    channels = plan[8]
    outputs = plan[9]
    x_image = plan[10]
    y_image = plan[11]
    chunk_tiles = plan[12]
    chunk_taps = plan[13]
    splits = plan[14]
    activate = plan[15]
    blocks = plan[16]
    panels = pointer(Int, plan[17])
    in_z = pointer(Int, plan[18])
    in_y = pointer(Int, plan[19])
    in_x = pointer(Int, plan[20])
    out_z = pointer(Int, plan[21])
    out_y = pointer(Int, plan[22])
    out_x = pointer(Int, plan[23])
    tap_z = pointer(Int, plan[24])
    tap_y = pointer(Int, plan[25])
    tap_x = pointer(Int, plan[26])
    edge_z = pointer(Int, plan[27])
    edge_y = pointer(Int, plan[28])
    edge_x = pointer(Int, plan[29])
    same = pointer(Int, plan[30])
    group_weights = plan[31]
    group_bias = plan[32]
    taps = kz * ky * kx
    slots = chunk_tiles * TILE
    at_c = pointer(Int, scratch)
    at_x = at_c + slots
    at_z = at_x + slots
    at_y = at_z + slots
    at_w = at_y + slots
    at_edge = at_w + slots
    at_first = at_edge + slots
    counts = at_first + slots
    table = counts + chunk_tiles + 2
    values = pointer(Float, address(table))
    over = local(Int, TILE)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        split = job % splits
        group = job // splits % groups
        first = job // splits // groups * slots
        used_slots = minimum(slots, pixels - first)
        tiles = (used_slots + TILE - 1) // TILE

        # where each position of the chunk reads and writes, row by row
        px = first % nx
        py = first // nx % ny
        pz = first // nx // ny % nz
        image = first // nx // ny // nz
        s = 0
        while s < used_slots:
            run = minimum(nx - px, used_slots - s)
            row_c = y + image * y_image + out_z[pz] + out_y[py] + group * outputs * SIZE
            row_x = x + image * x_image + group * channels * SIZE
            row_first = row_x + in_z[pz * kz] + in_y[py * ky]
            row_edge = edge_z[pz] + edge_y[py]
            for n in range(run):
                at_c[s + n] = row_c + out_x[px + n]
                at_x[s + n] = row_x
                at_z[s + n] = pz * kz
                at_y[s + n] = py * ky
                at_w[s + n] = (px + n) * kx
                at_edge[s + n] = row_edge + edge_x[px + n]
                at_first[s + n] = row_first + in_x[(px + n) * kx]
            s += run
            px = 0
            py += 1
            if py == ny:
                py = 0
                pz += 1
                if pz == nz:
                    pz = 0
                    image += 1
        while s < tiles * TILE:  # the last tile repeats its last position
            at_c[s] = at_c[s - 1]
            at_x[s] = at_x[s - 1]
            at_z[s] = at_z[s - 1]
            at_y[s] = at_y[s - 1]
            at_w[s] = at_w[s - 1]
            at_edge[s] = at_edge[s - 1]
            at_first[s] = at_first[s - 1]
            s += 1

        start = 0
        while start == 0 or start < taps:
            stop = minimum(start + chunk_taps, taps)
            for n in range(tiles):
                base = n * TILE
                mixed = 0
                for t in unroll(TILE):
                    mixed += at_edge[base + t]
                counts[n] = -1
                if ALONE and mixed == 0:
                    to = values + n * chunk_taps * TILE
                    for tap in range(start, stop):
                        for t in unroll(TILE):
                            to[t] = pointer(Float, at_first[base + t] + same[tap * 2 + 1])[0]
                        to = to + TILE
                if mixed > 0:
                    used = 0
                    row = table + n * chunk_taps * (TILE + 1)
                    to = values + n * chunk_taps * TILE
                    plane = start // maximum(kx, 1)
                    while plane * kx < stop:
                        i = plane // ky
                        j = plane % ky
                        inside = 0
                        for t in unroll(TILE):
                            over[t] = in_z[at_z[base + t] + i] + in_y[at_y[base + t] + j]
                            inside = 1 if over[t] >= 0 else inside
                        for k in range(maximum(start - plane * kx, 0), minimum(stop - plane * kx, kx)):
                            if ALONE:
                                for t in unroll(TILE):
                                    offset = over[t] + in_x[at_w[base + t] + k]
                                    place = at_x[base + t] + offset if offset >= 0 else zeros
                                    to[t] = pointer(Float, place)[0]
                                to = to + TILE
                            elif inside:
                                best = -1
                                for t in unroll(TILE):
                                    offset = over[t] + in_x[at_w[base + t] + k]
                                    row[1 + t] = at_x[base + t] + offset if offset >= 0 else zeros
                                    best = offset if offset >= 0 else best
                                if best >= 0:
                                    row[0] = tap_z[i] + tap_y[j] + tap_x[k]
                                    row = row + (TILE + 1)
                                    used += 1
                        plane += 1
                    counts[n] = used

            active = activate if stop == taps else 0
            again = 1 if start > 0 else 0
            for block in range(blocks * split // splits, blocks * (split + 1) // splits):
                panel = panels + block * 4
                here_w = weights + group * group_weights + panel[0]
                here_b = bias + group * group_bias + panel[3]
                if panel[2] > LANES:
                    column_of_positions(
                        tiles, counts, table, chunk_taps, same + start * 2, stop - start, channels, at_first, at_c,
                        here_w + (start * VECTORS * LANES * SIZE if ALONE else 0), panel[1], panel[2], again, here_b,
                        active, slope,
                    )  # fmt: skip
                else:
                    column_of_positions(
                        tiles, counts, table, chunk_taps, same + start * 2, stop - start, channels, at_first, at_c,
                        here_w + (start * VECTORS * LANES * SIZE if ALONE else 0), panel[1], panel[2], again, here_b,
                        active, slope, VECTORS=1, WIDTH=VECTORS,
                    )  # fmt: skip
            start = maximum(stop, 1)


@subroutine
def column_of_positions(
    tiles: Int, counts: Pointer[Int], table: Pointer[Int], chunk_taps: Int, same: Pointer[Int], taps: Int,
    channels: Int, at_first: Pointer[Int], at_c: Pointer[Int], weights: Int, c_shift: Int, columns: Int,
    accumulate: Int, bias: Pointer[Float], activate: Int, slope: Float,
) -> None:  # fmt: skip
    """The tiles of a chunk for one block of columns; a negative count: the tile takes the shared table of taps."""
    for n in range(tiles):
        target = at_c + n * TILE
        if ALONE:
            values = pointer(Float, address(table)) + n * chunk_taps * TILE
            counts[0] = 0
            counts[1] = address(values)
            tile(
                counts, 1, taps, target, 0, SIZE, TILE * SIZE, weights, WIDTH * LANES * SIZE, target, c_shift, 0,
                columns, accumulate, bias, activate, slope, GATHER=3,
            )  # fmt: skip
        elif counts[n] < 0:
            tile(
                same, taps, channels, at_first + n * TILE, 0, 0, SIZE, weights, WIDTH * LANES * SIZE, target, c_shift,
                0, columns, accumulate, bias, activate, slope, GATHER=2,
            )  # fmt: skip
        else:
            tile(
                table + n * chunk_taps * (TILE + 1), counts[n], channels, target, 0, 0, SIZE, weights,
                WIDTH * LANES * SIZE, target, c_shift, 0, columns, accumulate, bias, activate, slope, GATHER=1,
            )  # fmt: skip
