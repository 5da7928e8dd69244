"""Convolution in the kernel language: loops around the tile kernel. `conv` lays out their arguments.

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
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.tile import column_block

TILE = VECTORS = LANES = SIZE = PATCH = ALONE = 1  # given when compiling


@kernel
def gather(
    counter: Pointer[Int], jobs: Int, x: Int, weights: Int, bias: Pointer[Float], y: Int, zeros: Int,
    plan: Pointer[Int], slope: Float, scratch: Int,
) -> None:  # fmt: skip
    """y[p] = act(bias + sum over taps of x[p at tap] @ weights[tap]) for every position p of one residue class.

    A job is a chunk of tiles for one group and one part of the column blocks. Tiles away from borders share one table of taps;
    the others get their own, in which taps outside the volume read zeros or, where no row of the tile needs them, are left out.
    ALONE (one channel in a group): the values themselves are laid side by side, and the taps become the reduction.
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
                if ALONE:
                    if mixed == 0:
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
                for n in range(tiles):
                    if ALONE:
                        counts[0] = start * VECTORS * LANES * SIZE
                        counts[1] = address(values + n * chunk_taps * TILE)
                        column_block(
                            counts, 1, stop - start, at_c, 0, SIZE, TILE * SIZE, here_w, VECTORS * LANES * SIZE,
                            at_c + n * TILE, panel[1], 0, panel[2], again, here_b, active, slope, GATHER=3,
                        )  # fmt: skip
                    elif counts[n] < 0:
                        column_block(
                            same + start * 2, stop - start, channels, at_first + n * TILE, 0, 0, SIZE, here_w,
                            VECTORS * LANES * SIZE, at_c + n * TILE, panel[1], 0, panel[2], again, here_b, active,
                            slope, GATHER=2,
                        )  # fmt: skip
                    else:
                        column_block(
                            table + n * chunk_taps * (TILE + 1), counts[n], channels, at_c, 0, 0, SIZE, here_w,
                            VECTORS * LANES * SIZE, at_c + n * TILE, panel[1], 0, panel[2], again, here_b, active,
                            slope, GATHER=1,
                        )  # fmt: skip
            start = maximum(stop, 1)


@kernel
def weight_gradient(
    counter: Pointer[Int], jobs: Int, x: Int, g: Int, sums: Int, plan: Pointer[Int], scratch: Int,
) -> None:  # fmt: skip
    """sums[part, group, tap, c, o] = sum over the part's rows of x[row at tap, c] * g[row, o].

    A job is one part of the rows for one group and one part of the output channels; the split is fixed by the shapes. With PATCH
    (few channels) the inputs of a row are first copied as one line for each tap and channel, which share the tiles.
    """
    rows = plan[0]
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
    g_image = plan[11]
    chunk_rows = plan[12]
    parts = plan[13]
    splits = plan[14]
    in_z = pointer(Int, plan[15])
    in_y = pointer(Int, plan[16])
    in_x = pointer(Int, plan[17])
    out_z = pointer(Int, plan[18])
    out_y = pointer(Int, plan[19])
    x_step = plan[20]
    g_step = plan[21]
    low = pointer(Int, plan[22])
    high = pointer(Int, plan[23])
    copy_g = plan[24]
    taps = kz * ky * kx
    inner = taps * channels if PATCH else channels
    blocks = (outputs + VECTORS * LANES - 1) // (VECTORS * LANES)
    width = blocks * VECTORS * LANES
    none = pointer(Float, 0)
    pitch = chunk_rows * nx  # floats
    at_x = pointer(Int, scratch)
    at_g = at_x + chunk_rows
    at_z = at_g + chunk_rows
    at_y = at_z + chunk_rows
    table = at_y + chunk_rows
    target = table + chunk_rows * 2
    copied = pointer(Float, address(target + 8))
    patch = copied + (chunk_rows * nx * width if copy_g else 0)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        split = job % splits
        group = job // splits % groups
        part = job // splits // groups
        block0 = blocks * split // splits
        block1 = blocks * (split + 1) // splits
        total = sums + (part * groups + group) * taps * channels * width * SIZE
        for n in range(taps * channels):
            line = pointer(Float, total) + n * width
            for o in range(block0 * VECTORS * LANES, block1 * VECTORS * LANES):
                line[o] = 0.0
        row0 = rows * part // parts
        row1 = rows * (part + 1) // parts
        while row0 < row1:
            count = minimum(chunk_rows, row1 - row0)
            for r in range(count):
                py = (row0 + r) % ny
                pz = (row0 + r) // ny % nz
                image = (row0 + r) // ny // nz
                at_x[r] = x + image * x_image + group * channels * SIZE
                at_g[r] = g + image * g_image + out_z[pz] + out_y[py] + group * outputs * SIZE
                at_z[r] = pz * kz
                at_y[r] = py * ky
                if copy_g:
                    to = copied + r * nx * width
                    for w in range(nx):
                        here = pointer(Float, at_g[r] + w * g_step)
                        for o in range(outputs):
                            to[o] = here[o]
                        for o in range(outputs, width):
                            to[o] = 0.0
                        to = to + width
                    at_g[r] = address(copied + r * nx * width)
            b_step = width * SIZE if copy_g else g_step
            if PATCH:
                for r in range(count):
                    to = patch + r * nx
                    for i in range(kz):
                        for j in range(ky):
                            over = in_z[at_z[r] + i] + in_y[at_y[r] + j]
                            for k in range(kx):
                                from_x = low[k] if over >= 0 else nx
                                to_x = high[k] if over >= 0 else nx
                                start = at_x[r] + over + in_x[low[k] * kx + k]
                                for n in range(channels):
                                    copy_line(to, start + n * SIZE, nx, from_x, to_x, x_step)
                                    to = to + pitch
                table[0] = at_g[0]
                table[1] = address(patch)
                for block in range(block0, block1):
                    weight_rows(
                        table, 1, count * nx, inner, pitch * SIZE, SIZE, b_step, block, outputs, total, width, target, none
                    )
            else:
                for i in range(kz):
                    for j in range(ky):
                        for k in range(kx):
                            length = high[k] - low[k]
                            used = 0
                            for r in range(count):
                                up = in_z[at_z[r] + i]
                                across = in_y[at_y[r] + j]
                                if up >= 0 and across >= 0 and length > 0:
                                    table[used * 2] = at_g[r] + low[k] * b_step
                                    table[used * 2 + 1] = at_x[r] + up + across + in_x[low[k] * kx + k]
                                    used += 1
                            if used > 0:
                                sum_tap = total + ((i * ky + j) * kx + k) * channels * width * SIZE
                                for block in range(block0, block1):
                                    weight_rows(
                                        table, used, length, channels, SIZE, x_step, b_step, block, outputs, sum_tap,
                                        width, target, none,
                                    )  # fmt: skip
            row0 += count


