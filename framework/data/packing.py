"""A batch as a few bytes that describe it, and the arrays that lie elsewhere.

The description is what Python's own multiprocessing sends between a process and its children, through a pipe that
nobody else can reach; nothing of it is ever written to a file. Ordinary pickling of tensors stays refused.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

import framework
from framework.core.tensor import Tensor

Array = np.ndarray[Any, Any]

_SMALL = 4096  # arrays of fewer bytes go with the description
_LINE = 64  # arrays begin on a cache line


def pack(value: Any, room: Callable[[int], Array] | None) -> tuple[bytes, list[tuple[int, int]]]:
    """A description of `value` and the places (begin, end) of its arrays in the bytes that `room(size)` gives.

    Without `room` the arrays go with the description.
    """
    views: list[memoryview] = []

    def lies_with_description(buffer: Any) -> bool:
        raw = buffer.raw()
        if room is None or raw.nbytes < _SMALL:
            return True
        views.append(raw)
        return False

    stream = io.BytesIO()
    ForkingPickler(stream, 5, True, lies_with_description).dump(value)
    places: list[tuple[int, int]] = []
    end = 0
    for view in views:
        begin = -(-end // _LINE) * _LINE
        end = begin + view.nbytes
        places.append((begin, end))
    if views and room is not None:
        target = room(end)
        for view, (begin, stop) in zip(views, places):
            target[begin:stop] = np.frombuffer(view, np.uint8)
    return stream.getvalue(), places


def unpack(description: bytes, places: list[tuple[int, int]], source: Array | None) -> Any:
    """What was packed; its arrays are views of `source` and keep that object alive."""
    whole = None if source is None else memoryview(source)  # type: ignore[arg-type]
    buffers = [whole[begin:end] for begin, end in places] if whole is not None else []
    return ForkingPickler.loads(description, buffers=buffers)


def _reduce(tensor: Tensor) -> Any:
    if not tensor.is_leaf:
        raise RuntimeError(
            "a tensor that was computed from others that require gradients cannot pass to another process: detach() it"
        )
    array = tensor.detach().cpu().numpy()
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])  # channels-last stays channels-last
    return _rebuild, (array.transpose(order), order, tensor.requires_grad)


def _rebuild(array: Array, order: list[int], requires_grad: bool) -> Tensor:
    return framework.from_numpy(array.transpose(np.argsort(order))).requires_grad_(requires_grad)


ForkingPickler.register(Tensor, _reduce)
