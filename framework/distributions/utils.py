"""What distributions share: broadcasting of parameters, probabilities and their logits, values made when needed."""

from __future__ import annotations

from numbers import Number
from typing import Any, overload

import framework as vh
from framework.core.tensor import Tensor

EULER = 0.57721566490153286060


class lazy_property:  # noqa: N801
    """A property computed once, with derivatives, and then an attribute."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy_property: ...
    @overload
    def __get__(self, instance: Any, owner: Any = None) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with vh.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the type of the first tensor."""
    if not all(isinstance(value, Tensor | Number) for value in values):
        raise ValueError("Input arguments must all be instances of Number or Tensor.")
    like = next((value for value in values if isinstance(value, Tensor)), None)
    dtype = vh.get_default_dtype() if like is None or not like.is_floating_point() else like.dtype
    device = None if like is None else like.device
    tensors = [value if isinstance(value, Tensor) else vh.tensor(value, dtype=dtype, device=device) for value in values]
    return tuple(vh.broadcast_tensors(*tensors))


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1, whose logarithms are infinite."""
    eps = vh.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds (`is_binary`), or logarithms, of probabilities."""
    probs = clamp_probs(probs)
    return vh.log(probs) - vh.log1p(-probs) if is_binary else vh.log(probs)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds (`is_binary`), or of unnormalised logarithms along the last dimension."""
    return vh.sigmoid(logits) if is_binary else vh.softmax(logits, -1)


def sum_rightmost(value: Any, dims: int) -> Any:
    """The sum over the last `dims` dimensions."""
    return value.sum(tuple(range(-dims, 0))) if dims else value


def one_of(**given: Any) -> str:
    """The name of the one argument that is given; ValueError where it is none or several."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        options = " or ".join(f"`{name}`" for name in given)
        raise ValueError(f"Either {options} must be specified, but not {'both' if len(given) == 2 else 'several'}.")
    return names[0]


def uniform_open(shape: Any, like: Tensor) -> Tensor:
    """Uniform numbers in (0, 1), of a tensor's type and device."""
    tiny = vh.finfo(like.dtype).tiny
    return vh.rand(tuple(shape), dtype=like.dtype, device=like.device).clamp(min=tiny)
