"""Tensors from data, from NumPy, and of constants."""

from typing import Any

import numpy as np

from framework.core.device import move
from framework.core.dlpack import adopt
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
    """The object as a tensor: a tensor, an array, a buffer, a DLPack producer, numbers or nested sequences.

    `copy` forces a copy, or forbids one: ValueError where it would be needed.
    """
    given = _offered(obj)
    if copy:
        result = tensor(given, dtype=dtype, device=device)
        result = result.detach() if result.requires_grad else result
    else:
        result = as_tensor(given, dtype, device)
    if copy is False and not _shares(result, given):
        raise ValueError("asarray: a copy is needed to make a tensor of this object, and copy=False forbids it")
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


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of any DLPack producer (NumPy, torch, JAX, CuPy, ...), on the CPU or a GPU.

    `copy` forces or forbids a copy; a `device` other than the producer's needs one. Memory that its owner declares
    read-only stays read-only: writing to the tensor is an error.
    """
    if isinstance(ext_tensor, Tensor) and ext_tensor.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    target = None if device is None else as_device(device)
    array = adopt(ext_tensor, target, copy)
    dtype_of(array.dtype)
    if target is not None and copy is False and move(array, target) is not array:
        raise ValueError(f"from_dlpack: the data cannot be on {target} without a copy")
    return finish(array, target)


def _offered(obj: Any) -> Any:
    """Arrays in place of what gives its memory away by DLPack or the buffer protocol."""
    if isinstance(obj, Tensor | np.ndarray | np.generic | list | tuple | int | float | complex | str):
        return obj
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    try:
        return np.asarray(memoryview(obj))
    except TypeError:
        return obj


def _shares(result: Tensor, source: Any) -> bool:
    if isinstance(source, Tensor):
        return result is source or result.data_ptr() == source.data_ptr()
    return isinstance(source, np.ndarray) and (np.may_share_memory(result._data, source) or not source.size)


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
