"""Tensors that a module owns: trainable parameters and buffers."""

from __future__ import annotations

from typing import Any

from framework.core.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a `Module` registers as trainable when it is assigned as an attribute.

    It shares memory with `data`, and needs a gradient unless `requires_grad=False`.
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        return _subclass(cls, data, requires_grad)

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]


class Buffer(Tensor):
    """A tensor that a `Module` registers as a buffer when it is assigned as an attribute."""

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        buffer = _subclass(cls, data, False)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), persistent=self.persistent)
        return memo[id(self)]


def _subclass(cls: Any, data: Any, requires_grad: bool) -> Any:
    import framework

    if data is None:
        data = framework.empty(0)
    elif not isinstance(data, Tensor):
        data = framework.tensor(data)
    return cls._make(data.detach().numpy(), requires_grad)
