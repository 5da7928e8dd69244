"""Tensors that a module owns: trainable parameters and buffers, with or without a shape yet."""

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


class _Uninitialized:
    """A tensor of a lazy module, whose shape the module's first input will tell."""

    __slots__ = ()

    becomes: type[Tensor]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Turn into an ordinary parameter or buffer of this shape; its values are not set."""
        import framework

        device = self.device if device is None else device
        data = framework.empty(tuple(shape), device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.becomes  # type: ignore[assignment]
        self.data = data

    @property
    def _data(self) -> Any:
        # Every operation asks for the array.
        raise ValueError(
            "Attempted to use an uninitialized parameter. This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `framework.nn.parameter.{type(self).__name__}` objects. When using LazyModules "
            "Call `forward` with a dummy batch to initialize the parameters before calling functions on them"
        )

    @_data.setter
    def _data(self, array: Any) -> None:
        _ARRAY.__set__(self, array)

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def device(self) -> Any:
        return self.data.device

    @property
    def data(self) -> Tensor:
        return Tensor._wrap(_ARRAY.__get__(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        _ARRAY.__set__(self, value._data)

    def detach(self) -> Tensor:
        """No elements, of this type and on this device."""
        return self.data

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter without a shape yet; all that can be done is to move it, cast it, and `materialize(shape)`."""

    __slots__ = ()

    becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        return _nothing(cls, requires_grad, device, dtype)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype)
        return memo[id(self)]


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer without a shape yet; all that can be done is to move it, cast it, and `materialize(shape)`."""

    becomes = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        buffer = _nothing(cls, requires_grad, device, dtype)
        buffer.persistent = persistent
        return buffer

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedBuffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype, self.persistent)
        return memo[id(self)]


def is_lazy(param: Any) -> bool:
    """Whether `param` is an `UninitializedParameter` or `UninitializedBuffer`."""
    return isinstance(param, _Uninitialized)


_ARRAY: Any = Tensor.__dict__["_data"]  # the slot, under the property that guards it


def _nothing(cls: Any, requires_grad: bool, device: Any, dtype: Any) -> Any:
    import framework

    plain = cls.becomes._make(framework.empty(0, device=device, dtype=dtype)._data, requires_grad)
    plain.__class__ = cls
    return plain


def _subclass(cls: Any, data: Any, requires_grad: bool) -> Any:
    import framework

    if data is None:
        data = framework.empty(0)
    elif not isinstance(data, Tensor):
        data = framework.tensor(data)
    return cls._make(data.detach().numpy(), requires_grad)
