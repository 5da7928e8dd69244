"""Activations and their gradients in the kernel language: one pass over flat memory."""

from __future__ import annotations

from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    Vector,
    fetch_add,
    fma,
    load,
    maximum,
    minimum,
    store,
    where,
)
from framework.backends.cpu.machine import kernel
from framework.backends.cpu.math_kernels import exp, load_part, scaled_erfc, store_part

LANES = SIZE = KIND = 1  # given when compiling
GELU, SILU, SIGMOID = 0, 1, 2  # what KIND means


@kernel
def forward(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], y: Pointer[Float], size: Int, chunk: Int, scratch: Int
) -> None:
    """y = f(x); a job is `chunk` elements."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        start = job * chunk
        stop = minimum(size, start + chunk)
        while start + LANES <= stop:
            store(y + start, value(load(x + start)))
            start += LANES
        if start < stop:
            store_part(y + start, value(load_part(x + start, stop - start, 0.0)), stop - start)


@kernel
def gradient(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], x: Pointer[Float], y: Pointer[Float], size: Int, chunk: Int,
    scratch: Int,
) -> None:  # fmt: skip
    """y = g * f'(x)."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        start = job * chunk
        stop = minimum(size, start + chunk)
        while start + LANES <= stop:
            store(y + start, load(g + start) * slope(load(x + start)))
            start += LANES
        if start < stop:
            count = stop - start
            s = load_part(g + start, count, 0.0) * slope(load_part(x + start, count, 0.0))
            store_part(y + start, s, count)


@kernel
def value(x: Vector) -> Vector:
    """x Phi(x), Phi the distribution function of the normal law; x sigmoid(x); or sigmoid(x)."""
    if KIND == 0:
        return x * normal_cdf(x)
    elif KIND == 1:
        return x * sigmoid(x)
    else:
        return sigmoid(x)


@kernel
def slope(x: Vector) -> Vector:
    """The derivative of `value`."""
    if KIND == 0:
        density = exp(x * x * -0.5) * 0.3989422804014327
        return fma(x, density, normal_cdf(x))
    else:
        s = sigmoid(x)
        if KIND == 1:
            return fma(x * s, 1.0 - s, s)
        else:
            return s * (1.0 - s)


@kernel
def normal_cdf(x: Vector) -> Vector:
    """Phi(x) = erfc(-x / sqrt 2) / 2; small values keep their relative precision."""
    size = maximum(x, 0.0 - x) * 0.7071067811865476
    size = where(size > 10.0, 10.0, size)
    tail = scaled_erfc(size) * exp(x * x * -0.5) * 0.5
    return where(x > 0.0, 1.0 - tail, tail)


@kernel
def sigmoid(x: Vector) -> Vector:
    """1 / (1 + exp(-x)), by the exponential of -|x|."""
    e = exp(where(x > 0.0, 0.0 - x, x))
    return where(x > 0.0, 1.0, e) / (1.0 + e)
