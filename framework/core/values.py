"""The way from a tensor to values outside: Python numbers, NumPy, DLPack, print."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from framework.core.device import device


class Values:
    """What a tensor can be converted to; Tensor's part that looks outward."""

    __slots__ = ()

    if TYPE_CHECKING:
        _data: Any
        _edge: Any

        @property
        def device(self) -> device: ...

    def item(self) -> Any:
        """The only element as a Python number; RuntimeError when there are more."""
        if self._data.size != 1:
            raise RuntimeError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar")
        return self._data.item() if self._data.dtype.kind != "V" else float(self._data.reshape(()))

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        array = self._data if self._data.dtype.kind != "V" else self._data.astype(np.float32)
        return array.tolist()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._data.reshape(-1)[0])

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._data.size != 1 or self._data.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __repr__(self) -> str:
        from framework.core.printing import describe

        return describe(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._data.size == 1 else repr(self)

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The same memory as a NumPy array; `force` detaches and copies to the CPU where that is needed."""
        if self._edge is not None and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if type(self._data) is not np.ndarray:
            if hasattr(self._data, "level"):
                return np.asarray(self._data)  # which says what vmap does not allow
            if not force:
                raise TypeError(
                    f"can't convert a {self.device} tensor to numpy: call .cpu() first to copy it to host memory"
                )
            return np.asarray(self._data.get())
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if copy is False and dtype is not None and np.dtype(dtype) != array.dtype:
            raise ValueError(f"a conversion from {array.dtype} to {np.dtype(dtype)} needs a copy")
        return np.array(array, dtype=dtype, copy=True if copy else None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from framework.ops.numpy_functions import ufunc as on_tensors

        return on_tensors(ufunc, method, inputs, options)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """`to(dtype)` under NumPy's name, for functions written for arrays."""
        return self.to(dtype=dtype)  # type: ignore[attr-defined]

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from framework.ops.numpy_functions import function as on_tensors

        return on_tensors(func, args, kwargs)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule on this memory; read-only memory travels only to consumers of version 1 and later."""
        from framework.core.dlpack import export

        if self._edge is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return export(self._data, {name: value for name, value in options.items() if value is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        """(device type, device number) by DLPack's numbers: (1, 0) is the CPU, (2, n) a GPU."""
        kind, number = self._data.__dlpack_device__()
        return int(kind), int(number)

    # -- the array API standard -------------------------------------------------------------------------------------

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """The functions of the Python array API standard for tensors: `framework.array_api`."""
        from framework import array_api
        from framework.array_api.info import VERSIONS

        if api_version is not None and api_version not in VERSIONS:
            raise ValueError(f"array API version {api_version!r} is not there; these are: {', '.join(VERSIONS)}")
        return array_api

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """On another device; itself when it is there."""
        if stream is not None and self.device.type == "cpu":
            raise ValueError("to_device: tensors on the CPU know no streams")
        return self.to(device)  # type: ignore[attr-defined]
