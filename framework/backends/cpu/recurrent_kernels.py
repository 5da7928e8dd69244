"""Recurrent layers in the kernel language: a job takes its rows through all times, so that no thread waits for another.

A row is one sequence of the batch. At each time the product with the states goes through the tile kernel over packed
weights, then one pass makes the gates. `spans` has a row (first row of the time, its number of rows) for each time in
the order of computation; row k of a time is sequence k. CELL: 0 tanh, 1 ReLU, 2 LSTM, 3 GRU.
"""

from __future__ import annotations

from framework.backends.cpu.activation_kernels import sigmoid
from framework.backends.cpu.lang import (
    Float,
    Int,
    Pointer,
    Vector,
    address,
    fetch_add,
    fma,
    load,
    maximum,
    minimum,
    pointer,
    splat,
    store,
    where,
)
from framework.backends.cpu.machine import kernel, subroutine
from framework.backends.cpu.math_kernels import exp, load_part, store_part
from framework.backends.cpu.tile import column_of_tiles

LANES = SIZE = VECTORS = CELL = PROJECTED = KEEP = 1  # given when compiling


@kernel
def forward(
    counter: Pointer[Int], jobs: Int, parts: Pointer[Float], weights: Int, bias: Pointer[Float], projection: Int,
    h: Pointer[Float], c: Pointer[Float], y: Pointer[Float], kept: Pointer[Float], spans: Pointer[Int], times: Int,
    chunk: Int, hidden: Int, width: Int, scratch: Int,
) -> None:  # fmt: skip
    """States h (N, width) and c (N, hidden) through all times, in place; y gets every h, `kept` what backward reads.

    parts (rows, gates * hidden); weights: panels of (width, gates * hidden), `bias` padded to them; projection: panels
    of (hidden, width). A job is `chunk` sequences.
    """
    gates = (1 if CELL < 2 else (4 if CELL == 2 else 3)) * hidden
    share = pointer(Float, scratch + 64)
    inner = share + chunk * gates
    zeros = bias + gates + VECTORS * LANES
    for_each = (5 if CELL == 2 else 4) * hidden
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job * chunk
        for time in range(times):
            start = spans[time * 2]
            rows = minimum(spans[time * 2 + 1] - first, chunk)
            if rows > 0:
                product(h + first * width, width, weights, bias, share, rows, gates, scratch)
                for row in range(rows):
                    given = parts + (start + first + row) * gates
                    state = h + (first + row) * width
                    out = y + (start + first + row) * width
                    memory = kept + (start + first + row) * for_each if KEEP else share + row * gates
                    cell = c + (first + row) * hidden
                    j = 0
                    while j < hidden:
                        n = minimum(hidden - j, LANES)
                        if CELL == 2:
                            lstm(given + j, share + row * gates + j, cell + j, memory + j,
                                 inner + row * hidden + j if PROJECTED else state + j, hidden, n)  # fmt: skip
                        elif CELL == 3:
                            gru(given + j, share + row * gates + j, state + j, memory + j, hidden, n)
                        else:
                            put(state + j, bend(take(given + j, n) + take(share + row * gates + j, n)), n)
                        j += LANES
                    if not PROJECTED:
                        copy(state, out, width)
                if PROJECTED:
                    product(inner, hidden, projection, zeros, h + first * width, rows, width, scratch)
                    copy(h + first * width, y + (start + first) * width, rows * width)


