"""Maximum pooling and its gradient in the kernel language."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    fetch_add,
    load,
    local,
    minimum,
    pointer,
    splat,
    store,
    unroll,
    where,
)
from framework.backends.cpu.machine import kernel

LANES = 1  # given when compiling


@kernel
def max_pool(
    counter: Pointer[Int], jobs: Int, x: Int, y: Pointer[Float], index: Pointer[Int], plan: Pointer[Int], scratch: Int,
) -> None:  # fmt: skip
    """Largest value under the window and its flat position in the volume; a job is one row of positions, all channels.

    A later value wins only if it is larger or not a number, as in PyTorch.
    """
    nz = plan[0]
    ny = plan[1]
    nx = plan[2]
    kz = plan[3]
    ky = plan[4]
    kx = plan[5]
    channels = plan[6]
    x_image = plan[7]
    in_z = pointer(Int, plan[8])
    in_y = pointer(Int, plan[9])
    in_x = pointer(Int, plan[10])
    at_z = pointer(Int, plan[11])
    at_y = pointer(Int, plan[12])
    at_x = pointer(Int, plan[13])
    places = pointer(Int, scratch)
    numbers = places + kz * ky * kx
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        py = job % ny * ky
        pz = job // ny % nz * kz
        image = x + job // ny // nz * x_image
        for px in range(nx):
            value = y + (job * nx + px) * channels
            place = index + (job * nx + px) * channels
            taps = 0
            for i in range(kz):
                for j in range(ky):
                    above = in_z[pz + i] + in_y[py + j]
                    for k in range(kx):
                        offset = above + in_x[px * kx + k]
                        if offset >= 0:
                            places[taps] = image + offset
                            numbers[taps] = at_z[pz + i] + at_y[py + j] + at_x[px * kx + k]
                            taps += 1
            c = 0
            while c + LANES <= channels:
                largest(value + c, place + c, places, numbers, taps, c)
                c += LANES
            while c < channels:
                best = pointer(Float, places[0])[c]
                winner = 0
                for tap in range(1, taps):
                    v = pointer(Float, places[tap])[c]
                    if v > best or v != v:
                        best = v
                        winner = tap
                value[c] = best
                place[c] = numbers[winner]
                c += 1


@kernel
def largest(
    value: Pointer[Float], place: Pointer[Int], places: Pointer[Int], numbers: Pointer[Int], taps: Int, c: Int
) -> None:
    """One vector of channels. The tap that won is counted in the element type, where it is exact."""
    lane = local(Float, LANES)
    best = load(pointer(Float, places[0]) + c)
    winner = splat(0.0)
    number = Float(0.0)
    for tap in range(1, taps):
        number += 1.0
        v = load(pointer(Float, places[tap]) + c)
        winner = where(v > best, splat(number), where(v != v, splat(number), winner))
        best = where(v > best, v, where(v != v, v, best))
    store(value, best)
    store(lane, winner)
    for n in unroll(LANES):
        place[n] = numbers[Int(lane[n])]


@kernel
def put_flat(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], index: Pointer[Int], y: Pointer[Float], count: Int, total: Int,
    channels: Int, block: Int, blocks: Int, wrong: Pointer[Int], scratch: Int,
) -> None:  # fmt: skip
    """y (images, total, channels) = 0, and g (images, count, channels) added at its flat positions, in order.

    A job is a block of channels of one image, so nothing is added by two threads; `wrong` counts positions outside.
    """
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // blocks
        first = job % blocks * block
        last = minimum(channels, first + block)
        target = y + image * total * channels
        for p in range(total):
            for c in range(first, last):
                target[p * channels + c] = 0.0
        for o in range(count):
            here = (image * count + o) * channels
            for c in range(first, last):
                at = index[here + c]
                if at >= 0 and at < total:
                    place = at * channels + c
                    target[place] = target[place] + g[here + c]
                else:
                    fetch_add(wrong, 1)
