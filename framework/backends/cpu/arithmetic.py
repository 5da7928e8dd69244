"""Sums, differences and products of large arrays: on all threads and recycled memory.

NumPy's own loops are as fast on one core, but take their result from fresh memory, whose page faults cost several times
the arithmetic.
"""

from typing import Any

import numpy as np

from framework.backends.cpu import memory, threads
from framework.backends.cpu.layout import served

Array = np.ndarray[Any, Any]


def add(a: Any, b: Any, alpha: Any = 1) -> Any:
    """a + b; arrays of one type, or one of them a number."""
    return _apply(np.add, 0, a, b) if alpha == 1 else NotImplemented


def sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    """a - b."""
    return _apply(np.subtract, 1, a, b) if alpha == 1 else NotImplemented


def mul(a: Any, b: Any) -> Any:
    """a * b."""
    return _apply(np.multiply, 2, a, b)


_CHUNK = 1 << 14  # elements of one job


_FEW = 1 << 18  # elements below which NumPy is as fast


def _apply(ufunc: Any, kind: int, a: Any, b: Any) -> Any:
    first, second = type(a) is np.ndarray, type(b) is np.ndarray
    given = [each for each, is_array in ((a, first), (b, second)) if is_array]
    if not given or not served(*given) or max(each.size for each in given) < _FEW:
        return NotImplemented
    if first and second and a.shape == b.shape and a.strides == b.strides and _is_dense(a):
        y = _empty_like(a)
        _run("arrays", kind, a, (a.ctypes.data, b.ctypes.data, y.ctypes.data, a.size, _CHUNK), a.size)
        return y
    if first and second:
        broad, row, swapped = (a, b, False) if a.size >= b.size else (b, a, True)
        if _is_row(broad, row) and not (swapped and kind == 1):
            y, width = memory.empty(broad.shape, broad.dtype), row.size
            count = broad.size // width
            chunk = max(1, _CHUNK // width)
            addresses = broad.ctypes.data, np.ascontiguousarray(row).ctypes.data, y.ctypes.data
            _run("rows", kind, broad, (*addresses, count, width, chunk), count, chunk)
            return y
        return _by_numpy(ufunc, a, b)
    array, number = (a, b) if first else (b, a)
    if _is_dense(array):
        y = _empty_like(array)
        kind = 3 if kind == 1 and not first else kind
        _run("number", kind, array, (array.ctypes.data, float(number), y.ctypes.data, array.size, _CHUNK), array.size)
        return y
    return _by_numpy(ufunc, a, b)


def _run(name: str, kind: int, like: Array, arguments: tuple[Any, ...], size: int, chunk: int = _CHUNK) -> None:
    from framework.backends.cpu import arithmetic_kernels

    kernel = getattr(arithmetic_kernels, name)(Float=like.dtype.name, KIND=kind)
    threads.run(kernel, -(-size // chunk), *arguments)


def _is_dense(x: Array) -> bool:
    """Whether x fills its memory in some order of its axes."""
    if x.flags.c_contiguous:
        return True
    step = x.itemsize
    for stride, length in sorted((s, n) for s, n in zip(x.strides, x.shape) if n > 1):
        if stride != step:
            return False
        step *= length
    return True


def _is_row(broad: Array, row: Array) -> bool:
    """Whether `row` is added to each row of a contiguous array."""
    return (
        broad.flags.c_contiguous
        and row.size > 15
        and row.ndim <= broad.ndim
        and row.shape[-1:] == broad.shape[-1:]
        and row.size == row.shape[-1]
    )


def _empty_like(x: Array) -> Array:
    """Recycled memory in the layout of a dense x."""
    order = sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))
    back = sorted(range(x.ndim), key=order.__getitem__)
    return memory.empty([x.shape[axis] for axis in order], x.dtype).transpose(back)


def _by_numpy(ufunc: Any, a: Any, b: Any) -> Array:
    """NumPy's result in recycled memory, in the layout of the operand that has the result's shape."""
    shape = np.broadcast_shapes(np.shape(a), np.shape(b))
    like = next((each for each in (a, b) if np.shape(each) == shape and _is_dense(each)), None)
    dtype = (a if isinstance(a, np.ndarray) else b).dtype
    out = memory.empty(shape, dtype) if like is None else _empty_like(like)
    return ufunc(a, b, out=out)
