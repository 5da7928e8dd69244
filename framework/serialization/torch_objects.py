"""What PyTorch's pickles name, and what is built for it: the whole table of what a `.pt` file can ask for."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from framework.core.device import device
from framework.core.tensor import Size
from framework.serialization.errors import shown
from framework.serialization.keys import check_key
from framework.serialization.stored import Refused, Stored, TorchType
from framework.serialization.unpickle import Buildable, Callee, RefusedError

MAX_EXPANDED = 2**30  # bytes of a tensor that repeats its elements (stride 0) beyond its storage
_NUMERIC = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")
_UNSAFE = {"os", "posix", "nt", "subprocess", "sys", "builtins", "__builtin__", "pickle", "runpy", "shutil", "socket",
           "importlib", "ctypes", "commands", "pty", "platform", "webbrowser", "code", "types", "marshal"}  # fmt: skip


@dataclass(frozen=True)
class StorageClass:
    """The class of a storage, and the type of its elements (bytes for the untyped one)."""

    name: str
    type: TorchType

    def __str__(self) -> str:
        return f"the class torch.{self.name}"


@dataclass(eq=False)
class Storage:
    """A piece of memory in a file, shared by the tensors on it. `fetch` gives its bytes; called once, when needed."""

    type: TorchType
    nbytes: int
    location: str
    fetch: Callable[[], np.ndarray[Any, Any]]

    @functools.cached_property
    def bytes(self) -> np.ndarray[Any, Any]:
        return self.fetch()

    def __str__(self) -> str:
        return "a storage without a tensor"


def find(module: str, name: str) -> Any:
    """What the name stands for; RefusedError, which says why, for all that is not in the table."""
    found = _TABLE.get(f"{_RENAMED.get(module, module)}.{name}")
    if found is not None:
        return found
    full = shown(f"{module}.{name}")
    if module.partition(".")[0] in _UNSAFE:
        raise RefusedError(
            f"it asks to run {full}, which no file of weights needs; it may be an attack, so do not open it with "
            "anything that unpickles it"
        )
    raise RefusedError(
        f"it holds an object of {full}, and making it would run code that is not in the table of tensors and plain "
        "containers; in PyTorch, save model.state_dict() and plain values instead"
    )


def swapped(raw: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Big-endian bytes as little-endian ones."""
    width = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return raw if width == 1 else raw.view(f"u{width}").byteswap().view(np.uint8)


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
    metadata: Any = None,
) -> Stored | Refused:  # fmt: skip
    return _strided(storage, storage.type, offset, size, stride, requires_grad, metadata)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, element: Any,
    metadata: Any = None,
) -> Stored | Refused:  # fmt: skip
    return _strided(storage, element, offset, size, stride, requires_grad, metadata)


def _strided(
    storage: Storage, element: TorchType, offset: Any, size: Any, stride: Any, requires_grad: Any, metadata: Any
) -> Stored | Refused:
    if not isinstance(storage, Storage) or not isinstance(element, TorchType):
        raise TypeError("a tensor needs a storage and a type")
    if element.dtype is None:
        return Refused(f"is of type torch.{element.name}, which NumPy does not have: dequantise it in PyTorch first")
    if not _naturals((offset,)) or not _naturals(size) or not _naturals(stride) or len(size) != len(stride):
        raise ValueError("sizes and strides are natural numbers")
    dtype, shape = element.dtype, tuple(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride)) if 0 not in shape else offset - 1
    if len(shape) > 64 or (last + 1) * dtype.itemsize > storage.nbytes:
        raise ValueError("a tensor reaches beyond its storage")
    if math.prod(shape) * dtype.itemsize > max(MAX_EXPANDED, storage.nbytes):
        return Refused(f"repeats its elements to {list(shape)}, more than {MAX_EXPANDED} bytes: save it unexpanded")
    bits = metadata if isinstance(metadata, dict) else {}

    def read() -> np.ndarray[Any, Any]:
        if not math.prod(shape):
            return np.empty(shape, dtype)
        steps = tuple(step * dtype.itemsize for step in stride)
        array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, storage.bytes, offset * dtype.itemsize, steps)
        array = array.conj() if bits.get("conj") else array
        return -array if bits.get("neg") else array

    return Stored(dtype, shape, read, requires_grad=bool(requires_grad), location=storage.location)


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None) -> Stored | Refused:
    """A parameter; attributes that were set on it are let go."""
    return _as(data, kind="parameter", requires_grad=bool(requires_grad))


