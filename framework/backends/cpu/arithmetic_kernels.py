"""Sums, differences and products of large arrays in the kernel language."""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, fetch_add, minimum
from framework.backends.cpu.machine import kernel

KIND = 0  # given when compiling: 0 sum, 1 difference, 2 product


@kernel
def arrays(
    counter: Pointer[Int], jobs: Int, a: Pointer[Float], b: Pointer[Float], y: Pointer[Float], size: Int, chunk: Int,
    scratch: Int,
) -> None:  # fmt: skip
    """y = a . b, element by element; a job is `chunk` elements."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for i in range(job * chunk, minimum(size, job * chunk + chunk)):
            y[i] = a[i] + b[i] if KIND == 0 else a[i] - b[i] if KIND == 1 else a[i] * b[i]


@kernel
def rows(
    counter: Pointer[Int], jobs: Int, a: Pointer[Float], b: Pointer[Float], y: Pointer[Float], count: Int, width: Int,
    chunk: Int, scratch: Int,
) -> None:  # fmt: skip
    """y = a . b for each row of `width` of a, b being one row; a job is `chunk` rows."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for row in range(job * chunk, minimum(count, job * chunk + chunk)):
            source = a + row * width
            target = y + row * width
            for i in range(width):
                target[i] = source[i] + b[i] if KIND == 0 else source[i] - b[i] if KIND == 1 else source[i] * b[i]


@kernel
def number(
    counter: Pointer[Int], jobs: Int, a: Pointer[Float], b: Float, y: Pointer[Float], size: Int, chunk: Int,
    scratch: Int,
) -> None:  # fmt: skip
    """y = a . b with a number b; KIND 3: b - a."""
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        for i in range(job * chunk, minimum(size, job * chunk + chunk)):
            v = a[i]
            y[i] = v + b if KIND == 0 else v - b if KIND == 1 else v * b if KIND == 2 else b - v
