"""Sums over positions in the kernel language; memory as in `norm_kernels`."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Double,
    Float,
    Int,
    Pointer,
    Vector,
    fetch_add,
    load,
    local,
    minimum,
    splat,
    store,
    sum_lanes,
    unroll,
)  # fmt: skip
from framework.backends.cpu.machine import kernel

LANES = WIDE = 1  # given when compiling


@kernel
def chunk_sums(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], pixels: Int, channels: Int, chunk: Int, chunks: Int,
    sums: Pointer[Double], scratch: Int,
) -> None:  # fmt: skip
    """The sum of each chunk and channel, (images, chunks, channels)."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job % chunks * chunk
        count = minimum(chunk, pixels - first)
        base = x + (job // chunks * pixels + first) * channels
        total = sums + job * channels
        if channels == 1:
            some = local(Vector, 4)
            for v in unroll(4):
                some[v] = splat(0.0)
            i = 0
            while i + 4 * LANES <= count:
                for v in unroll(4):
                    some[v] = some[v] + load(base + i + v * LANES)
                i += 4 * LANES
            rest = sum_lanes((some[0] + some[1]) + (some[2] + some[3]))
            while i < count:
                rest += base[i]
                i += 1
            total[0] = Double(rest)
        else:
            c = 0
            while c + 4 * LANES <= channels:
                sums_wide(base + c, count, channels, total + c, WIDE=4)
                c += 4 * LANES
            while c + LANES <= channels:
                sums_wide(base + c, count, channels, total + c, WIDE=1)
                c += LANES
            while c < channels:
                alone = Float(0.0)
                for i in range(count):
                    alone += base[i * channels + c]
                total[c] = Double(alone)
                c += 1


@kernel
def sums_wide(base: Pointer[Float], count: Int, channels: Int, total: Pointer[Double]) -> None:
    """`chunk_sums` of WIDE vectors of channels."""
    some = local(Vector, WIDE)
    lane = local(Float, LANES)
    for v in unroll(WIDE):
        some[v] = splat(0.0)
    for i in range(count):
        for v in unroll(WIDE):
            some[v] = some[v] + load(base + i * channels + v * LANES)
    for v in unroll(WIDE):
        store(lane, some[v])
        for n in unroll(LANES):
            total[v * LANES + n] = Double(lane[n])