def _of_class(function: Any, class_: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes; those are let go. Only PyTorch's own classes are in the table."""
    if not isinstance(function, Callee) or not function.name.startswith("torch._utils._rebuild"):
        raise TypeError("a tensor is rebuilt by PyTorch's own functions")
    return function.call(*arguments)


def _as(data: Any, **changes: Any) -> Any:
    if isinstance(data, Refused):
        return data
    if not isinstance(data, Stored):
        raise TypeError("not a tensor")
    return replace(data, **changes)


def _refused(reason: str) -> Callable[..., Refused]:
    return lambda *_: Refused(reason)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((check_key(key), value) for key, value in items)


def _counter(counts: Any = ()) -> Counter[Any]:
    return Counter({check_key(key): int(count) for key, count in dict(counts).items()})


def _encode(text: str, encoding: Any = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are written as latin1")
    return text.encode("latin1")


def _bytes(array: Any = b"") -> bytearray:
    return bytearray(array if isinstance(array, bytes) else b"")


def _set(items: Any = ()) -> set[Any]:
    return {check_key(item) for item in items}


def _size(sizes: Any) -> Size:
    if not _naturals(sizes):
        raise ValueError("sizes are natural numbers")
    return Size(sizes)


def _device(kind: str, index: Any = None) -> device:
    return device(kind, index if isinstance(index, int) else None)


def _naturals(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(type(value) is int and 0 <= value < 2**62 for value in values)


class _Dtype(Buildable):
    """A NumPy type on its way out of a pickle."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or (not _NUMERIC.fullmatch(code) and code != "bfloat16"):
            raise RefusedError(f"it holds a NumPy array of type {shown(code)}, which is not of numbers")
        self.dtype = np.dtype(ml_dtypes.bfloat16 if code == "bfloat16" else code)

    def build(self, state: Any) -> None:
        if state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class _Array(Stored, Buildable):
    """A NumPy array whose bytes stand in the pickle."""

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        filled = _from_bytes(raw, dtype, shape, "F" if fortran else "C")
        self.dtype, self.shape, self.read = filled.dtype, filled.shape, filled.read


def _array(class_: Any = None, shape: Any = None, code: Any = None) -> _Array:
    """An array whose content follows; until then it is of objects, which no file's array may be."""
    return _Array(np.dtype(object), (), lambda: np.empty((), object), "array")


def _from_bytes(raw: Any, dtype: Any, shape: Any, order: Any = "C", kind: str = "array") -> Stored:
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _Dtype) or not _naturals(shape):
        raise TypeError("an array is bytes, type and shape")
    numbers = dtype.dtype
    if order not in ("C", "F") or len(shape) > 64 or math.prod(shape) * numbers.itemsize != len(raw):
        raise ValueError("the bytes of an array do not fill its shape")

    def read() -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = np.frombuffer(bytearray(raw), numbers) if raw else np.empty(0, numbers)
        return array.astype(numbers.newbyteorder("="), copy=False).reshape(shape, order=order)

    return Stored(numbers.newbyteorder("="), tuple(shape), read, kind)


def _scalar(dtype: Any, raw: Any = b"") -> Stored:
    return _from_bytes(raw, dtype, (), kind="scalar")


_TYPES = {
    "float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
    "uint8": np.uint8, "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64, "bool": np.bool_,
    "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
    "complex64": np.complex64, "complex128": np.complex128,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8_e8m0fnu": ml_dtypes.float8_e8m0fnu,
    "complex32": None, "qint8": None, "quint8": None, "qint32": None, "quint4x2": None, "quint2x4": None,
    "bits8": None, "bits16": None, "bits1x8": None, "bits2x4": None, "bits4x2": None, "float4_e2m1fn_x2": None,
    **{f"{sign}int{bits}": None for sign in ("", "u") for bits in range(1, 8)},
    **{f"per_{scheme}": None for scheme in ("tensor_affine", "tensor_symmetric", "channel_affine",
                                            "channel_symmetric", "channel_affine_float_qparams")},
}  # fmt: skip
_TORCH_TYPES = {name: TorchType(name, None if dtype is None else np.dtype(dtype)) for name, dtype in _TYPES.items()}
_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Byte": "uint8",
    "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128", "ComplexHalf": "complex32", "QInt8": "qint8", "QUInt8": "quint8",
    "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
}  # fmt: skip
_STORAGE_CLASSES = {
    f"{name}Storage": StorageClass(f"{name}Storage", _TORCH_TYPES[element]) for name, element in _STORAGES.items()
} | {"UntypedStorage": StorageClass("UntypedStorage", _TORCH_TYPES["uint8"])}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_class,
    "torch._utils._rebuild_qtensor": _refused("is quantised: dequantise it in PyTorch first"),
    "torch._utils._rebuild_sparse_tensor": _refused("is sparse: make it dense with to_dense() in PyTorch first"),
    "torch._utils._rebuild_nested_tensor": _refused("is nested: save its parts as tensors"),
    "torch._utils._rebuild_meta_tensor_no_storage": _refused("is on the meta device, which has no values"),
    "torch.serialization._get_layout": lambda name: name,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.Tensor": _refused("was made by no function known here: save it again with a newer PyTorch"),
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "builtins.complex": complex,
    "builtins.bytearray": _bytes,
    "builtins.bytes": lambda items=b"": bytes(_bytes(items)),
    "_codecs.encode": _encode,
    "numpy.dtype": _Dtype,
    "numpy.ndarray": _array,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _from_bytes,
}
_TABLE: dict[str, Any] = {
    **{name: Callee(name, call) for name, call in _FUNCTIONS.items()},
    **{f"torch.{name}": element for name, element in _TORCH_TYPES.items()},
    **{f"{module}.{name}": class_ for module in ("torch", "torch.cuda", "torch.storage")
       for name, class_ in _STORAGE_CLASSES.items()},
}  # fmt: skip
_RENAMED = {
    "__builtin__": "builtins",  # Python 2
    "numpy.core.multiarray": "numpy._core.multiarray",  # NumPy 1
    "numpy.core.numeric": "numpy._core.numeric",
}
