"""The rules of `ops.updates` in the kernel language: one pass, a chunk of a parameter a job.

Table rows: parameter, gradient, the rule's states, count. SHRUNK is served where the optimizer can ask for it.
"""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, fetch_add, maximum, minimum, pointer, sqrt
from framework.backends.cpu.machine import kernel

DECAYED = SHRUNK = COPIED = MOMENTUM = CENTERED = RECTIFIED = 0  # given when compiling
CHOICES = ("DECAYED", "SHRUNK", "COPIED", "MOMENTUM", "CENTERED", "RECTIFIED")


@kernel
def adagrad(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, rate: Float, eps: Float,
    scratch: Int,
) -> None:  # fmt: skip
    """Adagrad; state: the sum of squares."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 4
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        total = pointer(Float, table[row + 2])
        for i in range(table[row + 3]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            s = total[i] + d * d
            total[i] = s
            p[i] = p[i] - rate * d / (sqrt(s) + eps)


@kernel
def adadelta(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, lr: Float, rho: Float,
    rest: Float, eps: Float, scratch: Int,
) -> None:  # fmt: skip
    """Adadelta; states: mean squares of gradients and of steps."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 5
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        square = pointer(Float, table[row + 2])
        moved = pointer(Float, table[row + 3])
        for i in range(table[row + 4]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            s = rho * square[i] + rest * (d * d)
            delta = sqrt(moved[i] + eps) / sqrt(s + eps) * d
            square[i] = s
            moved[i] = rho * moved[i] + rest * (delta * delta)
            p[i] = p[i] - lr * delta


@kernel
def rmsprop(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, lr: Float, alpha: Float,
    rest: Float, eps: Float, momentum: Float, scratch: Int,
) -> None:  # fmt: skip
    """RMSprop; states: mean square, with MOMENTUM a buffer, with CENTERED the mean."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * (4 + MOMENTUM + CENTERED)
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        square = pointer(Float, table[row + 2])
        buffer = pointer(Float, table[row + 3])
        mean = pointer(Float, table[row + 3 + MOMENTUM])
        for i in range(table[row + 3 + MOMENTUM + CENTERED]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            s = alpha * square[i] + rest * (d * d)
            square[i] = s
            if CENTERED:
                m = mean[i] + rest * (d - mean[i])
                mean[i] = m
                s = s - m * m
            step = d / (sqrt(s) + eps)
            if MOMENTUM:
                step = momentum * buffer[i] + step
                buffer[i] = step
            p[i] = p[i] - lr * step


@kernel
def adamax(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, rate: Float, first: Float,
    beta2: Float, eps: Float, scratch: Int,
) -> None:  # fmt: skip
    """Adamax; states: the mean, and the largest decayed gradient."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 5
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        mean = pointer(Float, table[row + 2])
        largest = pointer(Float, table[row + 3])
        for i in range(table[row + 4]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            m = mean[i] + first * (d - mean[i])
            top = maximum(beta2 * largest[i], (-d if d < 0.0 else d) + eps)
            mean[i] = m
            largest[i] = top
            p[i] = p[i] - rate * m / top


@kernel
def nadam(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, of_gradient: Float,
    of_mean: Float, correction: Float, first: Float, beta2: Float, rest: Float, eps: Float, scratch: Int,
) -> None:  # fmt: skip
    """NAdam; states: first and second moment."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 5
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        mean = pointer(Float, table[row + 2])
        square = pointer(Float, table[row + 3])
        for i in range(table[row + 4]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            old = p[i] * shrink if SHRUNK else p[i]
            m = mean[i] + first * (d - mean[i])
            s = beta2 * square[i] + rest * (d * d)
            mean[i] = m
            square[i] = s
            p[i] = old - (of_gradient * d + of_mean * m) / (sqrt(s / correction) + eps)


@kernel
def radam(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, size: Float, rectified: Float,
    first: Float, beta2: Float, rest: Float, eps: Float, scratch: Int,
) -> None:  # fmt: skip
    """RAdam; states: first and second moment."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 5
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        mean = pointer(Float, table[row + 2])
        square = pointer(Float, table[row + 3])
        for i in range(table[row + 4]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            old = p[i] * shrink if SHRUNK else p[i]
            m = mean[i] + first * (d - mean[i])
            s = beta2 * square[i] + rest * (d * d)
            mean[i] = m
            square[i] = s
            step = size * m
            if RECTIFIED:
                step = step * (rectified / (sqrt(s) + eps))
            p[i] = old - step


@kernel
def asgd(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, eta: Float, mu: Float,
    scratch: Int,
) -> None:  # fmt: skip
    """ASGD; state: the mean of the parameter."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 4
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        ax = pointer(Float, table[row + 2])
        for i in range(table[row + 3]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            new = (p[i] * shrink if SHRUNK else p[i]) - eta * d
            p[i] = new
            ax[i] = new if COPIED else ax[i] + mu * (new - ax[i])


@kernel
def rprop(
    counter: Pointer[Int], jobs: Int, table: Pointer[Int], decay: Float, shrink: Float, less: Float, more: Float,
    least: Float, most: Float, scratch: Int,
) -> None:  # fmt: skip
    """Rprop; states: the gradient of the last step, and the sizes of steps."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        row = job * 5
        p = pointer(Float, table[row])
        g = pointer(Float, table[row + 1])
        previous = pointer(Float, table[row + 2])
        size = pointer(Float, table[row + 3])
        for i in range(table[row + 4]):
            d = g[i] + decay * p[i] if DECAYED else g[i]
            agreement = d * previous[i]
            s = size[i] * more if agreement > 0.0 else size[i]
            s = s * less if agreement < 0.0 else s
            s = minimum(most, maximum(least, s))
            d = 0.0 if agreement < 0.0 else d
            size[i] = s
            previous[i] = d
            p[i] = p[i] - (s if d > 0.0 else 0.0) + (s if d < 0.0 else 0.0)
