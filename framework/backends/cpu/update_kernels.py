"""Activations and optimizer steps in the kernel language: one pass over flat memory."""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, fetch_add, maximum, minimum, pointer, sqrt
from framework.backends.cpu.machine import kernel

AMSGRAD = DECAYED = NESTEROV = MOMENTUM = FIRST = 0  # given when compiling


@kernel
def leaky(
    counter: Pointer[Int], jobs: Int, x: Pointer[Float], y: Pointer[Float], size: Int, chunk: Int, slope: Float,
    scratch: Int,
) -> None:  # fmt: skip
    """y = x where x > 0, else slope * x."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for i in range(job * chunk, minimum(size, (job + 1) * chunk)):
            v = x[i]
            y[i] = v if v > 0.0 else v * slope


@kernel
def leaky_gradient(
    counter: Pointer[Int], jobs: Int, g: Pointer[Float], x: Pointer[Float], y: Pointer[Float], size: Int, chunk: Int,
    slope: Float, scratch: Int,
) -> None:  # fmt: skip
    """y = g where x > 0, else slope * g."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for i in range(job * chunk, minimum(size, (job + 1) * chunk)):
            v = g[i]
            y[i] = v if x[i] > 0.0 else v * slope


@kernel
def sgd(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], lr: Float, momentum: Float, kept: Float, decay: Float,
    scratch: Int,
) -> None:  # fmt: skip
    """Stochastic gradient descent, one chunk a job; table rows: parameter, gradient, buffer, count.

    kept: 1 - dampening.
    """
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        p = pointer(Float, table[job * 4])
        g = pointer(Float, table[job * 4 + 1])
        b = pointer(Float, table[job * 4 + 2])
        for i in range(table[job * 4 + 3]):
            d = g[i] + decay * p[i]
            if MOMENTUM:
                moved = d if FIRST else momentum * b[i] + kept * d
                b[i] = moved
                d = d + momentum * moved if NESTEROV else moved
            p[i] = p[i] - lr * d


@kernel
def adam(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], rate: Float, first_rate: Float, second_rate: Float,
    root: Float, eps: Float, shrink: Float, decay: Float, scratch: Int,
) -> None:  # fmt: skip
    """Adam and AdamW; table rows: parameter, gradient, first and second moment, (AMSGRAD) the largest one, count.

    rate: lr / (1 - beta1**step); first_rate, second_rate: 1 - beta; root: 1 / sqrt(1 - beta2**step);
    shrink: 1 - lr * decay where the decay is decoupled; (DECAYED) decay: what the gradient gets of the parameter.
    """
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * (5 + AMSGRAD)
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        m = pointer(Float, table[row + 2])
        v = pointer(Float, table[row + 3])
        top = pointer(Float, table[row + 4])
        for i in range(table[row + 4 + AMSGRAD]):
            d = g[i]
            if DECAYED:
                d = d + decay * p[i]
            mean = m[i] + first_rate * (d - m[i])
            power = v[i] + second_rate * (d * d - v[i])
            m[i] = mean
            v[i] = power
            if AMSGRAD:
                power = maximum(top[i], power)
                top[i] = power
            p[i] = p[i] * shrink - rate * (mean / (sqrt(power) * root + eps))


@kernel
def unscale(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], factor: Float, found: Pointer[Int], scratch: Int
) -> None:
    """g *= factor, one chunk a job, and how many elements were not finite; table rows: gradient, count."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        g = pointer(Float, table[job * 2])
        lost = 0
        for i in range(table[job * 2 + 1]):
            v = g[i]
            lost += 1 if v - v != 0.0 else 0  # infinity minus itself is NaN, which equals nothing
            g[i] = v * factor
        found[job] = lost
