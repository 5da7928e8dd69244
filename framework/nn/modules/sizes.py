"""Sizes given as one number or one per spatial dimension."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def ntuple(value: Any, n: int) -> tuple[int, ...]:
    """`value` once per spatial dimension, if it is a number or one in a sequence; otherwise a sequence of `n`."""
    if not isinstance(value, Iterable):
        return (value,) * n
    result = tuple(value)
    if len(result) == 1:
        return result * n
    if len(result) != n:
        raise ValueError(f"expected one number or {n} (one per spatial dimension), got {result}")
    return result
