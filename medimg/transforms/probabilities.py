"""From class scores on a network's grid to a label map on the image's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medimg.transforms.grid import AxisMap, Grid, axis_map
from medimg.transforms.sampling import axis_taps, by_rows, sample

if TYPE_CHECKING:
    from medimg.volume import Volume


def label_from_probabilities(
    probabilities: np.ndarray,
    source: Volume | Grid,
    target: Volume | Grid,
    labels: Sequence[int] | None = None,
    memory: int = 64 << 20,
) -> np.ndarray:
    """Interpolate class scores (C, X, Y, Z) on `source` linearly to `target` and give each voxel the best class.

    Args:
        probabilities: scores, the larger the likelier; channel 0 is background.
        labels: the label value of each channel; channel numbers where None.
        memory: bytes that the working slabs may take beside input and result, whatever the number of classes.

    Returns:
        uint8 (int32 where a label exceeds 255) of the target's shape, 0 outside the source's extent.

    Interpolating before the decision gives smoother and better borders than resampling the decided labels. Equal scores
    go to the lower channel.
    """
    here, there = Grid.of(source), Grid.of(target)
    if probabilities.ndim != 4 or probabilities.shape[1:] != here.shape:
        raise ValueError(
            f"scores must have the shape (C, {', '.join(map(str, here.shape))}), not {probabilities.shape}."
        )
    values = np.arange(len(probabilities)) if labels is None else np.asarray(labels)
    if len(values) != len(probabilities):
        raise ValueError(f"{len(values)} labels were named for {len(probabilities)} channels.")
    dtype = np.uint8 if values.min() >= 0 and values.max() <= 255 else np.int32
    aligned = axis_map(there, here)
    if aligned is not None and aligned.same_lattice(there.shape):
        decided = values.astype(dtype)[np.argmax(probabilities, axis=0)]
        return sample(decided, here, there, label=True)
    if aligned is not None:
        return _aligned(probabilities, aligned, there, values.astype(dtype), memory)
    result = np.zeros(there.shape, dtype=dtype)
    rows = int(max(1, memory // (16 * int(np.prod(there.shape[1:])))))
    for begin in range(0, there.shape[0], rows):
        end = min(begin + rows, there.shape[0])
        slab = there.window((begin, 0, 0), (end, *there.shape[1:]))
        result[begin:end] = _slab(probabilities, here, slab, values, dtype)
    return result


def _aligned(probabilities: np.ndarray, aligned: AxisMap, there: Grid, values: np.ndarray, memory: int) -> np.ndarray:
    """Grids with parallel axes: separable interpolation of all channels, a few source planes at a time."""
    from medimg.transforms import kernels

    view = probabilities.transpose(0, *(axis + 1 for axis in aligned.source_axis))
    taps = [
        axis_taps(n, m, scale, offset, "linear", antialias=True)
        for n, m, scale, offset in zip(view.shape[1:], there.shape, aligned.scale, aligned.offset)
    ]
    result = np.zeros(there.shape, dtype=values.dtype)
    inner = result[tuple(slice(t.begin, t.begin + len(t.first)) for t in taps)]
    if inner.size == 0:
        return result
    (_, first, weight), *others = taps
    flat = [part for t in others for part in (t.first, t.weight)]
    planes = max(weight.shape[1], memory // (4 * int(np.prod(view.shape)) // view.shape[1] + 1))
    begin = 0
    while begin < len(first):
        # As many target rows as read no more than `planes` source planes.
        reach = np.maximum.accumulate(np.abs(first[begin:] - first[begin]))
        end = begin + int(np.searchsorted(reach, planes - weight.shape[1], side="right"))
        low = int(first[begin:end].min())
        high = int(first[begin:end].max()) + weight.shape[1]
        scores = np.ascontiguousarray(view[:, low:high], dtype=np.float32)
        block = np.empty((end - begin, *inner.shape[1:]), dtype=values.dtype)
        rows = first[begin:end] - low, np.ascontiguousarray(weight[begin:end]), *flat
        by_rows(end - begin, block.size * len(values), kernels.decide_separable, scores, *rows, values, block)
        inner[begin:end] = block
        begin = end
    return result


def _slab(probabilities: np.ndarray, here: Grid, slab: Grid, values: np.ndarray, dtype: type) -> np.ndarray:
    """Best class of one slab; -inf stands outside the source, so that no class wins there."""
    best = np.full(slab.shape, -np.inf, dtype=np.float32)
    label: np.ndarray = np.zeros(slab.shape, dtype=dtype)
    for channel, value in zip(probabilities, values):
        score = sample(channel, here, slab, fill=-np.inf)
        better = score > best
        label[better] = value
        np.copyto(best, score, where=better)
    return label
