"""Separable weighted sums in the kernel language; memory as in `norm_kernels`."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Int32,
    Pointer,
    Vector,
    address,
    fetch_add,
    fma,
    gather,
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

LANES = WIDE = SIZE = ROWS = ADD = 1  # given when compiling


@kernel
def weigh(
    counter: Pointer[Int], jobs: Int, x: Int, y: Pointer[Float], plan: Pointer[Int], scale: Float, scratch: Int
) -> None:
    """A job is a part of a row of the result: its rows of the input are blended, then weighted along the row."""
    nz = plan[0]
    ny = plan[1]
    nx = plan[2]
    channels = plan[3]
    chunk = plan[4]
    chunks = plan[5]
    kz = plan[7]
    ky = plan[8]
    kx = plan[9]
    z_count = pointer(Int, plan[10])
    z_step = pointer(Int, plan[11])
    z_weight = pointer(Float, plan[12])
    y_count = pointer(Int, plan[13])
    y_step = pointer(Int, plan[14])
    y_weight = pointer(Float, plan[15])
    x_count = pointer(Int, plan[16])
    x_index = pointer(Int32, plan[17])
    x_weight = pointer(Float, plan[18])
    first = pointer(Int, plan[19])
    last = pointer(Int, plan[20])
    rows = pointer(Int, scratch)
    weights = pointer(Float, scratch + 8 * kz * ky)
    line = pointer(Float, scratch + plan[21])
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        part = job % chunks
        row = job // chunks
        oy = row % ny
        oz = row // ny % nz
        begin = x + row // ny // nz * plan[6] + first[part] * channels * SIZE
        count = 0
        for i in range(z_count[oz]):
            for j in range(y_count[oy]):
                rows[count] = begin + z_step[oz * kz + i] + y_step[oy * ky + j]
                weights[count] = z_weight[oz * kz + i] * y_weight[oy * ky + j]
                count += 1
        blended = address(line)
        if count == 1 and weights[0] == 1.0:
            blended = rows[0]
        else:
            blend(line, rows, weights, count, (last[part] - first[part]) * channels)
        source = pointer(Float, blended) - first[part] * channels
        start = part * chunk
        stop = minimum(nx, start + chunk)
        target = y + row * nx * channels
        if plan[22]:
            spread(source + start * channels, target + start * channels, (stop - start) * channels, scale)
        else:
            if channels == 1:
                along_row(source, target, start, stop, nx, kx, x_index, x_weight, scale)
            else:
                along_channels(source, target, start, stop, channels, kx, x_count, x_index, x_weight, scale)


@subroutine
def blend(line: Pointer[Float], rows: Pointer[Int], weights: Pointer[Float], count: Int, length: Int) -> None:
    """line = the weighted sum of `count` rows."""
    if count == 0:
        for i in range(length):
            line[i] = 0.0
        return
    r = 0
    if count >= 4:
        mix(line, rows, weights, length, ROWS=4, ADD=0)
        r = 4
    else:
        if count >= 2:
            mix(line, rows, weights, length, ROWS=2, ADD=0)
            r = 2
        else:
            mix(line, rows, weights, length, ROWS=1, ADD=0)
            r = 1
    while r + 4 <= count:
        mix(line, rows + r, weights + r, length, ROWS=4, ADD=1)
        r += 4
    while r < count:
        mix(line, rows + r, weights + r, length, ROWS=1, ADD=1)
        r += 1


@kernel
def mix(line: Pointer[Float], rows: Pointer[Int], weights: Pointer[Float], length: Int) -> None:
    """The weighted sum of ROWS rows, added to the line where ADD."""
    at = local(Int, ROWS)
    gain = local(Float, ROWS)
    for r in unroll(ROWS):
        at[r] = rows[r]
        gain[r] = weights[r]
    i = 0
    while i + LANES <= length:
        total = load(pointer(Float, at[0]) + i) * gain[0]
        for r in unroll(1, ROWS):
            total = fma(load(pointer(Float, at[r]) + i), splat(gain[r]), total)
        if ADD:
            total = total + load(line + i)
        store(line + i, total)
        i += LANES
    while i < length:
        alone = pointer(Float, at[0])[i] * gain[0]
        for r in unroll(1, ROWS):
            alone = fma(pointer(Float, at[r])[i], gain[r], alone)
        if ADD:
            alone = alone + line[i]
        line[i] = alone
        i += 1


@kernel
def spread(source: Pointer[Float], target: Pointer[Float], length: Int, scale: Float) -> None:
    """target = source * scale."""
    i = 0
    while i + LANES <= length:
        store(target + i, load(source + i) * scale)
        i += LANES
    while i < length:
        target[i] = source[i] * scale
        i += 1


@subroutine
def along_row(
    source: Pointer[Float], target: Pointer[Float], start: Int, stop: Int, nx: Int, kx: Int, index: Pointer[Int32],
    weight: Pointer[Float], scale: Float,
) -> None:  # fmt: skip
    """Weighted sums of one channel; tables (taps, nx)."""
    o = start
    while o + LANES <= stop:
        w = load(weight + o)
        total = where(w != 0.0, gather(source, index + o) * w, splat(0.0))
        for k in range(1, kx):
            u = load(weight + k * nx + o)
            total = where(u != 0.0, fma(gather(source, index + k * nx + o), u, total), total)
        store(target + o, total * scale)
        o += LANES
    while o < stop:
        alone = Float(0.0)
        for k in range(kx):
            s = weight[k * nx + o]
            if s != 0.0:
                alone = fma(source[index[k * nx + o]], s, alone)
        target[o] = alone * scale
        o += 1


@subroutine
def along_channels(
    source: Pointer[Float], target: Pointer[Float], start: Int, stop: Int, channels: Int, kx: Int,
    counts: Pointer[Int], indices: Pointer[Int32], weights: Pointer[Float], scale: Float,
) -> None:  # fmt: skip
    """Weighted sums of all channels; tables (nx, taps)."""
    for o in range(start, stop):
        count = counts[o]
        index = indices + o * kx
        weight = weights + o * kx
        to = target + o * channels
        c = 0
        while c + 4 * LANES <= channels:
            sum_taps(source + c, to + c, count, index, weight, scale, WIDE=4)
            c += 4 * LANES
        while c + 2 * LANES <= channels:
            sum_taps(source + c, to + c, count, index, weight, scale, WIDE=2)
            c += 2 * LANES
        while c + LANES <= channels:
            sum_taps(source + c, to + c, count, index, weight, scale, WIDE=1)
            c += LANES
        while c < channels:
            alone = Float(0.0)
            for k in range(count):
                alone = fma(source[index[k] + c], weight[k], alone)
            to[c] = alone * scale
            c += 1


@kernel
def sum_taps(
    source: Pointer[Float], to: Pointer[Float], count: Int, index: Pointer[Int32], weight: Pointer[Float], scale: Float
) -> None:
    """WIDE vectors of channels."""
    total = local(Vector, WIDE)
    for v in unroll(WIDE):
        total[v] = splat(0.0)
    for k in range(count):
        near = source + index[k]
        w = weight[k]
        for v in unroll(WIDE):
            total[v] = fma(load(near + v * LANES), splat(w), total[v])
    for v in unroll(WIDE):
        store(to + v * LANES, total[v] * scale)
