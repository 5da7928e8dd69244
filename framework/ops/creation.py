"""Tensors from data, from NumPy, and of constants."""

import math
from typing import Any

import numpy as np

from framework.core.device import move
from framework.core.dtype import as_dtype, category_of_number, dtype_of, get_default_dtype
from framework.core.tensor import Tensor, as_device
from framework.ops.shape import sizes


def finish(array: Any, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf on an array, moved to a device."""
    if device is not None:
        array = move(array, as_device(device))
    return Tensor._make(array, requires_grad)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A copy of numbers, nested sequences, an array or a tensor, with its type inferred as torch does."""
    if isinstance(data, Tensor):
        array = data._data.copy(order="K")
    else:
        array = _from_values(data)
    if dtype is not None:
        array = array.astype(as_dtype(dtype).numpy_dtype, copy=False)
    return finish(array, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, sharing memory where it can."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray):
        return from_numpy(data).to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """The object as a tensor; `copy` forces or forbids a copy."""
    result = tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)
    return result.requires_grad_() if requires_grad else result


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the same memory as a NumPy array, which may be read-only or have any strides."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtype_of(array.dtype)
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders "
            "is currently not supported."
        )
    return Tensor._make(array.view(np.ndarray) if type(array) is not np.ndarray else array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of any DLPack producer on the CPU, or on a GPU through CuPy."""
    device_type = int(source.__dlpack_device__()[0])
    if device_type in (1, 3):
        return Tensor._make(np.from_dlpack(source))
    import cupy

    return Tensor._make(cupy.from_dlpack(source))


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value; its type follows the value's."""
    if dtype is None:
        kind = (as_dtype(bool), as_dtype(int), get_default_dtype(), get_default_dtype().to_complex())
        dtype = kind[category_of_number(fill_value)] if not isinstance(fill_value, Tensor) else fill_value.dtype
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return finish(np.full(sizes((size,)), value, as_dtype(dtype).numpy_dtype), device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None) -> Tensor:
    """A tensor of zeros."""
    return finish(np.zeros(sizes(size), _kind(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return finish(np.ones(sizes(size), _kind(dtype)), device, requires_grad)


def empty(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, memory_format: Any = None
) -> Tensor:
    """A tensor whose values are whatever was in memory."""
    return finish(np.empty(sizes(size), _kind(dtype)), device, requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Like `empty`, with the given strides in elements."""
    kind = _kind(dtype)
    shape = sizes((size,))
    span = 1 + sum((length - 1) * step for length, step in zip(shape, stride)) if math.prod(shape) else 0
    steps = tuple(step * kind.itemsize for step in stride)
    return finish(np.lib.stride_tricks.as_strided(np.empty(span, kind), shape, steps), device, requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of another tensor's shape, type and layout."""
    return _like(input, 0, dtype, device, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of another tensor's shape, type and layout."""
    return _like(input, 1, dtype, device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in another tensor's shape, type and layout."""
    return _like(input, fill_value, dtype, device, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory of another tensor's shape, type and layout."""
    kind = input._data.dtype if dtype is None else as_dtype(dtype).numpy_dtype
    return finish(np.empty_like(np.asarray(input.numpy(force=True)), kind), device or input.device, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers from `start` (0) up to, not including, `end`, by `step`."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(value, int | np.integer) for value in (start, end, step))
    kind = as_dtype(dtype) if dtype is not None else as_dtype(int) if whole else get_default_dtype()
    count = math.ceil((end - start) / step)
    return finish(
        (start + np.arange(count, dtype=np.int64 if whole else np.float64) * step).astype(kind.numpy_dtype),
        device,
        requires_grad,
    )


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included."""
    return finish(np.linspace(start, end, steps).astype(_kind(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix of n rows and m (n) columns."""
    return finish(np.eye(n, m, dtype=_kind(dtype)), device, requires_grad)


def _kind(dtype: Any) -> np.dtype[Any]:
    return (get_default_dtype() if dtype is None else as_dtype(dtype)).numpy_dtype


def _like(input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    kind = input._data.dtype if dtype is None else as_dtype(dtype).numpy_dtype
    source = input._data if type(input._data) is np.ndarray else np.empty(input.shape, kind)
    return finish(np.full_like(source, value, kind), device or (input.device if input.is_cuda else None), requires_grad)


def _from_values(data: Any) -> np.ndarray[Any, Any]:
    """torch's inference: Python floats and complex numbers become the default types, arrays keep theirs."""
    if isinstance(data, np.ndarray | np.generic):
        dtype_of(data.dtype)
        return (
            np.array(data, order="K")
            if np.asarray(data).dtype.isnative
            else np.array(data).astype(data.dtype.newbyteorder("="))
        )
    if isinstance(data, list | tuple) and any(isinstance(item, Tensor) for item in data):
        data = [item.tolist() if isinstance(item, Tensor) else item for item in data]
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"expected sequences of equal lengths at each depth: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"could not infer a tensor's type from {type(data).__name__}: expected numbers or nested sequences of "
            "numbers"
        )
    holds_arrays = _holds_arrays(data)
    if array.dtype == np.float64 and not holds_arrays:
        return array.astype(get_default_dtype().numpy_dtype)
    if array.dtype == np.complex128 and not holds_arrays:
        return array.astype(get_default_dtype().to_complex().numpy_dtype)
    return array


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)
