"""Questions about tensors, and methods that are neither arithmetic nor shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.dtype import as_dtype
from framework.core.tensor import Tensor
from framework.core.views import check_writable, commit
from framework.ops.creation import finish


def is_tensor(obj: Any) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the type is a real floating one."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the type is complex."""
    return input.is_complex()


def is_signed(input: Tensor) -> bool:
    """Whether the type has negative numbers."""
    return input.is_signed()


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in `inference_mode` and can never take part in a graph."""
    return input._inference


def is_conj(input: Tensor) -> bool:
    """Whether a conjugation is still to be done: never, they are done at once."""
    return False


def is_neg(input: Tensor) -> bool:
    """Whether a negation is still to be done: never, they are done at once."""
    return False


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return input._data.shape == other._data.shape


def is_set_to(input: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same memory, with the same shape and strides."""
    same = input._data.shape == tensor._data.shape and input._data.strides == tensor._data.strides
    return same and input.data_ptr() == tensor.data_ptr()


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


def detach(input: Tensor) -> Tensor:
    """The same memory, outside the graph."""
    return input.detach()


def get_device(input: Tensor) -> int:
    """The number of the GPU that holds the tensor, -1 for the CPU."""
    return input.device.index or 0 if input.is_cuda else -1


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector on the memory of a buffer (bytes, bytearray, mmap, ...); read-only where the buffer is."""
    array = np.frombuffer(buffer, as_dtype(dtype).numpy_dtype, count, offset)
    return finish(array, None, requires_grad)


def fill_diagonal_(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """The main diagonal set to one value; with `wrap` that of a tall matrix starts again below."""
    if input.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if input.ndim > 2 and len(set(input.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    mask = np.zeros(input.shape, bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    return input.masked_fill_(Tensor._wrap(mask).to(input.device), fill_value)


def apply_(input: Tensor, function: Callable[[Any], Any]) -> Tensor:
    """Every element replaced by what a Python function makes of it; for the CPU, and slow."""
    if input.requires_grad:
        raise RuntimeError("Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead.")
    check_writable(input)
    values = [function(value) for value in input.reshape(-1).tolist()]
    return commit(input, Tensor._wrap(np.array(values).reshape(input.shape).astype(input._data.dtype)))


def map_(input: Tensor, other: Tensor, function: Callable[[Any, Any], Any]) -> Tensor:
    """Every element replaced by what a Python function makes of it and the other tensor's; for the CPU, and slow."""
    if input.requires_grad or other.requires_grad:
        raise RuntimeError("Can't call map_() on Variable that requires grad. Use var.detach().map_() instead.")
    check_writable(input)
    others = other.expand(input.shape).reshape(-1).tolist()
    values = [function(*pair) for pair in zip(input.reshape(-1).tolist(), others)]
    return commit(input, Tensor._wrap(np.array(values).reshape(input.shape).astype(input._data.dtype)))


METHODS = "is_inference is_conj is_neg is_same_size is_set_to get_device fill_diagonal_ apply_ map_"
ABSENT = (
    "is_meta is_sparse is_sparse_csr is_quantized is_nested is_mkldnn is_mps is_xpu"  # properties that are never so
)
