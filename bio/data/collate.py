"""Sequences of several lengths in one batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import framework
from bio.encoding.corruption import IGNORED
from bio.errors import SequenceError


def pad_collate(batch: Sequence[Any]) -> dict[str, Any]:
    """Items (x, y) of several lengths as {"x": (N, C, L), "y": ..., "mask": (N, L) bool, "lengths": (N,) int64}.

    x is filled up with 0 on the right, and `mask` is True where it is real. Labels for each place (L_i,) are filled up
    with -100, tracks (T, L_i) with 0; labels for the whole are stacked. Items may be x alone: then there is no "y".
    Tokens (T,) in place of channels give x (N, T).
    """
    paired = isinstance(batch[0], tuple | list)
    xs = [np.asarray(item[0] if paired else item) for item in batch]
    lengths = np.array([x.shape[-1] for x in xs], np.int64)
    size = int(lengths.max())
    result = {
        "x": framework.from_numpy(_filled(xs, size, 0)),
        "mask": framework.from_numpy(np.arange(size) < lengths[:, None]),
        "lengths": framework.from_numpy(lengths),
    }
    if paired:
        ys = [np.asarray(item[1]) for item in batch]
        along = all(y.ndim and y.shape[-1] == length for y, length in zip(ys, lengths))
        fill = IGNORED if ys[0].dtype.kind == "i" else 0
        result["y"] = framework.from_numpy(_filled(ys, size, fill) if along else np.stack(ys))
    return result


def pack_collate(batch: Sequence[Any]) -> dict[str, Any]:
    """Items one after another in one row: {"x": (1, C, S), "y": (1, S), "segments": (1, S), "positions": (1, S)}.

    `segments` numbers the items from 0 and `positions` the places within each; attention that compares `segments`
    never looks into a neighbour. Labels for the whole are (N,) as ever. "offsets" (N + 1,) says where each begins.
    """
    paired = isinstance(batch[0], tuple | list)
    xs = [np.asarray(item[0] if paired else item) for item in batch]
    lengths = np.array([x.shape[-1] for x in xs], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    result = {
        "x": framework.from_numpy(np.concatenate(xs, -1)[None]),
        "segments": framework.from_numpy(np.repeat(np.arange(len(xs)), lengths)[None]),
        "positions": framework.from_numpy((np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths))[None]),
        "offsets": framework.from_numpy(offsets),
    }
    if paired:
        ys = [np.asarray(item[1]) for item in batch]
        along = all(y.ndim and y.shape[-1] == length for y, length in zip(ys, lengths))
        result["y"] = framework.from_numpy(np.concatenate(ys, -1)[None] if along else np.stack(ys))
    return result


def _filled(arrays: Sequence[np.ndarray[Any, Any]], size: int, fill: int) -> np.ndarray[Any, Any]:
    shape = arrays[0].shape[:-1]
    if odd := next((array.shape for array in arrays if array.shape[:-1] != shape), None):
        raise SequenceError(f"items of a batch must agree in all but their length: {arrays[0].shape} and {odd}")
    batch = np.full((len(arrays), *shape, size), fill, arrays[0].dtype)
    for row, array in zip(batch, arrays):
        row[..., : array.shape[-1]] = array
    return batch
