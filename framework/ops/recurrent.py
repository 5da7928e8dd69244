"""One direction of one recurrent layer over all times: Elman network, LSTM or GRU.

Rows of all times stand one after another: `sizes[t]` rows at time t, never more than at t - 1, as in a packed sequence
(N rows at each of T times without one). Row k of every time belongs to sequence k. The state holds N rows; a time
changes its first `sizes[t]`, so that a sequence that has ended keeps its last state, and backwards in time one that has
not begun keeps its first.
"""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.conv import Sizes
from framework.ops.linalg import linear
from framework.ops.shape import cat, chunk, narrow


@op(method=False, kind="promote", autocast="cuda:lower")
def recurrent(
    xp: Any,
    parts: Array,
    w_hh: Array,
    b_hh: Array | None,
    h0: Array,
    c0: Array | None,
    w_hr: Array | None,
    cell: str,
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, Array, Array, Array]:
    """Outputs (rows, P), last states h (N, P) and c (N, H), and the LSTM's cells of all times (rows, H).

    `parts` (rows, gates * H) is the input's share of the gates; `cell` is "tanh", "relu", "lstm" or "gru". `w_hr`
    (P, H) projects the LSTM's h (Sak et al. 2014); otherwise P = H. Without an LSTM c and the cells are empty.
    """
    kind = parts.dtype
    parts, w_hh, b_hh, h0, c0, w_hr = (_wide(x) for x in (parts, w_hh, b_hh, h0, c0, w_hr))
    hidden = w_hh.shape[0] // _GATES[cell]
    h, c = h0.copy(), xp.empty((0, hidden), parts.dtype) if c0 is None else c0.copy()
    y = xp.empty((len(parts), h0.shape[1]), parts.dtype)
    cells = xp.empty((len(parts) if cell == "lstm" else 0, hidden), parts.dtype)
    into, gates = w_hh.T, _gates(xp, cell, hidden, parts.dtype)
    for part in _stretches(sizes, reverse):
        rows = part.stop - part.start
        share = h[:rows] @ into
        if b_hh is not None:
            share += b_hh
        if cell == "lstm":
            share += parts[part]
            gates(share)
            keep_in, forget, new, out = (share[:, k * hidden : (k + 1) * hidden] for k in range(4))
            c[:rows] = forget * c[:rows] + keep_in * new
            cells[part] = c[:rows]
            h[:rows] = out * xp.tanh(c[:rows]) if w_hr is None else (out * xp.tanh(c[:rows])) @ w_hr.T
        elif cell == "gru":
            both = share[:, : 2 * hidden]
            both += parts[part, : 2 * hidden]
            gates(both)
            new = xp.tanh(parts[part, 2 * hidden :] + both[:, :hidden] * share[:, 2 * hidden :])
            h[:rows] = new + both[:, hidden:] * (h[:rows] - new)
        else:
            share += parts[part]
            h[:rows] = xp.tanh(share) if cell == "tanh" else xp.maximum(share, 0)
        y[part] = h[:rows]
    return y.astype(kind, copy=False), h.astype(kind, copy=False), c.astype(kind, copy=False), cells


@recurrent.vjp()
def _(
    g: Any,
    parts: Any,
    w_hh: Any,
    b_hh: Any,
    h0: Any,
    c0: Any,
    w_hr: Any,
    out0: Any,
    out3: Any,
    needs: Any,
    cell: Any,
    sizes: Any,
    reverse: Any,
) -> Any:
    inputs = (parts, w_hh, b_hh, h0, c0, w_hr)
    if hasattr(parts, "_data"):
        return _composite_gradient(g, inputs, needs, cell, sizes, reverse)
    grads = _backward(g, inputs, out0, out3, cell, sizes, reverse)
    return tuple(
        grad.astype(x.dtype, copy=False) if need else None for grad, x, need in zip(grads, inputs, needs, strict=True)
    )


_GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def _backward(g: Any, inputs: Any, y: Any, cells: Any, cell: str, sizes: Sizes, reverse: bool) -> tuple[Any, ...]:
    """Back through time. What does not depend on the gradient is computed for all times at once before."""
    from framework.core.device import array_module

    xp = array_module(y)
    parts, w_hh, b_hh, h0, c0, w_hr, y = (_wide(x) for x in (*inputs, y))
    gy, dh = _wide(g[0]), _wide(g[1])
    dc: Any = _wide(g[2])
    dh = xp.zeros_like(h0) if dh is None else dh.copy()
    before = _before(xp, y, h0, sizes, reverse)
    share = before @ w_hh.T if b_hh is None else before @ w_hh.T + b_hh
    hidden = w_hh.shape[0] // _GATES[cell]
    gates = _gates(xp, cell, hidden, parts.dtype)
    # slopes: what multiplies the gradient of h (of c, for three of the LSTM's gates) to give each gate's.
    slopes: Any = parts + share
    carry: Any = None
    raw: Any = None
    if cell == "lstm":
        dc = xp.zeros_like(c0) if dc is None else dc.copy()
        gates(slopes)
        keep_in, forget, new, out = (slopes[:, k * hidden : (k + 1) * hidden] for k in range(4))
        bent = xp.tanh(cells)
        carry, to_cell, raw = forget.copy(), out * (1 - bent * bent), out * bent
        entering, kept = keep_in.copy(), new.copy()
        keep_in *= (1 - keep_in) * kept
        forget *= (1 - forget) * _before(xp, cells, c0, sizes, reverse)
        new *= -new
        new += 1
        new *= entering
        out *= (1 - out) * bent
    elif cell == "gru":
        both, new = slopes[:, : 2 * hidden], slopes[:, 2 * hidden :]
        gates(both)
        reset, update = both[:, :hidden], both[:, hidden:]
        new[...] = xp.tanh(parts[:, 2 * hidden :] + reset * share[:, 2 * hidden :])
        carry, opened = update.copy(), reset.copy()
        update *= (1 - update) * (before - new)
        new *= -new
        new += 1
        new *= 1 - carry
        reset *= (1 - reset) * share[:, 2 * hidden :] * new
    else:
        slopes = 1 - y * y if cell == "tanh" else (y > 0).astype(y.dtype)
    blocks = slopes.reshape(len(parts), _GATES[cell], hidden)
    states = blocks.copy() if cell == "gru" else blocks  # the GRU's new gate meets the state behind the reset gate
    outward = xp.empty_like(y) if w_hr is not None else None
    if cell == "gru":
        states[:, 2] *= opened
    for part in reversed(_stretches(sizes, reverse)):
        rows = part.stop - part.start
        d = dh[:rows] if gy is None else dh[:rows] + gy[part]
        if outward is not None:
            outward[part] = d
            d = d @ w_hr
        if cell == "lstm":
            dc[:rows] += d * to_cell[part]
            blocks[part, :3] *= dc[:rows, None]
            blocks[part, 3] *= d
            dc[:rows] *= carry[part]
            dh[:rows] = slopes[part] @ w_hh
        elif cell == "gru":
            blocks[part] *= d[:, None]
            states[part] *= d[:, None]
            dh[:rows] = d * carry[part] + states[part].reshape(rows, -1) @ w_hh
        else:
            slopes[part] *= d
            dh[:rows] = slopes[part] @ w_hh
    into = states.reshape(len(parts), -1)
    projection = None if outward is None else outward.T @ raw
    return slopes, into.T @ before, into.sum(0), dh, dc, projection


def _gates(xp: Any, cell: str, hidden: int, kind: Any) -> Any:
    """A function that puts sigmoids (tanh for the LSTM's third block) in the place of a stretch of gates."""
    halves = {"lstm": (0.5, 0.5, 1.0, 0.5), "gru": (0.5, 0.5)}.get(cell, ())
    scale = xp.asarray(np.repeat(np.array(halves, kind), hidden))
    shift = (1 - scale).astype(kind)

    def apply(x: Any) -> None:  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2
        x *= scale
        xp.tanh(x, out=x)
        x *= scale
        x += shift

    return apply


