"""From class scores on a network's grid to a label map on the image's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medimg.transforms.grid import Grid, axis_map
from medimg.transforms.sampling import sample

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
    result = np.zeros(there.shape, dtype=dtype)
    rows = int(max(1, memory // (16 * int(np.prod(there.shape[1:])))))
    for begin in range(0, there.shape[0], rows):
        end = min(begin + rows, there.shape[0])
        slab = there.window((begin, 0, 0), (end, *there.shape[1:]))
        result[begin:end] = _slab(probabilities, here, slab, values, dtype)
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
