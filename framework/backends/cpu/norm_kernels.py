"""Normalisation and activation in the kernel language.

Memory is (images, pixels, channels) with the channels side by side, or, for contiguous (N, C, *spatial) arrays, N * C
images of one channel, where vectors run along the pixels. A job is one chunk of pixels of one image, so every sum has a
fixed order.
"""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Double,
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
    sum_lanes,
    unroll,
    where,
)  # fmt: skip
from framework.backends.cpu.machine import kernel, subroutine

LANES = WIDE = 1  # given when compiling


@kernel
def moments(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], pixels: Int, channels: Int, chunk: Int, chunks: Int,
    means: Pointer[Double], squares: Pointer[Double], scratch: Int,
) -> None:  # fmt: skip
    """Mean and sum of squared deviations of each chunk and channel: (images, chunks, channels) each."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job % chunks * chunk
        count = minimum(chunk, pixels - first)
        base = x + (job // chunks * pixels + first) * channels
        mean = means + job * channels
        square = squares + job * channels
        if channels == 1:
            total = splat(0.0)
            i = 0
            while i + LANES <= count:
                total = total + load(base + i)
                i += LANES
            first_mean = sum_lanes(total)
            while i < count:
                first_mean += base[i]
                i += 1
            first_mean = first_mean / Float(count)
            rest = splat(0.0)
            total = splat(0.0)
            i = 0
            while i + LANES <= count:
                part = load(base + i) - first_mean
                rest = rest + part
                total = fma(part, part, total)
                i += LANES
            tail_rest = sum_lanes(rest)
            tail = sum_lanes(total)
            while i < count:
                last = base[i] - first_mean
                tail_rest += last
                tail += last * last
                i += 1
            put_moments(mean, square, first_mean, tail_rest, tail, count)
        else:
            c = 0
            while c + 4 * LANES <= channels:
                moments_wide(base + c, count, channels, mean + c, square + c, WIDE=4)
                c += 4 * LANES
            while c + LANES <= channels:
                moments_wide(base + c, count, channels, mean + c, square + c, WIDE=1)
                c += LANES
            while c < channels:
                alone = Float(0.0)
                for i in range(count):
                    alone += base[i * channels + c]
                alone = alone / Float(count)
                gap = Float(0.0)
                power = Float(0.0)
                for i in range(count):
                    d = base[i * channels + c] - alone
                    gap += d
                    power += d * d
                put_moments(mean + c, square + c, alone, gap, power, count)
                c += 1


@subroutine
def moments_wide(
    base: Pointer[Float], count: Int, channels: Int, mean: Pointer[Double], square: Pointer[Double]
) -> None:
    """`moments` of WIDE vectors of channels."""
    total = local(Vector, WIDE)
    rest = local(Vector, WIDE)
    middle = local(Vector, WIDE)
    lane = local(Float, 3 * LANES)
    for v in unroll(WIDE):
        total[v] = splat(0.0)
    for i in range(count):
        for v in unroll(WIDE):
            total[v] = total[v] + load(base + i * channels + v * LANES)
    for v in unroll(WIDE):
        middle[v] = total[v] / Float(count)
        total[v] = splat(0.0)
        rest[v] = splat(0.0)
    for i in range(count):
        for v in unroll(WIDE):
            part = load(base + i * channels + v * LANES) - middle[v]
            rest[v] = rest[v] + part
            total[v] = fma(part, part, total[v])
    for v in unroll(WIDE):
        store(lane, middle[v])
        store(lane + LANES, rest[v])
        store(lane + 2 * LANES, total[v])
        for n in unroll(LANES):
            put_moments(
                mean + v * LANES + n, square + v * LANES + n, lane[n], lane[LANES + n], lane[2 * LANES + n], count
            )


@subroutine
def put_moments(
    mean: Pointer[Double], square: Pointer[Double], middle: Float, rest: Float, power: Float, count: Int
) -> None:
    """Deviations were taken from the rounded mean `middle`; `rest`, their sum, corrects mean and power."""
    shift = Double(rest) / Double(count)
    mean[0] = Double(middle) + shift
    square[0] = Double(power) - Double(count) * shift * shift


@kernel
def normalise(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], y: Pointer[Float], pixels: Int, channels: Int, chunk: Int,
    chunks: Int, center: Pointer[Float], scale: Pointer[Float], shift: Pointer[Float], slope: Float, scratch: Int,
) -> None:  # fmt: skip
    """y = leaky((x - center) * scale + shift), coefficients (images, channels)."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // chunks
        first = job % chunks * chunk
        count = minimum(chunk, pixels - first)
        source = x + (image * pixels + first) * channels
        target = y + (image * pixels + first) * channels
        mid = center + image * channels
        gain = scale + image * channels
        add = shift + image * channels
        if channels == 1:
            i = 0
            while i + LANES <= count:
                v = fma(load(source + i) - mid[0], splat(gain[0]), splat(add[0]))
                store(target + i, where(v > 0.0, v, v * slope))
                i += LANES
            while i < count:
                s = fma(source[i] - mid[0], gain[0], add[0])
                target[i] = s if s > 0.0 else s * slope
                i += 1
        else:
            for _ in range(count):
                c = 0
                while c + LANES <= channels:
                    u = fma(load(source + c) - load(mid + c), load(gain + c), load(add + c))
                    store(target + c, where(u > 0.0, u, u * slope))
                    c += LANES
                while c < channels:
                    t = fma(source[c] - mid[c], gain[c], add[c])
                    target[c] = t if t > 0.0 else t * slope
                    c += 1
                source = source + channels
                target = target + channels


