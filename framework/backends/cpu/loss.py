"""Softmax and cross-entropy in one pass, and its gradient."""

from typing import Any

import numpy as np

from framework.backends.cpu import machine, threads
from framework.backends.cpu.layout import dense, empty_like, served

Array = np.ndarray[Any, Any]


def softmax_cross_entropy(logits: Array, target: Array, weight: Array | None, ignore_index: int) -> Any:
    """Loss of each position and the logarithm of its sum of exponentials, both (N, *spatial).

    logits (N, C, *spatial), target whole numbers (N, *spatial), weight (C,). An ignored position has loss 0.
    """
    if not _serves(logits, target, weight):
        return NotImplemented
    from framework.backends.cpu.loss_kernels import cross_entropy

    logits, target = dense(logits), np.ascontiguousarray(target, np.int64)
    loss, whole = np.empty(target.shape, logits.dtype), np.empty(target.shape, logits.dtype)
    wrong = np.zeros(1, np.int64)
    weights = np.ascontiguousarray(weight if weight is not None else np.empty(0, logits.dtype))
    form = _form(logits)
    threads.run(
        cross_entropy(**_constants(logits, weight)), form[0], logits.ctypes.data, target.ctypes.data,
        weights.ctypes.data, loss.ctypes.data, whole.ctypes.data, wrong.ctypes.data, *form[1], ignore_index,
        scratch=_scratch(logits),
    )  # fmt: skip
    if wrong[0]:
        outside = target[(target != ignore_index) & ((target < 0) | (target >= logits.shape[1]))]
        raise IndexError(
            f"cross_entropy: target {outside.flat[0]} is out of bounds for {logits.shape[1]} classes "
            f"({outside.size} positions; ignore_index is {ignore_index})"
        )
    return loss, whole


def softmax_cross_entropy_grad(
    g: Array, logits: Array, target: Array, weight: Array | None, ignore_index: int, logsumexp: Array
) -> Any:
    """Gradient of the loss by the logits; g (N, *spatial) is the gradient by each position's loss."""
    if not _serves(logits, target, weight) or g.dtype != logits.dtype or logsumexp.dtype != logits.dtype:
        return NotImplemented
    from framework.backends.cpu.loss_kernels import cross_entropy_gradient

    logits, target = dense(logits), np.ascontiguousarray(target, np.int64)
    g, logsumexp = np.ascontiguousarray(g), np.ascontiguousarray(logsumexp)
    result = empty_like(logits)
    weights = np.ascontiguousarray(weight if weight is not None else np.empty(0, logits.dtype))
    form = _form(logits)
    threads.run(
        cross_entropy_gradient(**_constants(logits, weight)), form[0], logits.ctypes.data, result.ctypes.data,
        g.ctypes.data, target.ctypes.data, weights.ctypes.data, logsumexp.ctypes.data, *form[1], ignore_index,
        scratch=_scratch(logits),
    )  # fmt: skip
    return result


_CHUNK = 4096  # positions of one job


def _serves(logits: Array, target: Array, weight: Array | None) -> bool:
    return (
        logits.ndim >= 2
        and target.dtype.kind in "iu"
        and target.shape == (logits.shape[0], *logits.shape[2:])
        and served(logits, weight)
        and (weight is None or weight.shape == (logits.shape[1],))
    )


def _form(x: Array) -> tuple[int, tuple[int, ...]]:
    """Number of jobs, and pixels, channels, chunk, chunks and the byte steps of image, pixel and channel."""
    images, channels = x.shape[:2]
    pixels = x.size // (images * channels)
    chunks = -(-pixels // _CHUNK)
    last = channels == 1 or (x.strides[1] == x.itemsize and not x.flags.c_contiguous) or pixels == 1
    steps = (channels * x.itemsize, x.itemsize) if last else (x.itemsize, pixels * x.itemsize)
    return images * chunks, (pixels, channels, _CHUNK, chunks, pixels * channels * x.itemsize, *steps)


def _scratch(x: Array) -> int:
    return (x.shape[1] + 2) * machine.lanes(x.dtype.name) * x.itemsize


def _constants(x: Array, weight: Array | None) -> dict[str, Any]:
    return {
        "Float": x.dtype.name, "LANES": machine.lanes(x.dtype.name), "SIZE": x.itemsize,
        "WEIGHTED": int(weight is not None),
    }  # fmt: skip
