"""Borders around the last dimensions."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op

_MODES: dict[str, Any] = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_GROWS_FIRST = ("reflect", "replicate")  # torch cuts what negative widths cut after the copies; otherwise before
Widths = tuple[tuple[int, int], ...]


@op(method=False)
def _pad(xp: Any, input: Array, widths: Widths, mode: str, value: float) -> Array:
    """With borders put on; negative widths cut."""
    grow, cut = _signs(widths)
    options = {"constant_values": value} if mode == "constant" else {}
    if mode in _GROWS_FIRST:
        return _cut(xp.pad(input, grow, _MODES[mode]), cut)
    return xp.pad(_cut(input, cut), grow, _MODES[mode], **options)


@_pad.vjp("input")
def _(g: Any, input_shape: Any, widths: Any, mode: Any) -> Any:
    if mode == "constant":
        return _pad(g, tuple((-low, -high) for low, high in widths), "constant", 0.0)
    return _unpad(g, tuple(input_shape), widths, mode)


@op(method=False)
def _unpad(xp: Any, g: Array, shape: tuple[int, ...], widths: Widths, mode: str) -> Array:
    """The derivative of padding by copies: each border element's gradient goes to where it came from."""
    grow, cut = _signs(widths)
    if mode in _GROWS_FIRST:
        return _gather_borders(xp, xp.pad(g, cut), shape, grow, mode)
    inner = tuple(length - low - high for length, (low, high) in zip(shape, cut))
    return xp.pad(_gather_borders(xp, g, inner, grow, mode), cut)


@_unpad.vjp("g")
def _(g: Any, widths: Any, mode: Any) -> Any:
    return _pad(g, widths, mode, 0.0)


def _gather_borders(xp: Any, g: Any, shape: tuple[int, ...], grow: Any, mode: str) -> Any:
    """Sums of what was copied from each element, one dimension at a time."""
    result = g
    for axis, (low, high) in enumerate(grow):
        if not low and not high:
            continue
        source = np.pad(np.arange(shape[axis]), (low, high), _MODES[mode])
        total = xp.zeros((*result.shape[:axis], shape[axis], *result.shape[axis + 1 :]), g.dtype)
        xp.add.at(total, (slice(None),) * axis + (xp.asarray(source),), result)
        result = total
    return result


def _signs(widths: Widths) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The widths to grow by, and those to cut."""
    grow = [(max(low, 0), max(high, 0)) for low, high in widths]
    return grow, [(max(-low, 0), max(-high, 0)) for low, high in widths]


def _cut(array: Any, cut: Any) -> Any:
    return array[tuple(slice(low, length - high) for (low, high), length in zip(cut, array.shape))]


def constant_pad_nd(input: Any, pad: Any, value: float = 0.0) -> Any:
    """Borders of one value around the last dimensions; negative widths cut."""
    return _padded(input, pad, "constant", value)


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Borders of (last dimension low, high, the one before low, high, ...), filled as `mode` says.

    Modes: "constant" (with `value`, default 0), "reflect", "replicate", "circular".
    """
    return _padded(input, pad, mode, value)


def _padded(input: Any, pad: Any, mode: str, value: float | None) -> Any:
    widths = [int(width) for width in pad]
    if len(widths) % 2 or len(widths) > 2 * input.ndim:
        raise RuntimeError(
            f"Padding length must be divisible by 2 and at most twice the number of dimensions, got {len(widths)}"
        )
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}; the modes are: {', '.join(_MODES)}")
    pairs = [(0, 0)] * (input.ndim - len(widths) // 2) + [
        (widths[number], widths[number + 1]) for number in range(len(widths) - 2, -1, -2)
    ]
    if mode == "reflect":
        for (low, high), length in zip(pairs, input.shape):
            if max(low, high) >= length and (low or high):
                raise RuntimeError(
                    f"Padding size should be less than the corresponding input dimension, but got: padding ({low}, "
                    f"{high}) "
                    f"for a dimension of {length} of input {list(input.shape)}"
                )
    wide = mode == "replicate" or (mode == "reflect" and len(widths) <= 4)  # PyTorch lists these alone
    return (_pad_wide if wide else _pad)(input, tuple(pairs), mode, 0.0 if value is None else value)


@operation(autocast="cpu:float32")
def _pad_wide(input: Any, *rest: Any) -> Any:
    return _pad(input, *rest)
