"""Vector arithmetic in the kernel language."""

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
    splat,
    store,
    unroll,
)
from framework.backends.cpu.machine import kernel

LANES = 1  # given when compiling


@kernel
def multiply_add(
    counter: Pointer[Int], jobs: Int, y: Pointer[Float], x: Pointer[Float], out: Pointer[Float], size: Int, chunk: Int,
    alpha: Float, scratch: Int,
) -> None:  # fmt: skip
    """out = y + alpha * x, rounded once."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for i in range(job * chunk, minimum(size, (job + 1) * chunk)):
            out[i] = fma(alpha, x[i], y[i])


@kernel
def dot(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], y: Pointer[Float], parts: Pointer[Float], size: Int,
    chunk: Int, scratch: Int,
) -> None:  # fmt: skip
    """The sum of x * y of each chunk, in two running sums of LANES = 4 elements."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        end = minimum(size, (job + 1) * chunk)
        sums = local(Vector, 2)
        lane = local(Float, LANES)
        for v in unroll(2):
            sums[v] = splat(0.0)
        i = job * chunk
        while i + 2 * LANES <= end:
            for v in unroll(2):
                sums[v] = fma(load(x + i + v * LANES), load(y + i + v * LANES), sums[v])
            i += 2 * LANES
        if i + LANES <= end:
            sums[0] = fma(load(x + i), load(y + i), sums[0])
            i += LANES
        store(lane, sums[0] + sums[1])
        total = (lane[0] + lane[2]) + (lane[1] + lane[3])
        while i < end:
            total = fma(x[i], y[i], total)
            i += 1
        parts[job] = total
