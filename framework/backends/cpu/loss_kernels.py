"""Cross-entropy in the kernel language. Blocks of LANES positions are turned so that vectors run along positions."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    Vector,
    fetch_add,
    floor,
    fma,
    load,
    log,
    maximum,
    minimum,
    pointer,
    power_of_two,
    splat,
    store,
)  # fmt: skip
from framework.backends.cpu.machine import kernel

LANES = SIZE = WEIGHTED = 1  # given when compiling


@kernel
def exp(x: Vector) -> Vector:
    """e**x for x <= 0 (softmax's case): 2**k times the Taylor series of the rest, |rest| <= ln(2) / 2."""
    x = maximum(-87.0 if SIZE == 4 else -708.0, x)
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
    return fma(s, r, splat(1.0)) * power_of_two(k)


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
def cross_entropy(
    counter: Pointer[Int], jobs: Int, x: Int, target: Pointer[Int], weight: Pointer[Float], loss: Pointer[Float],
    lse: Pointer[Float], wrong: Pointer[Int], pixels: Int, channels: Int, chunk: Int, chunks: Int, image_step: Int,
    pixel_step: Int, channel_step: Int, ignore: Int, scratch: Int,
) -> None:  # fmt: skip
    """loss = weight[target] * (log sum exp x - x[target]), and log sum exp; `wrong` counts targets out of range."""
    block = pointer(Float, scratch)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // chunks
        start = job % chunks * chunk
        stop = minimum(start + chunk, pixels)
        while start < stop:
            count = minimum(LANES, stop - start)
            gather_block(x + image * image_step + start * pixel_step, block, count, channels, pixel_step, channel_step)
            top = load(block)
            for c in range(1, channels):
                top = maximum(top, load(block + c * LANES))
            total = splat(0.0)
            for c in range(channels):
                total = total + exp(load(block + c * LANES) - top)
            store(block + channels * LANES, top + log(total))
            at = image * pixels + start
            for n in range(count):
                whole = block[channels * LANES + n]
                label = target[at + n]
                lse[at + n] = whole
                loss[at + n] = 0.0
                if label != ignore:
                    if label >= 0 and label < channels:
                        part = whole - block[label * LANES + n]
                        loss[at + n] = part * weight[label] if WEIGHTED else part
                    else:
                        fetch_add(wrong, 1)
            start += LANES


@kernel
def cross_entropy_gradient(
    counter: Pointer[Int], jobs: Int, x: Int, y: Int, g: Pointer[Float], target: Pointer[Int], weight: Pointer[Float],
    lse: Pointer[Float], pixels: Int, channels: Int, chunk: Int, chunks: Int, image_step: Int, pixel_step: Int,
    channel_step: Int, ignore: Int, scratch: Int,
) -> None:  # fmt: skip
    """y = g * weight[target] * (softmax(x) - one_hot(target)), zero where the target is ignored; y laid out as x."""
    block = pointer(Float, scratch)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // chunks
        start = job % chunks * chunk
        stop = minimum(start + chunk, pixels)
        while start < stop:
            count = minimum(LANES, stop - start)
            away = image * image_step + start * pixel_step
            gather_block(x + away, block, count, channels, pixel_step, channel_step)
            at = image * pixels + start
            factors = block + channels * LANES
            logs = factors + LANES
            for n in range(LANES):
                here = at + minimum(n, count - 1)
                label = target[here]
                logs[n] = lse[here]
                if label == ignore:
                    factors[n] = 0.0
                else:
                    factors[n] = g[here] * weight[label] if WEIGHTED else g[here]
            factor = load(factors)
            whole = load(logs)
            for c in range(channels):
                store(block + c * LANES, exp(load(block + c * LANES) - whole) * factor)
            for n in range(count):
                label = target[at + n]
                if label != ignore:
                    block[label * LANES + n] = block[label * LANES + n] - factors[n]
            for c in range(channels):
                to = y + away + c * channel_step
                if count == LANES and pixel_step == SIZE:
                    store(pointer(Float, to), load(block + c * LANES))
                else:
                    for n in range(count):
                        out = pointer(Float, to + n * pixel_step)
                        out[0] = block[c * LANES + n]
            start += LANES