@kernel
def backward(
    counter: Pointer[Int], jobs: Int, gy: Pointer[Float], y: Pointer[Float], h0: Pointer[Float], c0: Pointer[Float],
    kept: Pointer[Float], weights: Int, projection: Int, zeros: Pointer[Float], dh: Pointer[Float], dc: Pointer[Float],
    slopes: Pointer[Float], states: Pointer[Float], outward: Pointer[Float], spans: Pointer[Int], times: Int,
    chunk: Int, hidden: Int, width: Int, scratch: Int,
) -> None:  # fmt: skip
    """Gradients back through all times: dh (N, width) and dc (N, hidden) in place, `slopes` by the gates of all times.

    weights: panels of (gates * hidden, width); projection: panels of (width, hidden). `states` is by the states' share
    of the GRU's gates, `outward` (rows, width) by the projected outputs.
    """
    gates = (1 if CELL < 2 else (4 if CELL == 2 else 3)) * hidden
    inner = pointer(Float, scratch + 64)
    for_each = (5 if CELL == 2 else 4) * hidden
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        first = job * chunk
        for back in range(times):
            time = times - 1 - back
            start = spans[time * 2]
            rows = minimum(spans[time * 2 + 1] - first, chunk)
            earlier = spans[maximum(time - 1, 0) * 2]
            known = spans[maximum(time - 1, 0) * 2 + 1] if time > 0 else 0
            if rows > 0:
                add(dh + first * width, gy + (start + first) * width, rows * width)
                if PROJECTED:
                    copy(dh + first * width, outward + (start + first) * width, rows * width)
                    product(dh + first * width, width, projection, zeros, inner, rows, hidden, scratch)
                for row in range(rows):
                    number = first + row
                    at = start + number
                    d = inner + row * hidden if PROJECTED else dh + number * width
                    to = slopes + at * gates
                    memory = kept + at * for_each
                    j = 0
                    while j < hidden:
                        n = minimum(hidden - j, LANES)
                        if CELL == 2:
                            cell = c0 + number * hidden
                            if number < known:
                                cell = kept + (earlier + number) * for_each + 4 * hidden
                            lstm_back(d + j, memory + j, cell + j, dc + number * hidden + j, to + j, hidden, n)
                        elif CELL == 3:
                            state = h0 + number * width
                            if number < known:
                                state = y + (earlier + number) * width
                            gru_back(d + j, memory + j, state + j, to + j, states + at * gates + j, hidden, n)
                        else:
                            value = take(y + at * width + j, n)
                            slope = where(value > 0.0, 1.0, splat(0.0)) if CELL == 1 else 1.0 - value * value
                            put(to + j, take(d + j, n) * slope, n)
                        j += LANES
                source = states if CELL == 3 else slopes
                multiply(
                    source + (start + first) * gates, gates, weights, zeros, dh + first * width, rows, width,
                    1 if CELL == 3 else 0, scratch,
                )  # fmt: skip


@kernel
def product(
    a: Pointer[Float], inner: Int, panels: Int, bias: Pointer[Float], to: Pointer[Float], rows: Int, columns: Int,
    scratch: Int,
) -> None:  # fmt: skip
    """to (rows, columns) = a (rows, inner) @ panels + bias."""
    multiply(a, inner, panels, bias, to, rows, columns, 0, scratch)


@subroutine
def multiply(
    a: Pointer[Float], inner: Int, panels: Int, bias: Pointer[Float], to: Pointer[Float], rows: Int, columns: Int,
    accumulate: Int, scratch: Int,
) -> None:  # fmt: skip
    """to = a @ panels, to which `bias` or (accumulate) what stands there is added."""
    table = pointer(Int, scratch)
    table[1] = address(a)
    column = 0
    while column < columns:
        table[0] = column * inner * SIZE
        column_of_tiles(
            table, 1, inner, rows, inner * SIZE, SIZE, panels, VECTORS * LANES * SIZE, address(to), column * SIZE,
            columns * SIZE, columns - column, accumulate, bias + column,
        )  # fmt: skip
        column += VECTORS * LANES


@kernel
def lstm(
    given: Pointer[Float], share: Pointer[Float], cell: Pointer[Float], kept: Pointer[Float], out: Pointer[Float],
    hidden: Int, n: Int,
) -> None:  # fmt: skip
    """c = forget c + keep_in new; out = out_gate tanh(c)."""
    keep_in = sigmoid(take(given, n) + take(share, n))
    forget = sigmoid(take(given + hidden, n) + take(share + hidden, n))
    new = tanh(take(given + 2 * hidden, n) + take(share + 2 * hidden, n))
    gate = sigmoid(take(given + 3 * hidden, n) + take(share + 3 * hidden, n))
    c = fma(forget, take(cell, n), keep_in * new)
    put(cell, c, n)
    put(out, gate * tanh(c), n)
    if KEEP:
        put(kept, keep_in, n)
        put(kept + hidden, forget, n)
        put(kept + 2 * hidden, new, n)
        put(kept + 3 * hidden, gate, n)
        put(kept + 4 * hidden, c, n)


