"""DLPack: tensors to and from other libraries without a copy.

NumPy and CuPy do the exchange. NumPy knows no bfloat16, so its arrays travel as 16-bit integers whose type is written
over in the exchanged record (dlpack.h: DLManagedTensor, DLManagedTensorVersioned).
"""

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_UINT_CODE, _BFLOAT_CODE = 1, 4


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def export(array: Any, options: dict[str, Any]) -> Any:
    """A capsule for an array; `options` are those of `__dlpack__`. BufferError where the array cannot travel."""
    if array.dtype != _BFLOAT16:
        return array.__dlpack__(**options)
    capsule = array.view(np.uint16).__dlpack__(**options)
    _record(capsule).code = _BFLOAT_CODE
    return capsule


def adopt(source: Any, device: Any = None, copy: bool | None = None) -> Any:
    """An array on the memory of a DLPack producer: NumPy's from memory of the host, CuPy's from a GPU's."""
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: {type(source).__name__} offers no __dlpack__ and __dlpack_device__")
    kind = int(source.__dlpack_device__()[0])
    if kind not in (CPU, CUDA_HOST) and (device is None or device.type != "cpu"):
        import cupy

        array = cupy.from_dlpack(source)
        return array.copy() if copy else array
    courier = _Courier(source)
    to_host: dict[str, Any] = {} if kind in (CPU, CUDA_HOST) and device is None else {"device": "cpu"}
    array = np.from_dlpack(courier, copy=copy, **to_host)
    return array.view(_BFLOAT16) if courier.carries_bfloat16 else array


class _Courier:
    """Stands for a producer before NumPy, and hands its bfloat16 over as 16-bit integers."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.carries_bfloat16 = False

    def __dlpack_device__(self) -> Any:
        return self._source.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        try:
            capsule = self._source.__dlpack__(**options)
        except TypeError:  # a producer of before the standard of 2023.12 knows no options
            capsule = self._source.__dlpack__()
        record = _record(capsule)
        if record.code == _BFLOAT_CODE and record.bits == 16:
            record.code = _UINT_CODE
            self.carries_bfloat16 = True
        return capsule


def _record(capsule: Any) -> _Tensor:
    """The description of the tensor inside a capsule."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    valid = ctypes.pythonapi.PyCapsule_IsValid
    valid.restype, valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
    for name, layout in ((b"dltensor_versioned", _Versioned), (b"dltensor", _Managed)):
        if valid(capsule, name):
            return ctypes.cast(pointer(capsule, name), ctypes.POINTER(layout)).contents.tensor
    raise BufferError("from_dlpack: the producer gave no DLPack capsule, or one that was consumed already")
