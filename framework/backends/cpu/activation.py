"""GELU, SiLU, sigmoid and their gradients over arrays that are dense in some order of their axes."""

from typing import Any

import numpy as np

from framework.backends.cpu import machine, threads
from framework.backends.cpu.layout import empty_like, is_dense, like, served

Array = np.ndarray[Any, Any]


def gelu(x: Array, approximate: str) -> Any:
    """x Phi(x), in float32."""
    return _forward(x, 0) if approximate == "none" and x.dtype == np.float32 else NotImplemented


def gelu_grad(g: Array, x: Array, approximate: str) -> Any:
    """g times the derivative of gelu, in float32."""
    return _gradient(g, x, 0) if approximate == "none" and x.dtype == np.float32 else NotImplemented


def silu(x: Array) -> Any:
    """x sigmoid(x)."""
    return _forward(x, 1)


def silu_grad(g: Array, x: Array) -> Any:
    """g times the derivative of silu."""
    return _gradient(g, x, 1)


def sigmoid(x: Array) -> Any:
    """1 / (1 + exp(-x))."""
    return _forward(x, 2)


_FEW = 1 << 12  # elements below which NumPy's passes cost less than starting a kernel
_CHUNK = 1 << 14


def _forward(x: Array, kind: int) -> Any:
    if x.size < _FEW or not served(x) or not is_dense(x):
        return NotImplemented
    from framework.backends.cpu import activation_kernels

    y = empty_like(x)
    kernel = activation_kernels.forward(**_constants(x, kind))
    threads.run(kernel, -(-x.size // _CHUNK), x.ctypes.data, y.ctypes.data, x.size, _CHUNK)
    return y


def _gradient(g: Array, x: Array, kind: int) -> Any:
    if x.size < _FEW or not served(g, x) or g.shape != x.shape or not is_dense(x):
        return NotImplemented
    from framework.backends.cpu import activation_kernels

    g = like(g, x)
    y = empty_like(x)
    kernel = activation_kernels.gradient(**_constants(x, kind))
    threads.run(kernel, -(-x.size // _CHUNK), g.ctypes.data, x.ctypes.data, y.ctypes.data, x.size, _CHUNK)
    return y


def _constants(x: Array, kind: int) -> dict[str, Any]:
    return {"Float": x.dtype.name, "LANES": machine.lanes(x.dtype.name), "SIZE": x.itemsize, "KIND": kind}