@kernel
def copy_line(to: Pointer[Float], start: Int, size: Int, first: Int, last: Int, step: Int) -> None:
    """to[first:last] from `start` at `step` bytes, zeros before and after."""
    for w in range(first):
        to[w] = 0.0
    if step == SIZE:
        here = pointer(Float, start)
        for w in range(first, last):
            to[w] = here[w - first]
    else:
        for w in range(first, last):
            to[w] = pointer(Float, start + (w - first) * step)[0]
    for w in range(last, size):
        to[w] = 0.0


@kernel
def weight_rows(
    table: Pointer[Int], outer: Int, length: Int, channels: Int, a_tile: Int, a_step: Int, b_step: Int, block: Int, outputs: Int,
    total: Int, width: Int, target: Pointer[Int], none: Pointer[Float],
) -> None:  # fmt: skip
    """All input channels of one tap and one block of output channels: tiles of TILE, then of 4, then of 1."""
    c = 0
    column = block * VECTORS * LANES
    while c < channels:
        target[0] = total + c * width * SIZE
        left = channels - c
        if left >= TILE and (left - TILE < 2 or left - TILE > 3):
            column_block(table, outer, length, target, c * a_tile, a_tile, a_step, column * SIZE, b_step, target, column * SIZE,
                         width * SIZE, outputs - column, 1, none, 0, 0.0, GATHER=0)  # fmt: skip
            c += TILE
        elif left >= 4:
            column_block(table, outer, length, target, c * a_tile, a_tile, a_step, column * SIZE, b_step, target, column * SIZE,
                         width * SIZE, outputs - column, 1, none, 0, 0.0, GATHER=0, TILE=4)  # fmt: skip
            c += 4
        else:
            column_block(table, outer, length, target, c * a_tile, a_tile, a_step, column * SIZE, b_step, target, column * SIZE,
                         width * SIZE, outputs - column, 1, none, 0, 0.0, GATHER=0, TILE=1)  # fmt: skip
            c += 1


@kernel
def add_parts(
    counter: Pointer[Int], jobs: Int, sums: Int, result: Int, parts: Int, groups: Int, taps: Int, channels: Int,
    outputs: Int, scratch: Int,
) -> None:  # fmt: skip
    """result[group, o, c, tap] = the parts of `weight_gradient` added in order; a job is one block of output channels."""
    blocks = jobs // groups
    width = blocks * VECTORS * LANES
    size = groups * taps * channels * width
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job % blocks * VECTORS * LANES
        source = pointer(Float, sums) + job // blocks * taps * channels * width + first
        to = pointer(Float, result) + (job // blocks * outputs + first) * channels * taps
        for c in range(channels):
            for o in range(minimum(VECTORS * LANES, outputs - first)):
                line = to + (o * channels + c) * taps
                for tap in range(taps):
                    place = source + (tap * channels + c) * width + o
                    value = place[0]
                    for part in range(1, parts):
                        value += place[part * size]
                    line[tap] = value
