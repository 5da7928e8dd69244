"""Sums and products of long vectors as quasi-Newton methods need them, in an order that is always the same."""

from typing import Any

from framework.core.op import Array, op


@op(method=False)
def scaled_sum(xp: Any, y: Array, x: Array, alpha: float) -> Any:
    """y + alpha x of two vectors; the CPU's kernel rounds once, as a fused multiply-add does."""
    return y + x * x.dtype.type(alpha)


@op(method=False)
def ordered_dot(xp: Any, x: Array, y: Array) -> Any:
    """The inner product of two real vectors; the CPU's kernel sums in an order of its own, the same on any machine."""
    return xp.asarray(xp.dot(x, y))