@kernel
def lstm_back(
    dh: Pointer[Float], kept: Pointer[Float], before: Pointer[Float], dc: Pointer[Float], to: Pointer[Float],
    hidden: Int, n: Int,
) -> None:  # fmt: skip
    """Gradients by the four gates, and by the cell before, from those by h and by the cell after."""
    keep_in = take(kept, n)
    forget = take(kept + hidden, n)
    new = take(kept + 2 * hidden, n)
    gate = take(kept + 3 * hidden, n)
    bent = tanh(take(kept + 4 * hidden, n))
    d = take(dh, n)
    all_c = fma(d * gate, 1.0 - bent * bent, take(dc, n))
    put(to, all_c * new * keep_in * (1.0 - keep_in), n)
    put(to + hidden, all_c * take(before, n) * forget * (1.0 - forget), n)
    put(to + 2 * hidden, all_c * keep_in * (1.0 - new * new), n)
    put(to + 3 * hidden, d * bent * gate * (1.0 - gate), n)
    put(dc, all_c * forget, n)


@kernel
def gru(
    given: Pointer[Float], share: Pointer[Float], state: Pointer[Float], kept: Pointer[Float], hidden: Int, n: Int
) -> None:
    """h = new + update (h - new); the reset gate multiplies the states' share of `new`."""
    reset = sigmoid(take(given, n) + take(share, n))
    update = sigmoid(take(given + hidden, n) + take(share + hidden, n))
    part = take(share + 2 * hidden, n)
    new = tanh(fma(reset, part, take(given + 2 * hidden, n)))
    put(state, fma(update, take(state, n) - new, new), n)
    if KEEP:
        put(kept, reset, n)
        put(kept + hidden, update, n)
        put(kept + 2 * hidden, new, n)
        put(kept + 3 * hidden, part, n)


@kernel
def gru_back(
    dh: Pointer[Float], kept: Pointer[Float], before: Pointer[Float], to: Pointer[Float], states: Pointer[Float],
    hidden: Int, n: Int,
) -> None:  # fmt: skip
    """Gradients by the input's and the states' share of the gates; dh keeps what passes by them."""
    reset = take(kept, n)
    update = take(kept + hidden, n)
    new = take(kept + 2 * hidden, n)
    d = take(dh, n)
    by_new = d * (1.0 - update) * (1.0 - new * new)
    by_update = d * (take(before, n) - new) * update * (1.0 - update)
    by_reset = by_new * take(kept + 3 * hidden, n) * reset * (1.0 - reset)
    put(to, by_reset, n)
    put(to + hidden, by_update, n)
    put(to + 2 * hidden, by_new, n)
    put(states, by_reset, n)
    put(states + hidden, by_update, n)
    put(states + 2 * hidden, by_new * reset, n)
    put(dh, d * update, n)


@kernel
def bend(x: Vector) -> Vector:
    """The Elman network's nonlinearity; NaN stays NaN."""
    if CELL == 1:
        return where(x < 0.0, 0.0, x)
    else:
        return tanh(x)


@kernel
def tanh(x: Vector) -> Vector:
    """By the exponential of -2|x|, and near zero by a polynomial or a quotient of two (Moshier's Cephes)."""
    size = maximum(x, 0.0 - x)
    e = exp(size * -2.0)
    far = (1.0 - e) / (1.0 + e)
    z = x * x
    if SIZE == 4:
        s = fma(z, splat(-5.70498872745e-3), splat(2.06390887954e-2))
        s = fma(s, z, splat(-5.37397155531e-2))
        s = fma(s, z, splat(1.33314422036e-1))
        s = fma(s, z, splat(-3.33332819422e-1))
    else:
        s = fma(z, splat(-9.64399179425052238628e-1), splat(-9.92877231001918586564e1))
        s = fma(s, z, splat(-1.61468768441708447952e3))
        q = fma(z, splat(1.0), splat(1.12811678491632931402e2))
        q = fma(q, z, splat(2.23548839060100448583e3))
        q = fma(q, z, splat(4.84406305325125486048e3))
        s = s / q
    return where(size < 0.625, fma(s * z, x, x), where(x < 0.0, 0.0 - far, far))


@kernel
def take(p: Pointer[Float], n: Int) -> Vector:
    """A vector of which `n` lanes are in memory."""
    if n == LANES:
        return load(p)
    return load_part(p, n, 0.0)


@kernel
def put(p: Pointer[Float], v: Vector, n: Int) -> None:
    """`n` lanes of a vector to memory."""
    if n == LANES:
        store(p, v)
    else:
        store_part(p, v, n)


@kernel
def copy(source: Pointer[Float], to: Pointer[Float], size: Int) -> None:
    """to = source."""
    for i in range(size):
        to[i] = source[i]


@kernel
def add(to: Pointer[Float], source: Pointer[Float], size: Int) -> None:
    """to += source."""
    for i in range(size):
        to[i] = to[i] + source[i]
