"""The weight gradient of convolution in the kernel language: loops around the tile kernel, and the sum of its parts.

Here the tile's rows are input channels, its columns output channels, and the reduction runs along rows of the volume.
"""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, address, fetch_add, load, minimum, pointer, store
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.tile import column_of_tiles

VECTORS = LANES = SIZE = PATCH = 1  # given when compiling


@kernel
def weight_gradient(
    counter: Pointer[Int], jobs: Int, x: Int, g: Int, sums: Int, plan: Pointer[Int], scratch: Int,
) -> None:  # fmt: skip
    """sums[part, group, tap, c, o] = sum over the part's rows of x[row at tap, c] * g[row, o].

    A job is one part of the rows for one group and one part of the output channels; the split is fixed by the shapes.
    With PATCH (few channels) the inputs are first copied as one line for each tap and channel, which share the tiles.
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
    low = pointer(Int, plan[20])
    high = pointer(Int, plan[21])
    copy_g = plan[22]
    g_step = plan[23]
    x_unit = plan[24]
    x_size = plan[25]
    stride = plan[26]
    padding = plan[27]
    dilation = plan[28]
    taps = kz * ky * kx
    blocks = (outputs + VECTORS * LANES - 1) // (VECTORS * LANES)
    width = blocks * VECTORS * LANES
    none = pointer(Float, 0)
    span = (nx - 1) * stride + (kx - 1) * dilation + 1
    pitch = chunk_rows * nx
    at_x = pointer(Int, scratch)
    at_g = at_x + chunk_rows
    at_z = at_g + chunk_rows
    at_y = at_z + chunk_rows
    table = at_y + chunk_rows
    copied = pointer(Float, address(table + chunk_rows * 2))
    padded = copied + (pitch * width if copy_g else 0)
    patch = padded + span
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
                    for i in range(kz):
                        for j in range(ky):
                            over = in_z[at_z[r] + i] + in_y[at_y[r] + j]
                            for n in range(channels):
                                lines = patch + ((i * ky + j) * kx * channels + n) * pitch + r * nx
                                pad_line(padded, at_x[r] + over + n * SIZE, span, over, padding, x_size, x_unit)
                                for k in range(kx):
                                    copy_line(lines + k * channels * pitch, padded + k * dilation, nx, stride)
                table[0] = at_g[0]
                table[1] = address(patch)
                for block in range(block0, block1):
                    column = block * VECTORS * LANES
                    column_of_tiles(
                        table, 1, count * nx, taps * channels, pitch * SIZE, SIZE, column * SIZE, b_step, total,
                        column * SIZE, width * SIZE, outputs - column, 1, none,
                    )  # fmt: skip
            else:
                for tap in range(taps):
                    k = tap % kx
                    j = tap // kx % ky
                    i = tap // kx // ky
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
                        for block in range(block0, block1):
                            column = block * VECTORS * LANES
                            column_of_tiles(
                                table, used, length, channels, SIZE, stride * x_unit, column * SIZE, b_step,
                                total + tap * channels * width * SIZE, column * SIZE, width * SIZE, outputs - column,
                                1, none,
                            )  # fmt: skip
            row0 += count


@kernel
def pad_line(to: Pointer[Float], start: Int, span: Int, inside: Int, padding: Int, size: Int, unit: Int) -> None:
    """`span` values of the padded input row at `start`; all zero where the row is not `inside` the volume."""
    first = minimum(padding, span) if inside >= 0 else span
    last = minimum(padding + size, span)
    for q in range(first):
        to[q] = 0.0
    for q in range(first, last):
        to[q] = pointer(Float, start + (q - padding) * unit)[0]
    for q in range(last, span):
        to[q] = 0.0


@kernel
def copy_line(to: Pointer[Float], source: Pointer[Float], size: Int, stride: Int) -> None:
    """Every `stride`-th value of `source`."""
    w = 0
    if stride == 1:
        while w + LANES <= size:
            store(to + w, load(source + w))
            w += LANES
    while w < size:
        to[w] = source[w * stride]
        w += 1


@kernel
def add_parts(
    counter: Pointer[Int], jobs: Int, sums: Int, result: Int, parts: Int, groups: Int, taps: Int, channels: Int,
    outputs: Int, scratch: Int,
) -> None:  # fmt: skip
    """result[group, o, c, tap] = the parts of `weight_gradient` added in order; a job is one block of channels o."""
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
