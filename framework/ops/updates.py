"""Steps of optimizers that change each element by its own gradient and history: the plain forms, in place.

A backend replaces `foreach_update` by kernels that pass over all parameters once. A rule is a function of the
parameter, the gradient, the states, and numbers in the parameter's type; its choices are what a kernel is compiled for.
"""

from collections.abc import Callable
from typing import Any

from framework.core.op import Arrays, op


@op(method=False)
def foreach_update(
    xp: Any, params: Arrays, grads: Arrays, kept: Arrays, rule: str, choices: Any, decay: float, shrink: float,
    numbers: Any,
) -> Any:  # fmt: skip
    """One step by `rule`: `kept` holds the first state of every parameter, then the second of every one, and so on.

    The gradient gets decay * parameter where `choices` has "DECAYED"; then the parameter is multiplied by `shrink`
    where they have "SHRUNK". `numbers` are the rule's own.
    """
    count = len(params)
    for i, (param, grad) in enumerate(zip(params, grads)):
        kind = param.dtype.type
        if "DECAYED" in choices:
            grad = grad + param * kind(decay)
        if "SHRUNK" in choices:
            param *= kind(shrink)
        RULES[rule](xp, param, grad, kept[i::count], choices, *map(kind, numbers))
    return ()


def adagrad(xp: Any, p: Any, g: Any, kept: Any, choices: Any, rate: Any, eps: Any) -> None:
    """Duchi et al. 2011."""
    (total,) = kept
    total += g * g
    p -= rate * g / (xp.sqrt(total) + eps)


def adadelta(xp: Any, p: Any, g: Any, kept: Any, choices: Any, lr: Any, rho: Any, rest: Any, eps: Any) -> None:
    """Zeiler 2012; rest = 1 - rho."""
    square, moved = kept
    _mix_square(square, g, rho, rest)
    delta = xp.sqrt(moved + eps) / xp.sqrt(square + eps) * g
    _mix_square(moved, delta, rho, rest)
    p -= delta * lr


def rmsprop(
    xp: Any, p: Any, g: Any, kept: Any, choices: Any, lr: Any, alpha: Any, rest: Any, eps: Any, momentum: Any
) -> None:
    """Tieleman & Hinton 2012; rest = 1 - alpha. States: mean square, with MOMENTUM a buffer, with CENTERED the mean."""
    square = kept[0]
    _mix_square(square, g, alpha, rest)
    if "CENTERED" in choices:
        mean = kept[-1]
        mean += (g - mean) * rest
        square = square - mean * mean
    step = g / (xp.sqrt(square) + eps)
    if "MOMENTUM" in choices:
        kept[1][...] = kept[1] * momentum + step
        step = kept[1]
    p -= step * lr


def adamax(xp: Any, p: Any, g: Any, kept: Any, choices: Any, rate: Any, first: Any, beta2: Any, eps: Any) -> None:
    """Kingma & Ba 2015, section 7.1; first = 1 - beta1."""
    mean, largest = kept
    mean += (g - mean) * first
    largest[...] = xp.maximum(largest * beta2, abs(g) + eps)
    p -= rate * mean / largest


def nadam(
    xp: Any, p: Any, g: Any, kept: Any, choices: Any, of_gradient: Any, of_mean: Any, correction: Any, first: Any,
    beta2: Any, rest: Any, eps: Any,
) -> None:  # fmt: skip
    """Dozat 2016; first = 1 - beta1, rest = 1 - beta2, correction = 1 - beta2^step."""
    mean, square = kept
    mean += (g - mean) * first
    _mix_square(square, g, beta2, rest)
    below = xp.sqrt(square / correction) + eps
    p -= of_gradient * g / below
    p -= of_mean * mean / below


def radam(
    xp: Any, p: Any, g: Any, kept: Any, choices: Any, size: Any, rectified: Any, first: Any, beta2: Any, rest: Any,
    eps: Any,
) -> None:  # fmt: skip
    """Liu et al. 2020; momentum alone without RECTIFIED."""
    mean, square = kept
    mean += (g - mean) * first
    _mix_square(square, g, beta2, rest)
    step = mean * size
    if "RECTIFIED" in choices:
        step = step * (rectified / (xp.sqrt(square) + eps))
    p -= step


def asgd(xp: Any, p: Any, g: Any, kept: Any, choices: Any, eta: Any, mu: Any) -> None:
    """Polyak & Juditsky 1992; mu is the weight of p in the mean, COPIED where it is 1."""
    (ax,) = kept
    p -= g * eta
    if "COPIED" in choices:
        ax[...] = p
    else:
        ax += (p - ax) * mu


def rprop(
    xp: Any, p: Any, g: Any, kept: Any, choices: Any, shrink: Any, grow: Any, least: Any, most: Any
) -> None:  # fmt: skip
    """Riedmiller & Braun 1993."""
    previous, size = kept
    agreement = g * previous
    size *= xp.where(agreement > 0, grow, xp.where(agreement < 0, shrink, p.dtype.type(1)))
    size[...] = xp.clip(size, least, most)
    g = xp.where(agreement < 0, p.dtype.type(0), g)
    p -= xp.sign(g) * size
    previous[...] = g


RULES: dict[str, Callable[..., None]] = {
    rule.__name__: rule for rule in (adagrad, adadelta, rmsprop, adamax, nadam, radam, asgd, rprop)
}


def _mix_square(average: Any, value: Any, beta: Any, rest: Any) -> None:
    """average = beta average + rest value^2, in place."""
    average *= beta
    average += value * value * rest
