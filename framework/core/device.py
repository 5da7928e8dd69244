"""Where a tensor lives."""

from typing import Any

import numpy as np


class device:  # noqa: N801
    """`device("cpu")`, `device("cuda")` or `device("cuda", 1)`, as in torch."""

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: "str | device | int", index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index if index is None else index
            return
        if isinstance(type, int):
            self.type, self.index = "cuda", type
            return
        name, colon, number = type.partition(":")
        if colon and not number.isdigit():
            raise RuntimeError(f"Invalid device string: '{type}'")
        if name not in ("cpu", "cuda"):
            raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {type}")
        self.type = name
        self.index = int(number) if colon else index

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"


CPU = device("cpu")


def array_module(array: Any) -> Any:
    """The module whose functions serve this array: numpy, or cupy for arrays on a GPU."""
    if type(array) is np.ndarray:
        return np
    if type(array).__module__.startswith("cupy"):
        import cupy

        return cupy
    if type(array).__name__ == "BatchedArray":
        return array.__array_namespace__()
    return np


def device_of(array: Any) -> device:
    """The device on which an array lives."""
    while type(array).__name__ == "BatchedArray":
        array = array.array
    number = getattr(getattr(array, "device", None), "id", None)
    return CPU if number is None else device("cuda", number)


def move(array: Any, target: device) -> Any:
    """The array on `target`; itself when it is there already. RuntimeError without CuPy or a GPU."""
    if device_of(array) == target or (
        target.type == "cuda" and target.index is None and device_of(array).type == "cuda"
    ):
        return array
    if target.type == "cpu":
        return array.get()
    cupy = _cupy()
    with cupy.cuda.Device(target.index or 0):
        return cupy.asarray(array)


def cuda_is_available() -> bool:
    """Whether CuPy is installed and finds a GPU with a working driver."""
    try:
        import cupy
    except ImportError:
        return False
    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def _cupy() -> Any:
    try:
        import cupy
    except ImportError:
        raise RuntimeError(
            "tensors on cuda need CuPy: pip install 'voxhelix[cuda12]' or 'voxhelix[cuda13]', as your driver allows"
        ) from None
    if not cuda_is_available():
        raise RuntimeError("no CUDA GPU was found: check the driver with nvidia-smi, or stay on device 'cpu'")
    return cupy
