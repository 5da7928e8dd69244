"""One direction of one recurrent layer over all times: Elman network, LSTM or GRU.

Rows of all times stand one after another: `sizes[t]` rows at time t, never more than at t - 1, as in a packed sequence
(N rows at each of T times without one). Row k of every time belongs to sequence k. The state holds N rows; a time
changes its first `sizes[t]`, so that a sequence that has ended keeps its last state, and backwards in time one that has
not begun keeps its first.
"""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.device import array_module
from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.conv import Sizes
from framework.ops.linalg import linear, matmul
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
    keep: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """Outputs (rows, P), last states h (N, P) and c (N, H), and what the derivative reads (rows, K * H).

    `parts` (rows, gates * H) is the input's share of the gates; `cell` is "tanh", "relu", "lstm" or "gru". `w_hr`
    (P, H) projects the LSTM's h (Sak et al. 2014); otherwise P = H. Without an LSTM c is empty. With `keep`, which a
    derivative needs, the fourth result holds the LSTM's gates and cells (K = 5) or the GRU's gates and the state's
    share of the new one (K = 4).
    """
    kind = parts.dtype
    parts, w_hh, b_hh, h0, c0, w_hr = (_wide(x) for x in (parts, w_hh, b_hh, h0, c0, w_hr))
    hidden = w_hh.shape[0] // _GATES[cell]
    h, c = h0.copy(), xp.empty((0, hidden), parts.dtype) if c0 is None else c0.copy()
    y = xp.empty((len(parts), h0.shape[1]), parts.dtype)
    kept = xp.empty((len(parts) if keep else 0, _KEPT[cell] * hidden), parts.dtype)
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
            h[:rows] = out * xp.tanh(c[:rows]) if w_hr is None else (out * xp.tanh(c[:rows])) @ w_hr.T
            pieces = [share, c[:rows]]
        elif cell == "gru":
            both = share[:, : 2 * hidden]
            both += parts[part, : 2 * hidden]
            gates(both)
            new = xp.tanh(parts[part, 2 * hidden :] + both[:, :hidden] * share[:, 2 * hidden :])
            h[:rows] = new + both[:, hidden:] * (h[:rows] - new)
            pieces = [both, new, share[:, 2 * hidden :]]
        else:
            share += parts[part]
            h[:rows] = xp.tanh(share) if cell == "tanh" else xp.maximum(share, 0)
            pieces = []
        y[part] = h[:rows]
        if keep and pieces:
            kept[part] = xp.concatenate(pieces, 1)
    return y.astype(kind, copy=False), h.astype(kind, copy=False), c.astype(kind, copy=False), kept


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
    slopes, states, dh, dc, outward = recurrent_grad(
        g[0], g[1], g[2], w_hh, h0, c0, w_hr, out0, out3, cell, sizes, reverse
    )
    grads: list[Any] = [slopes, None, None, dh, dc, None]
    if needs[1]:
        grads[1] = matmul(states.T, _before(_wide(out0), _wide(h0), sizes, reverse))
    if needs[2]:
        grads[2] = states.sum(0)
    if needs[5]:
        hidden = out3.shape[1] // 5
        raw = out3[:, 3 * hidden : 4 * hidden] * array_module(out3).tanh(out3[:, 4 * hidden :])
        grads[5] = matmul(outward.T, raw)
    return tuple(
        grad.astype(x.dtype, copy=False) if need else None for grad, x, need in zip(grads, inputs, needs, strict=True)
    )


@op(method=False)
def recurrent_grad(
    xp: Any,
    gy: Array | None,
    gh: Array | None,
    gc: Array | None,
    w_hh: Array,
    h0: Array,
    c0: Array | None,
    w_hr: Array | None,
    y: Array,
    kept: Array,
    cell: str,
    sizes: Sizes,
    reverse: bool,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Back through time: gradients by `parts`, by the states' share of the gates, by h0, c0 and the projected outputs.

    gy, gh, gc: gradients by the outputs and the last states, None for zero; `kept`: `recurrent`'s fourth result.
    """
    w_hh, h0, c0, w_hr, y = (_wide(x) for x in (w_hh, h0, c0, w_hr, y))
    gy, dh = _wide(gy), xp.zeros_like(h0) if gh is None else _wide(gh).copy()
    dc: Any = None if c0 is None else xp.zeros_like(c0) if gc is None else _wide(gc).copy()
    hidden = w_hh.shape[0] // _GATES[cell]
    # slopes: what multiplies the gradient of h (of c, for three of the LSTM's gates) to give each gate's.
    pieces = [kept[:, k * hidden : (k + 1) * hidden] for k in range(_KEPT[cell])]
    opened: Any = None
    if cell == "lstm":
        keep_in, forget, new, out, cells = pieces
        bent = xp.tanh(cells)
        carry, to_cell = forget, out * (1 - bent * bent)
        old = _before(cells, c0, sizes, reverse)
        pieces = [keep_in * (1 - keep_in) * new, forget * (1 - forget) * old, (1 - new * new) * keep_in]
        pieces.append(out * (1 - out) * bent)
    elif cell == "gru":
        opened, carry, new, share = pieces
        by_new = (1 - new * new) * (1 - carry)
        old = _before(y, h0, sizes, reverse)
        pieces = [opened * (1 - opened) * share * by_new, carry * (1 - carry) * (old - new), by_new]
    else:
        pieces = [1 - y * y if cell == "tanh" else (y > 0).astype(y.dtype)]
    slopes = xp.concatenate(pieces, 1)
    blocks = slopes.reshape(len(y), _GATES[cell], hidden)
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
    return slopes, states.reshape(len(y), -1), dh, dc, outward


_GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
_KEPT = {"tanh": 0, "relu": 0, "lstm": 5, "gru": 4}


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


def _before(states: Any, first: Any, sizes: Sizes, reverse: bool) -> Any:
    """The state that each time began with, from the states that they ended with."""
    xp, count = array_module(states), len(first)
    if sizes[-1] == count:
        return xp.concatenate([states[count:], first] if reverse else [first, states[: len(states) - count]])
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
