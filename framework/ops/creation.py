"""Tensors from data, from NumPy, and of constants."""

from typing import Any

import numpy as np

from framework.core.device import move
from framework.core.dtype import as_dtype, dtype_of, get_default_dtype
from framework.core.tensor import Tensor, as_device


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
        array = _from_values(data, dtype is None)
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


def kind_of(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype of a type, the default type for None."""
    return (get_default_dtype() if dtype is None else as_dtype(dtype)).numpy_dtype


def _from_values(data: Any, default: bool = True) -> np.ndarray[Any, Any]:
    """torch's inference: Python floats and complex numbers become the default types, arrays keep theirs.

    Without `default` numbers stay as precise as Python has them, for a type that the caller names.
    """
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
    holds_arrays = not default or _holds_arrays(data)
    if array.dtype == np.float64 and not holds_arrays:
        return array.astype(get_default_dtype().numpy_dtype)
    if array.dtype == np.complex128 and not holds_arrays:
        return array.astype(get_default_dtype().to_complex().numpy_dtype)
    return array


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)
