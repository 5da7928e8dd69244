"""Sequences longer than a network takes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import framework
from framework.core.tensor import Tensor


def tiled(network: Callable[[Tensor], Any], x: Tensor, tile: int, context: int, divisor: int = 1) -> Tensor:
    """What `network` gives for each position of x (N, C, L), computed in tiles: (N, out, L // divisor).

    Each tile of `tile` positions comes with `context` more on either side, as far as the sequence goes; with all the
    context that the network sees, the answer is the one for the whole. `divisor` is the positions to one of the
    output; tile and context are multiples of it.
    """
    if tile < 1 or context < 0 or tile % divisor or context % divisor:
        raise ValueError(f"tile {tile} and context {context} must be multiples of {divisor}, and tile positive")
    length, parts = x.shape[-1], []
    for start in range(0, length, tile):
        low, high = max(0, start - context), min(length, start + tile + context)
        result = network(x[..., low:high])
        first = (start - low) // divisor
        parts.append(result[..., first : first + (min(length, start + tile) - start) // divisor])
    return framework.cat(parts, -1)
