"""Cross-entropy in the kernel language. Blocks of LANES positions are turned so that vectors run along positions."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    fetch_add,
    load,
    log,
    maximum,
    minimum,
    pointer,
    splat,
    store,
)  # fmt: skip
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.math_kernels import exp, gather_block, spread_block

LANES = SIZE = WEIGHTED = 1  # given when compiling


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
            spread_block(block, y + away, count, channels, pixel_step, channel_step)
            start += LANES
