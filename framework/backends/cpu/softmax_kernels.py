"""Softmax, its logarithm and their gradients in the kernel language.

In rows the softmax runs along memory; in blocks LANES positions are turned so that vectors run along positions.
"""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    fetch_add,
    fma,
    load,
    log,
    max_lanes,
    maximum,
    minimum,
    pointer,
    splat,
    store,
    sum_lanes,
)
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.math_kernels import exp, gather_block, load_part, spread_block, store_part

LANES = SIZE = LOG = 1  # given when compiling


@kernel
def rows(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], y: Pointer[Float], count: Int, width: Int, chunk: Int,
    scratch: Int,
) -> None:  # fmt: skip
    """y = exp(x) / sum exp(x) (LOG: its logarithm) of each of `count` rows; a job is `chunk` rows."""
    whole = width // LANES * LANES
    rest = width - whole
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for row in range(job * chunk, minimum(count, job * chunk + chunk)):
            source = x + row * width
            target = y + row * width
            top = splat(-1e999)
            for i in range(0, whole, LANES):
                top = maximum(top, load(source + i))
            if rest > 0:
                top = maximum(top, load_part(source + whole, rest, -1e999))
            peak = max_lanes(top)
            total = splat(0.0)
            for i in range(0, whole, LANES):
                part = exp(load(source + i) - peak)
                total = total + part
                if LOG == 0:
                    store(target + i, part)
            if rest > 0:
                part = exp(load_part(source + whole, rest, -1e999) - peak)
                total = total + part
                if LOG == 0:
                    store_part(target + whole, part, rest)
            if LOG:
                shift = peak + log(sum_lanes(total))
                for i in range(0, whole, LANES):
                    store(target + i, load(source + i) - shift)
                for i in range(whole, width):
                    target[i] = source[i] - shift
            else:
                scale = 1.0 / sum_lanes(total)
                for i in range(0, whole, LANES):
                    store(target + i, load(target + i) * scale)
                for i in range(whole, width):
                    target[i] = target[i] * scale


@kernel
def rows_gradient(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], y: Pointer[Float], to: Pointer[Float], count: Int, width: Int,
    chunk: Int, scratch: Int,
) -> None:  # fmt: skip
    """From the gradient by the result y to that by the input: y (g - sum g y); LOG: g - exp(y) sum g."""
    whole = width // LANES * LANES
    rest = width - whole
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for row in range(job * chunk, minimum(count, job * chunk + chunk)):
            slant = g + row * width
            value = y + row * width
            target = to + row * width
            total = splat(0.0)
            for i in range(0, whole, LANES):
                if LOG:
                    total = total + load(slant + i)
                else:
                    total = fma(load(slant + i), load(value + i), total)
            if rest > 0:
                if LOG:
                    total = total + load_part(slant + whole, rest, 0.0)
                else:
                    total = fma(load_part(slant + whole, rest, 0.0), load_part(value + whole, rest, 0.0), total)
            sum = sum_lanes(total)
            for i in range(0, whole, LANES):
                if LOG:
                    store(target + i, load(slant + i) - exp(load(value + i)) * sum)
                else:
                    store(target + i, load(value + i) * (load(slant + i) - sum))
            if rest > 0:
                s = load_part(slant + whole, rest, 0.0)
                v = load_part(value + whole, rest, 0.0)
                if LOG:
                    store_part(target + whole, s - exp(v) * sum, rest)
                else:
                    store_part(target + whole, v * (s - sum), rest)


@kernel
def blocks(
    counter: Pointer[Int], jobs: Int, x: Int, y: Int, pixels: Int, channels: Int, chunk: Int, chunks: Int,
    image_step: Int, pixel_step: Int, channel_step: Int, scratch: Int,
) -> None:  # fmt: skip
    """`rows` over the channels of each position; steps in bytes; a job is `chunk` positions of an image."""
    block = pointer(Float, scratch)
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        start = job % chunks * chunk
        stop = minimum(start + chunk, pixels)
        while start < stop:
            count = minimum(LANES, stop - start)
            away = job // chunks * image_step + start * pixel_step
            gather_block(x + away, block, count, channels, pixel_step, channel_step)
            peak = load(block)
            for c in range(1, channels):
                peak = maximum(peak, load(block + c * LANES))
            total = splat(0.0)
            for c in range(channels):
                part = exp(load(block + c * LANES) - peak)
                total = total + part
                if LOG == 0:
                    store(block + c * LANES, part)
            if LOG:
                sums = block + channels * LANES
                store(sums, total)
                for n in range(LANES):
                    sums[n] = log(sums[n])
                shift = peak + load(sums)
                for c in range(channels):
                    store(block + c * LANES, load(block + c * LANES) - shift)
            else:
                scale = 1.0 / total
                for c in range(channels):
                    store(block + c * LANES, load(block + c * LANES) * scale)
            spread_block(block, y + away, count, channels, pixel_step, channel_step)
            start += LANES


@kernel
def blocks_gradient(
    counter: Pointer[Int], jobs: Int, g: Int, y: Int, to: Int, pixels: Int, channels: Int, chunk: Int, chunks: Int,
    image_step: Int, pixel_step: Int, channel_step: Int, scratch: Int,
) -> None:  # fmt: skip
    """`rows_gradient` over the channels of each position."""
    slant = pointer(Float, scratch)
    value = slant + channels * LANES
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        start = job % chunks * chunk
        stop = minimum(start + chunk, pixels)
        while start < stop:
            count = minimum(LANES, stop - start)
            away = job // chunks * image_step + start * pixel_step
            gather_block(g + away, slant, count, channels, pixel_step, channel_step)
            gather_block(y + away, value, count, channels, pixel_step, channel_step)
            total = splat(0.0)
            for c in range(channels):
                s = load(slant + c * LANES)
                if LOG:
                    total = total + s
                else:
                    total = fma(s, load(value + c * LANES), total)
            for c in range(channels):
                s = load(slant + c * LANES)
                v = load(value + c * LANES)
                if LOG:
                    store(slant + c * LANES, s - exp(v) * total)
                else:
                    store(slant + c * LANES, v * (s - total))
            spread_block(slant, to + away, count, channels, pixel_step, channel_step)
            start += LANES
