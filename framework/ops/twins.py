"""In-place methods that the records do not make: of composed functions, and those that give a tensor another shape."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.layout import arranged
from framework.core.modes import GRAD, modes
from framework.core.tensor import Tensor
from framework.core.views import check_writable, commit, kept
from framework.ops import elementwise, index, linalg, shape

_COMPOSED: dict[Any, str] = {
    elementwise: "eq ne lt le gt ge",
    index: "scatter index_add index_copy index_fill index_reduce index_put put masked_scatter",
    linalg: "tril triu",
    shape: "renorm",
}
_RESHAPED: dict[Any, str] = {shape: "squeeze unsqueeze transpose swapaxes t as_strided"}
_ALIASES = {"swapdims_": "swapaxes_", "greater_": "gt_", "less_": "lt_", "greater_equal_": "ge_", "less_equal_": "le_",
            "not_equal_": "ne_"}  # fmt: skip


def methods() -> dict[str, Callable[..., Tensor]]:
    """The in-place methods by name."""
    found = {f"{name}_": _written(getattr(home, name)) for home, names in _COMPOSED.items() for name in names.split()}
    found |= {f"{name}_": _reshaped(getattr(home, name)) for home, names in _RESHAPED.items() for name in names.split()}
    found |= {alias: found[name] for alias, name in _ALIASES.items()}
    return found | {"resize_": resize_, "resize_as_": resize_as_}


def resize_(input: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Another shape; elements stay in row-major order while they last, further ones are whatever was in memory."""
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    size = shape.sizes(sizes)
    if any(length < 0 for length in size):
        raise RuntimeError(f"resize_: the lengths must not be negative, got {list(size)}")
    old = input._data
    count = math.prod(size)
    if old.flags.c_contiguous and count <= old.size:
        new = old.reshape(-1)[:count].reshape(size)
    else:
        flat = np.empty(count, old.dtype)
        flat[: old.size] = old.reshape(-1)[:count]
        new = flat.reshape(size)
    input._data = new if memory_format is None else arranged(np, new, memory_format)
    input._shared().version += 1
    return input


def resize_as_(input: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:
    """The other tensor's shape; see `resize_`."""
    return resize_(input, tuple(other.shape), memory_format=memory_format)


def zero_(input: Tensor) -> Tensor:
    """Every element set to zero."""
    return input.zero_()


def fill(input: Tensor, value: Any) -> Tensor:
    """A copy with every element set to one value (a number or a 0-d tensor)."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    everywhere = np.ones((1,) * input.ndim, bool)
    return elementwise.masked_fill(input, Tensor._wrap(everywhere).to(input.device), value)


def positive(input: Any) -> Any:
    """The tensor itself; boolean tensors have no sign."""
    if getattr(input, "_data", input).dtype == np.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def _written(function: Callable[..., Any]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        result = function(kept(self, args, kwargs), *args, **kwargs)
        if result.shape != self.shape:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)} in "
                f"{method.__name__}"
            )
        return commit(self, result)

    return _named(method, function, f"In-place version of `{function.__name__}`.")


def _reshaped(function: Callable[..., Any]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if modes.flags & GRAD and self.requires_grad and self.is_leaf:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        result = function(self, *args, **kwargs)
        if result is not self:
            self._data, self._edge = result._data, result._edge
            if self._view is not None:
                self._view = result._view
        return self

    return _named(method, function, f"`{function.__name__}`, for this very tensor.")


def _named(method: Any, function: Callable[..., Any], text: str) -> Any:
    method.__name__ = method.__qualname__ = f"{function.__name__}_"
    method.__doc__ = text
    return method
