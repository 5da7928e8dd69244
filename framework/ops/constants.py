"""Tensors of one value and uninitialised tensors: by size, like another tensor, or of another tensor's type."""

import math
from typing import Any

import numpy as np

from framework.core.dtype import as_dtype, category_of_number, get_default_dtype
from framework.core.layout import MemoryFormat, blank, in_format, strided
from framework.core.tensor import Tensor, as_device
from framework.ops.creation import finish, kind_of
from framework.ops.shape import sizes


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one value; its type follows the value's."""
    if dtype is None:
        kinds = (as_dtype(bool), as_dtype(int), get_default_dtype(), get_default_dtype().to_complex())
        dtype = kinds[category_of_number(fill_value)] if not isinstance(fill_value, Tensor) else fill_value.dtype
    return _made(_shape((size,)), fill_value, out, dtype, layout, device, requires_grad)


def zeros(
    *size: Any,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return _made(_shape(size), 0, out, dtype, layout, device, requires_grad)


def ones(
    *size: Any,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones."""
    return _made(_shape(size), 1, out, dtype, layout, device, requires_grad)


def empty(
    *size: Any,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """A tensor whose values are whatever was in memory, in a memory format."""
    if memory_format is None:
        return _made(_shape(size), None, out, dtype, layout, device, requires_grad)
    return finish(in_format(np, _shape(size), kind_of(dtype), memory_format), device, requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = strided, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Like `empty`, with the given strides in elements."""
    _expect_strided(layout)
    kind = kind_of(dtype)
    shape = _shape((size,))
    if len(shape) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(stride)})"
        )
    if any(step < 0 for step in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    span = 1 + sum((length - 1) * step for length, step in zip(shape, stride)) if math.prod(shape) else 0
    steps = tuple(step * kind.itemsize for step in stride)
    return finish(np.lib.stride_tricks.as_strided(np.empty(span, kind), shape, steps), device, requires_grad)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Like `empty`, dense with the dimensions in memory in the order given, the outermost first."""
    shape, order = _shape((size,)), tuple(physical_layout)
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout, or it is no permutation: "
            f"size {list(shape)}, physical_layout {list(order)}"
        )
    array = np.empty([shape[dim] for dim in order], kind_of(dtype)).transpose(np.argsort(order))
    return finish(array, device, requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number, of the default type."""
    return full(
        (), s, dtype=get_default_dtype() if dtype is None else dtype, device=device, requires_grad=requires_grad
    )


def zeros_like(input: Tensor, **options: Any) -> Tensor:
    """Zeros of another tensor's shape, type and memory format (`dtype`, `device`, `memory_format` choose others)."""
    return _like(input, 0, **options)


def ones_like(input: Tensor, **options: Any) -> Tensor:
    """Ones of another tensor's shape, type and memory format (`dtype`, `device`, `memory_format` choose others)."""
    return _like(input, 1, **options)


def full_like(input: Tensor, fill_value: Any, **options: Any) -> Tensor:
    """One value in another tensor's shape, type and memory format (`dtype`, ... choose others)."""
    return _like(input, fill_value, **options)


def empty_like(input: Tensor, **options: Any) -> Tensor:
    """Uninitialised memory of another tensor's shape, type and memory format (`dtype`, ... choose others)."""
    return _like(input, None, **options)


def new_zeros(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Zeros of this tensor's type on its device."""
    return zeros(*_named_size(size, options), **_own(self, options))


def new_ones(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Ones of this tensor's type on its device."""
    return ones(*_named_size(size, options), **_own(self, options))


def new_empty(self: Tensor, *size: Any, **options: Any) -> Tensor:
    """Uninitialised memory of this tensor's type on its device."""
    return empty(*_named_size(size, options), **_own(self, options))


def new_full(self: Tensor, size: Any, fill_value: Any, **options: Any) -> Tensor:
    """One value, of this tensor's type on its device."""
    return full(size, fill_value, **_own(self, options))


def new_empty_strided(self: Tensor, size: Any, stride: Any, **options: Any) -> Tensor:
    """Uninitialised memory with the given strides in elements, of this tensor's type on its device."""
    return empty_strided(size, stride, **_own(self, options))


def _made(
    shape: tuple[int, ...], value: Any, out: Tensor | None, dtype: Any, layout: Any, device: Any, requires_grad: bool
) -> Tensor:
    _expect_strided(layout)
    if out is not None:
        if dtype is not None and as_dtype(dtype) is not out.dtype:
            raise RuntimeError(f"dtype {as_dtype(dtype)} does not match dtype of out parameter {out.dtype}")
        dtype = out.dtype
    array = np.empty(shape, kind_of(dtype)) if value is None else np.zeros(shape, kind_of(dtype))
    if value is not None and not (isinstance(value, int) and value == 0):  # minus zero is no zero
        array[...] = value._data if isinstance(value, Tensor) else value
    if out is None:
        return finish(array, device, requires_grad)
    out._data = array
    out._shared().version += 1
    return out


def _like(
    input: Tensor,
    value: Any,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"argument 'input' must be Tensor, not {type(input).__name__}")
    _expect_strided(layout)
    kind = input._data.dtype if dtype is None else as_dtype(dtype).numpy_dtype
    if device is not None and as_device(device) != input.device:
        source = np.empty(input.shape, kind)
    else:
        device, source = None, input._data
    xp = np if type(source) is np.ndarray else _module(source)
    array = blank(xp, source, memory_format, kind)
    if value is not None:
        array[...] = value._data if isinstance(value, Tensor) else value
    return finish(array, device, requires_grad)


def _module(array: Any) -> Any:
    from framework.core.device import array_module

    return array_module(array)


def _own(self: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    own = {"dtype": self.dtype} | ({"device": self.device} if self.is_cuda else {})
    return own | {name: value for name, value in options.items() if value is not None}


def _named_size(size: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    return (options.pop("size"),) if "size" in options else size


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    shape = sizes(size)
    for length in shape:
        if length < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {length}: {list(shape)}")
    return shape


def _expect_strided(layout: Any) -> None:
    if layout is not None and layout is not strided:
        raise RuntimeError(f"layout {layout} is not there: tensors are strided")
