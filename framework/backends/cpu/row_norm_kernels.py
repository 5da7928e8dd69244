"""Layer and root-mean-square normalisation of rows in the kernel language, and its gradient."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    fetch_add,
    fma,
    load,
    minimum,
    splat,
    sqrt,
    store,
    sum_lanes,
)
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.math_kernels import load_part, store_part

LANES = SIZE = CENTRED = WEIGHTED = SHIFTED = 1  # given when compiling


@kernel
def forward(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], weight: Pointer[Float], bias: Pointer[Float],
    y: Pointer[Float], mean: Pointer[Float], rstd: Pointer[Float], count: Int, width: Int, chunk: Int, eps: Float,
    scratch: Int,
) -> None:  # fmt: skip
    """y = (x - mean) * rstd * weight + bias of each of `count` rows; a job is `chunk` rows."""
    whole = width // LANES * LANES
    rest = width - whole
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for row in range(job * chunk, minimum(count, job * chunk + chunk)):
            source = x + row * width
            target = y + row * width
            middle = Float(0.0)
            if CENTRED:
                total = splat(0.0)
                for i in range(0, whole, LANES):
                    total = total + load(source + i)
                if rest > 0:
                    total = total + load_part(source + whole, rest, 0.0)
                middle = sum_lanes(total) / Float(width)
                mean[row] = middle
            power = splat(0.0)
            for i in range(0, whole, LANES):
                d = load(source + i) - middle
                power = fma(d, d, power)
            if rest > 0:
                d = load_part(source + whole, rest, middle) - middle
                power = fma(d, d, power)
            scale = 1.0 / sqrt(sum_lanes(power) / Float(width) + eps)
            rstd[row] = scale
            for i in range(0, whole, LANES):
                v = (load(source + i) - middle) * scale
                if WEIGHTED:
                    v = v * load(weight + i)
                if SHIFTED:
                    v = v + load(bias + i)
                store(target + i, v)
            for i in range(whole, width):
                s = (source[i] - middle) * scale
                if WEIGHTED:
                    s = s * weight[i]
                if SHIFTED:
                    s = s + bias[i]
                target[i] = s


@kernel
def gradient(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], x: Pointer[Float], weight: Pointer[Float],
    mean: Pointer[Float], rstd: Pointer[Float], gx: Pointer[Float], products: Pointer[Float], sums: Pointer[Float],
    count: Int, width: Int, chunk: Int, scratch: Int,
) -> None:  # fmt: skip
    """The gradient by x, and for each job the sums over its rows of g * normalised x (products) and of g (sums)."""
    whole = width // LANES * LANES
    rest = width - whole
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        product = products + job * width
        sum = sums + job * width
        for i in range(width):
            product[i] = 0.0
            sum[i] = 0.0
        for row in range(job * chunk, minimum(count, job * chunk + chunk)):
            slant = g + row * width
            value = x + row * width
            target = gx + row * width
            middle = mean[row] if CENTRED else Float(0.0)
            scale = rstd[row]
            all_g = splat(0.0)
            all_p = splat(0.0)
            for i in range(0, whole, LANES):
                s = load(slant + i)
                n = (load(value + i) - middle) * scale
                store(product + i, fma(s, n, load(product + i)))
                store(sum + i, load(sum + i) + s)
                if WEIGHTED:
                    s = s * load(weight + i)
                all_g = all_g + s
                all_p = fma(s, n, all_p)
            if rest > 0:
                s = load_part(slant + whole, rest, 0.0)
                n = (load_part(value + whole, rest, 0.0) - middle) * scale
                store_part(product + whole, fma(s, n, load_part(product + whole, rest, 0.0)), rest)
                store_part(sum + whole, load_part(sum + whole, rest, 0.0) + s, rest)
                if WEIGHTED:
                    s = s * load_part(weight + whole, rest, 0.0)
                all_g = all_g + s
                all_p = fma(s, n, all_p)
            flat = sum_lanes(all_g) / Float(width) if CENTRED else Float(0.0)
            steep = sum_lanes(all_p) / Float(width)
            for i in range(0, whole, LANES):
                s = load(slant + i)
                if WEIGHTED:
                    s = s * load(weight + i)
                n = (load(value + i) - middle) * scale
                store(target + i, (s - flat - n * steep) * scale)
            for i in range(whole, width):
                t = slant[i]
                if WEIGHTED:
                    t = t * weight[i]
                target[i] = (t - flat - (value[i] - middle) * scale * steep) * scale