def _stretches(sizes: Sizes, reverse: bool) -> list[slice]:
    """The rows of each time, in the order of computation."""
    ends = np.cumsum(sizes).tolist()
    stretches = [slice(end - size, end) for end, size in zip(ends, sizes)]
    return stretches[::-1] if reverse else stretches


def _before(xp: Any, states: Any, first: Any, sizes: Sizes, reverse: bool) -> Any:
    """The state that each time began with, from the states that they ended with."""
    before, now = xp.empty_like(states), first.copy()
    for part in _stretches(sizes, reverse):
        rows = part.stop - part.start
        before[part] = now[:rows]
        now[:rows] = states[part]
    return before


@operation(autocast="lower")
def recurrent_lower(*arguments: Any) -> Any:
    """`recurrent` whose state too has autocast's type: PyTorch's LSTM and Elman layers, but not its GRU on CPU."""
    return recurrent(*arguments)


def _wide(array: Any) -> Any:
    """Half-precision types in float32, others as they are."""
    return array if array is None or array.dtype.itemsize > 2 else array.astype(np.float32)


def _composite_gradient(g: Any, inputs: Any, needs: Any, cell: str, sizes: Sizes, reverse: bool) -> tuple[Any, ...]:
    """For derivatives of derivatives: the gradients of the same function written in recorded operations."""
    from framework.autograd import grad

    results = _composite(inputs, cell, sizes, reverse)
    outputs = [(out, weight) for out, weight in zip(results, g) if out is not None and weight is not None]
    wanted = {id(x): x for x, need in zip(inputs, needs) if need}
    found = grad(
        [out for out, _ in outputs],
        list(wanted.values()),
        [weight for _, weight in outputs],
        create_graph=True,
        allow_unused=True,
    )
    by_id = dict(zip(wanted, found))
    return tuple(by_id[id(x)] if need else None for x, need in zip(inputs, needs))


def _composite(inputs: Any, cell: str, sizes: Sizes, reverse: bool) -> tuple[Any, Any, Any]:
    parts, w_hh, b_hh, h0, c0, w_hr = inputs
    h, c, outputs = h0, c0, []
    for part in _stretches(sizes, reverse):
        rows = part.stop - part.start
        old = narrow(h, 0, 0, rows)
        share, given = linear(old, w_hh, b_hh), narrow(parts, 0, part.start, rows)
        if cell == "lstm":
            keep_in, forget, new, out = chunk(e.add(given, share), 4, 1)
            cell_old = narrow(c, 0, 0, rows)
            cell_new = e.add(e.mul(e.sigmoid(forget), cell_old), e.mul(e.sigmoid(keep_in), e.tanh(new)))
            c = _replaced(c, cell_new)
            now = e.mul(e.sigmoid(out), e.tanh(cell_new))
            now = now if w_hr is None else linear(now, w_hr)
        elif cell == "gru":
            (reset_x, update_x, new_x), (reset_h, update_h, new_h) = chunk(given, 3, 1), chunk(share, 3, 1)
            new = e.tanh(e.add(new_x, e.mul(e.sigmoid(e.add(reset_x, reset_h)), new_h)))
            now = e.add(new, e.mul(e.sigmoid(e.add(update_x, update_h)), e.sub(old, new)))
        else:
            now = (e.tanh if cell == "tanh" else e.relu)(e.add(given, share))
        h = _replaced(h, now)
        outputs.append(now)
    return cat(outputs[::-1] if reverse else outputs), h, c


def _replaced(state: Any, first_rows: Any) -> Any:
    rows, count = first_rows.shape[0], state.shape[0]
    return first_rows if rows == count else cat([first_rows, narrow(state, 0, rows, count - rows)])
