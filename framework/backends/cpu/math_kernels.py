"""What other kernels use: exponential, Gaussian tail, the ends of rows, and turning blocks of positions."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    Vector,
    floor,
    fma,
    load,
    local,
    maximum,
    minimum,
    pointer,
    power_of_two,
    splat,
    store,
    where,
)
from framework.backends.cpu.machine import kernel

LANES = SIZE = 1  # given when compiling


@kernel
def exp(x: Vector) -> Vector:
    """e**x for x <= 0 (softmax's case): 2**k times the Taylor series of the rest, |rest| <= ln(2) / 2.

    What would be smaller than the smallest normal number is 0.
    """
    least = -87.0 if SIZE == 4 else -708.0
    gone = x < least
    x = maximum(least, x)
    k = floor(x * 1.4426950408889634 + 0.5)
    r = fma(k, splat(-0.693145751953125 if SIZE == 4 else -0.6931471803691238), x)
    r = fma(k, splat(-1.4286068203094172e-06 if SIZE == 4 else -1.9082149292705877e-10), r)
    s = splat(1.0 / 5040.0)
    if SIZE == 8:
        s = fma(r, splat(1.0 / 6227020800.0), splat(1.0 / 479001600.0))
        s = fma(s, r, splat(1.0 / 39916800.0))
        s = fma(s, r, splat(1.0 / 3628800.0))
        s = fma(s, r, splat(1.0 / 362880.0))
        s = fma(s, r, splat(1.0 / 40320.0))
        s = fma(s, r, splat(1.0 / 5040.0))
    s = fma(s, r, splat(1.0 / 720.0))
    s = fma(s, r, splat(1.0 / 120.0))
    s = fma(s, r, splat(1.0 / 24.0))
    s = fma(s, r, splat(1.0 / 6.0))
    s = fma(s, r, splat(0.5))
    s = fma(s, r, splat(1.0))
    return where(gone, splat(0.0), fma(s, r, splat(1.0)) * power_of_two(k))


@kernel
def scaled_erfc(z: Vector) -> Vector:
    """exp(z**2) erfc(z) for 0 <= z <= 10 to 3e-7: t times a polynomial in t = 1 / (1 + z / 2) fitted to it."""
    t = 1.0 / fma(z, splat(0.5), splat(1.0))
    s = fma(t, splat(0.0135346489), splat(-0.129614047))
    s = fma(s, t, splat(0.44281113))
    s = fma(s, t, splat(-0.687045793))
    s = fma(s, t, splat(0.434151876))
    s = fma(s, t, splat(-0.104528479))
    s = fma(s, t, splat(0.22744552))
    s = fma(s, t, splat(0.23828823))
    s = fma(s, t, splat(0.282894015))
    s = fma(s, t, splat(0.282062883))
    return s * t


@kernel
def load_part(p: Pointer[Float], count: Int, pad: Float) -> Vector:
    """A vector whose first `count` lanes come from memory."""
    edge = local(Float, LANES)
    store(edge, splat(pad))
    for n in range(count):
        edge[n] = p[n]
    return load(edge)


@kernel
def store_part(p: Pointer[Float], v: Vector, count: Int) -> None:
    """The first `count` lanes of a vector to memory."""
    edge = local(Float, LANES)
    store(edge, v)
    for n in range(count):
        p[n] = edge[n]


@kernel
def gather_block(x: Int, to: Pointer[Float], count: Int, channels: Int, pixel_step: Int, channel_step: Int) -> None:
    """`count` positions of all channels as rows of LANES; missing positions repeat the last."""
    for c in range(channels):
        row = to + c * LANES
        if count == LANES and pixel_step == SIZE:
            store(row, load(pointer(Float, x + c * channel_step)))
        else:
            for n in range(LANES):
                row[n] = pointer(Float, x + minimum(n, count - 1) * pixel_step + c * channel_step)[0]


@kernel
def spread_block(block: Pointer[Float], y: Int, count: Int, channels: Int, pixel_step: Int, channel_step: Int) -> None:
    """Rows of LANES positions back to where `gather_block` took them from."""
    for c in range(channels):
        to = y + c * channel_step
        if count == LANES and pixel_step == SIZE:
            store(pointer(Float, to), load(block + c * LANES))
        else:
            for n in range(count):
                out = pointer(Float, to + n * pixel_step)
                out[0] = block[c * LANES + n]
