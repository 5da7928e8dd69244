"""Compiled loops of the metrics: label counts and the exact Euclidean distance transform."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

_kernel: Any = njit(nogil=True, cache=True)


@_kernel
def count_overlap(prediction: Array, reference: Array, row_of: Array, low: int, counts: Array) -> None:
    """Add per row of `counts` (N, 3) the voxels of a label in the prediction, in the reference, and in both.

    `row_of[value - low]` is the row of a label value, or -1.
    """
    for n in range(prediction.size):
        p = prediction[n]
        r = reference[n]
        a = row_of[p - low]
        if a >= 0:
            counts[a, 0] += 1
            if p == r:
                counts[a, 2] += 1
        b = row_of[r - low]
        if b >= 0:
            counts[b, 1] += 1


@_kernel
def squared_distance(features: Array, spacing: Array, out: Array) -> None:
    """Squared distance in mm from every voxel to the nearest feature voxel, both (X, Y, Z); exact, separable.

    Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012: along each axis the lower envelope of parabolas.
    """
    nx, ny, nz = features.shape
    longest = max(nx, ny, nz)
    line = np.empty(longest)
    apex = np.empty(longest, np.int64)
    border = np.empty(longest + 1)
    for i in range(nx):
        for j in range(ny):
            last = -1
            for k in range(nz):
                if features[i, j, k]:
                    last = k
                out[i, j, k] = ((k - last) * spacing[2]) ** 2 if last >= 0 else np.inf
            last = -1
            for k in range(nz - 1, -1, -1):
                if features[i, j, k]:
                    last = k
                if last >= 0:
                    out[i, j, k] = min(out[i, j, k], ((last - k) * spacing[2]) ** 2)
    for i in range(nx):
        for k in range(nz):
            for j in range(ny):
                line[j] = out[i, j, k]
            if _envelope(line, ny, spacing[1], apex, border):
                at = 0
                for j in range(ny):
                    while border[at + 1] < j:
                        at += 1
                    out[i, j, k] = line[apex[at]] + ((j - apex[at]) * spacing[1]) ** 2
    for j in range(ny):
        for k in range(nz):
            for i in range(nx):
                line[i] = out[i, j, k]
            if _envelope(line, nx, spacing[0], apex, border):
                at = 0
                for i in range(nx):
                    while border[at + 1] < i:
                        at += 1
                    out[i, j, k] = line[apex[at]] + ((i - apex[at]) * spacing[0]) ** 2


@_kernel
def _envelope(line: Array, size: int, step: float, apex: Array, border: Array) -> bool:
    """Lower envelope of the parabolas line[q] + (step * (x - q))^2: their apexes and where each takes over."""
    square = step * step
    top = -1
    for q in range(size):
        if line[q] == np.inf:
            continue
        cut = -np.inf
        while top >= 0:
            p = apex[top]
            cut = ((line[q] - line[p]) / square + q * q - p * p) / (2.0 * (q - p))
            if cut > border[top]:
                break
            top -= 1
            cut = -np.inf
        top += 1
        apex[top] = q
        border[top] = cut
    if top >= 0:
        border[top + 1] = np.inf
    return top >= 0
