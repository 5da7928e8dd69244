"""A step length along a direction that fulfils the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from framework.core.tensor import Tensor
from framework.ops.vectors import ordered_dot


def strong_wolfe(
    at: Callable[[float], tuple[float, Tensor]],
    t: float,
    loss: float,
    gradient: Tensor,
    direction: Tensor,
    slope: Any,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_evaluations: int = 25,
) -> tuple[float, Tensor, float, int]:
    """Loss, gradient, length and number of evaluations (Nocedal & Wright 2006, algorithms 3.5 and 3.6).

    `at(t)` gives loss and gradient at the length t; `t` is the first to try; `slope` = gradient . direction < 0.
    """
    start = 0.0, loss, gradient, float(slope)
    longest = float(direction.abs().max())

    def point(length: float) -> tuple[float, float, Tensor, float]:
        value, there = at(length)
        return length, value, there, float(ordered_dot(there, direction))

    def too_high(p: tuple[float, float, Tensor, float]) -> bool:
        return p[1] > loss + c1 * p[0] * start[3]

    def flat(p: tuple[float, float, Tensor, float]) -> bool:
        return abs(p[3]) <= -c2 * start[3]

    # Walk until two lengths enclose one that fulfils the conditions.
    previous, new = start, point(float(t))
    evaluations, rounds, bracket = 1, 0, None
    while rounds < max_evaluations:
        if too_high(new) or (rounds > 1 and new[1] >= previous[1]):
            bracket = [previous, new]
            break
        if flat(new):
            return new[1], new[2], new[0], evaluations
        if new[3] >= 0:
            bracket = [previous, new]
            break
        bounds = new[0] + 0.01 * (new[0] - previous[0]), new[0] * 10
        previous, new = new, point(_cubic(previous, new, bounds))
        evaluations += 1
        rounds += 1
    if bracket is None:
        bracket = [start, new]

    # Narrow the bracket.
    stuck = False
    low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    while rounds < max_evaluations and abs(bracket[1][0] - bracket[0][0]) * longest >= tolerance_change:
        t = _cubic(bracket[0], bracket[1])
        left, right = sorted((bracket[0][0], bracket[1][0]))
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # Twice near an end, or on it: go a tenth of the width inwards.
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = point(t)
        evaluations += 1
        rounds += 1
        if too_high(new) or new[1] >= bracket[low][1]:
            bracket[high] = new
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
            continue
        done = flat(new)
        if not done and new[3] * (bracket[high][0] - bracket[low][0]) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    t, value, there, _ = bracket[low]
    return value, there, t, evaluations


def _cubic(
    a: tuple[float, float, Tensor, float],
    b: tuple[float, float, Tensor, float],
    bounds: tuple[float, float] | None = None,
) -> float:
    """The minimum of the cubic through two points' losses and slopes, within `bounds` (default: between them)."""
    (x1, f1, _, g1), (x2, f2, _, g2) = (a, b) if a[0] <= b[0] else (b, a)
    least, most = bounds or (x1, x2)
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (least + most) / 2
    d2 = math.sqrt(square)
    below = g2 - g1 + 2 * d2
    if not below:
        return (least + most) / 2
    return min(max(x2 - (x2 - x1) * ((g2 + d2 - d1) / below), least), most)