@kernel
def gradient_sums(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], x: Pointer[Float], pixels: Int, channels: Int, chunk: Int,
    chunks: Int, center: Pointer[Float], scale: Pointer[Float], shift: Pointer[Float], slope: Float,
    sums: Pointer[Double], products: Pointer[Double], scratch: Int,
) -> None:  # fmt: skip
    """Of each chunk and channel the sums of g' and g' * (x - center), g' the gradient before the activation."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // chunks
        first = job % chunks * chunk
        count = minimum(chunk, pixels - first)
        value = x + (image * pixels + first) * channels
        slant = g + (image * pixels + first) * channels
        mid = center + image * channels
        gain = scale + image * channels
        add = shift + image * channels
        total = sums + job * channels
        product = products + job * channels
        c = 0
        i = 0
        if channels == 1:
            all_g = splat(0.0)
            all_p = splat(0.0)
            while i + LANES <= count:
                d = load(value + i) - mid[0]
                e = load(slant + i)
                e = where(fma(d, splat(gain[0]), splat(add[0])) > 0.0, e, e * slope)
                all_g = all_g + e
                all_p = fma(e, d, all_p)
                i += LANES
            total[0] = Double(sum_lanes(all_g))
            product[0] = Double(sum_lanes(all_p))
        else:
            while c + 4 * LANES <= channels:
                gradient_sums_wide(slant + c, value + c, count, channels, mid + c, gain + c, add + c, slope, total + c,
                                   product + c, WIDE=4)  # fmt: skip
                c += 4 * LANES
            while c + LANES <= channels:
                gradient_sums_wide(slant + c, value + c, count, channels, mid + c, gain + c, add + c, slope, total + c,
                                   product + c, WIDE=1)  # fmt: skip
                c += LANES
        while c < channels:
            sum_g = Float(0.0)
            sum_p = Float(0.0)
            for p in range(i, count):
                far = value[p * channels + c] - mid[c]
                s = slant[p * channels + c]
                s = s if fma(far, gain[c], add[c]) > 0.0 else s * slope
                sum_g += s
                sum_p += s * far
            if channels == 1:
                total[0] = total[0] + Double(sum_g)
                product[0] = product[0] + Double(sum_p)
            else:
                total[c] = Double(sum_g)
                product[c] = Double(sum_p)
            c += 1


@subroutine
def gradient_sums_wide(
    g: Pointer[Float], x: Pointer[Float], count: Int, channels: Int, mid: Pointer[Float], gain: Pointer[Float],
    add: Pointer[Float], slope: Float, total: Pointer[Double], product: Pointer[Double],
) -> None:  # fmt: skip
    """`gradient_sums` of WIDE vectors of channels."""
    sum_g = local(Vector, WIDE)
    sum_p = local(Vector, WIDE)
    lane = local(Float, 2 * LANES)
    for v in unroll(WIDE):
        sum_g[v] = splat(0.0)
        sum_p[v] = splat(0.0)
    for i in range(count):
        for v in unroll(WIDE):
            d = load(x + i * channels + v * LANES) - load(mid + v * LANES)
            e = load(g + i * channels + v * LANES)
            e = where(fma(d, load(gain + v * LANES), load(add + v * LANES)) > 0.0, e, e * slope)
            sum_g[v] = sum_g[v] + e
            sum_p[v] = fma(e, d, sum_p[v])
    for v in unroll(WIDE):
        store(lane, sum_g[v])
        store(lane + LANES, sum_p[v])
        for n in unroll(LANES):
            total[v * LANES + n] = Double(lane[n])
            product[v * LANES + n] = Double(lane[LANES + n])


@kernel
def gradient(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], x: Pointer[Float], y: Pointer[Float], pixels: Int,
    channels: Int, chunk: Int, chunks: Int, center: Pointer[Float], scale: Pointer[Float], shift: Pointer[Float],
    slope: Float, constant: Pointer[Float], linear: Pointer[Float], scratch: Int,
) -> None:  # fmt: skip
    """y = g' * scale + constant + (x - center) * linear, coefficients (images, channels)."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        image = job // chunks
        first = job % chunks * chunk
        count = minimum(chunk, pixels - first)
        value = x + (image * pixels + first) * channels
        slant = g + (image * pixels + first) * channels
        target = y + (image * pixels + first) * channels
        mid = center + image * channels
        gain = scale + image * channels
        add = shift + image * channels
        flat = constant + image * channels
        steep = linear + image * channels
        i = 0
        if channels == 1:
            while i + LANES <= count:
                d = load(value + i) - mid[0]
                e = load(slant + i)
                e = where(fma(d, splat(gain[0]), splat(add[0])) > 0.0, e, e * slope)
                store(target + i, fma(e, splat(gain[0]), fma(d, splat(steep[0]), splat(flat[0]))))
                i += LANES
        for p in range(i, count):
            here = p * channels
            c = 0
            while c + LANES <= channels:
                w = load(value + here + c) - load(mid + c)
                s = load(slant + here + c)
                s = where(fma(w, load(gain + c), load(add + c)) > 0.0, s, s * slope)
                store(target + here + c, fma(s, load(gain + c), fma(w, load(steep + c), load(flat + c))))
                c += LANES
            while c < channels:
                far = value[here + c] - mid[c]
                t = slant[here + c]
                t = t if fma(far, gain[c], add[c]) > 0.0 else t * slope
                target[here + c] = fma(t, gain[c], fma(far, steep[c], flat[c]))
                c += 1
