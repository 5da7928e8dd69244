"""Compiled inner loops of resampling: separable filters, label votes, gathers through any affine map.

All kernels release the GIL and write a given range of rows, so that callers can split the work over threads; results do
not depend on the split. Image data are float32, labels uint8 or int32, index arithmetic float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

_kernel: Any = njit(nogil=True, cache=True)
_inline: Any = njit(nogil=True, cache=True)


@_kernel
def filter_middle(source: Array, first: Array, weight: Array, out: Array, begin: int, end: int) -> None:
    """Weighted sums along the middle axis of source (O, N, I) into rows begin to end of the O*M of out (O, M, I)."""
    inner = source.shape[2]
    count = first.shape[0]
    taps = weight.shape[1]
    for row in range(begin, end):
        o = row // count
        i = row - o * count
        start = first[i]
        target = out[o, i]
        line = source[o, start]
        w = weight[i, 0]
        for k in range(inner):
            target[k] = w * line[k]
        for t in range(1, taps):
            w = weight[i, t]
            if w != 0.0:
                line = source[o, start + t]
                for k in range(inner):
                    target[k] += w * line[k]


@_kernel
def filter_last(source: Array, first: Array, weight: Array, out: Array, begin: int, end: int) -> None:
    """Weighted sums along the last axis of source (O, N) into rows [begin, end) of out (O, M)."""
    taps = weight.shape[1]
    for o in range(begin, end):
        line = source[o]
        target = out[o]
        for i in range(first.shape[0]):
            start = first[i]
            total = np.float32(0.0)
            for t in range(taps):
                total += weight[i, t] * line[start + t]
            target[i] = total


@_kernel
def vote_separable(
    source: Array, fx: Array, wx: Array, fy: Array, wy: Array, fz: Array, wz: Array, out: Array, begin: int, end: int
) -> None:
    """Label with the largest interpolated indicator, for separable weights; writes out[begin:end] of out (X, Y, Z)."""
    nx, ny, nz = wx.shape[1], wy.shape[1], wz.shape[1]
    names = np.empty(nx * ny * nz, np.int64)
    votes = np.empty(nx * ny * nz, np.float32)
    mixed = np.empty(source.shape[2], np.bool_)
    for i in range(begin, end):
        for j in range(out.shape[1]):
            x, y = fx[i], fy[j]
            # Nearly everywhere all voxels around agree: find out where along the whole row at once.
            base = source[x, y]
            mixed[:] = False
            for a in range(nx):
                for b in range(ny):
                    line = source[x + a, y + b]
                    for z in range(len(mixed)):
                        mixed[z] |= line[z] != base[z]
            for k in range(out.shape[2]):
                z = fz[k]
                label = base[z]
                same = not mixed[z]
                for c in range(1, nz):
                    same &= (not mixed[z + c]) & (base[z + c] == label)
                if not same:
                    found = 0
                    for a in range(nx):
                        for b in range(ny):
                            w = wx[i, a] * wy[j, b]
                            for c in range(nz):
                                found = _vote(source[x + a, y + b, z + c], w * wz[k, c], names, votes, found)
                    label = _winner(names, votes, found)
                out[i, j, k] = label


@_kernel
def decide_separable(
    scores: Array,
    fx: Array,
    wx: Array,
    fy: Array,
    wy: Array,
    fz: Array,
    wz: Array,
    values: Array,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """Label values[c] of the channel with the largest interpolated score (C, X, Y, Z), into out[begin:end].

    Of equal scores the first channel's wins. All channels of a row are interpolated before the next row, so the work
    fits the cache whatever their number.
    """
    depth, count, nz = scores.shape[3], out.shape[2], wz.shape[1]
    straight = nz == 1 and count == depth and fz[0] == 0 and fz[count - 1] == depth - 1
    line = np.empty(depth, np.float32)
    score = line if straight else np.empty(count, np.float32)
    best = np.empty(count, np.float32)
    which = np.empty(count, np.int32)  # as wide as the scores, so that the comparison is vectorised
    for i in range(begin, end):
        for j in range(out.shape[1]):
            best[:] = -np.inf
            which[:] = 0
            for c in range(scores.shape[0]):
                line[:] = 0.0
                for a in range(wx.shape[1]):
                    for b in range(wy.shape[1]):
                        w = wx[i, a] * wy[j, b]
                        if w != 0.0:
                            x, y = fx[i] + a, fy[j] + b
                            for z in range(depth):
                                line[z] += w * scores[c, x, y, z]
                if not straight:
                    for k in range(count):
                        start = fz[k]
                        total = wz[k, 0] * line[start]
                        for t in range(1, nz):
                            total += wz[k, t] * line[start + t]
                        score[k] = total
                channel = np.int32(c)
                for k in range(count):
                    better = score[k] > best[k]
                    best[k] = score[k] if better else best[k]
                    which[k] = channel if better else which[k]
            for k in range(count):
                out[i, j, k] = values[which[k]]


@_kernel
def gather_linear(
    source: Array,
    matrix: Array,
    shift: Array,
    subdivide: tuple[int, int, int],
    fill: float,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """Trilinear samples of source (C, X, Y, Z) at matrix @ (i, j, k, 1) + shift[:, i, j, k] into out[:, begin:end].

    Each output voxel is the mean over subdivide[0] x subdivide[1] x subdivide[2] points in it. Points up to half a
    voxel outside the outer voxel centres take the edge value, those beyond do not count; a voxel with none is `fill`.
    An empty `shift` means none.
    """
    points = subdivide[0] * subdivide[1] * subdivide[2]
    shifted = shift.shape[1] > 0
    for i in range(begin, end):
        for j in range(out.shape[2]):
            for k in range(out.shape[3]):
                inside = 0
                for c in range(out.shape[0]):
                    out[c, i, j, k] = 0.0
                for p in range(points):
                    x, y, z = _position(matrix, subdivide, p, i, j, k)
                    if shifted:
                        x += shift[0, i, j, k]
                        y += shift[1, i, j, k]
                        z += shift[2, i, j, k]
                    if not _inside(source.shape[1:], x, y, z):
                        continue
                    inside += 1
                    x0, x1, u = _neighbours(x, source.shape[1])
                    y0, y1, v = _neighbours(y, source.shape[2])
                    z0, z1, w = _neighbours(z, source.shape[3])
                    for c in range(out.shape[0]):
                        s = source[c]
                        a = s[x0, y0, z0] + w * (s[x0, y0, z1] - s[x0, y0, z0])
                        b = s[x0, y1, z0] + w * (s[x0, y1, z1] - s[x0, y1, z0])
                        low = a + v * (b - a)
                        a = s[x1, y0, z0] + w * (s[x1, y0, z1] - s[x1, y0, z0])
                        b = s[x1, y1, z0] + w * (s[x1, y1, z1] - s[x1, y1, z0])
                        out[c, i, j, k] += low + u * (a + v * (b - a) - low)
                if inside != 1:
                    for c in range(out.shape[0]):
                        out[c, i, j, k] = out[c, i, j, k] / inside if inside else fill


@_kernel
def gather_cubic(
    source: Array, matrix: Array, subdivide: tuple[int, int, int], fill: float, out: Array, begin: int, end: int
) -> None:
    """As `gather_linear` without shift, with Keys' cubic convolution (a = -1/2) over 4 x 4 x 4 neighbours."""
    points = subdivide[0] * subdivide[1] * subdivide[2]
    weights = np.empty((3, 4))
    for i in range(begin, end):
        for j in range(out.shape[2]):
            for k in range(out.shape[3]):
                inside = 0
                for c in range(out.shape[0]):
                    out[c, i, j, k] = 0.0
                for p in range(points):
                    x, y, z = _position(matrix, subdivide, p, i, j, k)
                    if not _inside(source.shape[1:], x, y, z):
                        continue
                    inside += 1
                    x0 = _keys(x, weights[0])
                    y0 = _keys(y, weights[1])
                    z0 = _keys(z, weights[2])
                    for c in range(out.shape[0]):
                        total = 0.0
                        for a in range(4):
                            xa = min(max(x0 + a, 0), source.shape[1] - 1)
                            for b in range(4):
                                yb = min(max(y0 + b, 0), source.shape[2] - 1)
                                line = 0.0
                                for d in range(4):
                                    zd = min(max(z0 + d, 0), source.shape[3] - 1)
                                    line += weights[2, d] * source[c, xa, yb, zd]
                                total += weights[0, a] * weights[1, b] * line
                        out[c, i, j, k] += total
                if inside != 1:
                    for c in range(out.shape[0]):
                        out[c, i, j, k] = out[c, i, j, k] / inside if inside else fill


@_kernel
def gather_labels(
    source: Array,
    matrix: Array,
    shift: Array,
    subdivide: tuple[int, int, int],
    nearest: bool,
    fill: float,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """Labels of source (X, Y, Z) at the points of `gather_linear`: nearest, or the largest trilinear indicator."""
    points = subdivide[0] * subdivide[1] * subdivide[2]
    names = np.empty(8 * points, np.int64)
    votes = np.empty(8 * points, np.float32)
    shifted = shift.shape[1] > 0
    for i in range(begin, end):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                found = 0
                for p in range(points):
                    x, y, z = _position(matrix, subdivide, p, i, j, k)
                    if shifted:
                        x += shift[0, i, j, k]
                        y += shift[1, i, j, k]
                        z += shift[2, i, j, k]
                    if not _inside(source.shape, x, y, z):
                        continue
                    x0, x1, u = _neighbours(x, source.shape[0])
                    y0, y1, v = _neighbours(y, source.shape[1])
                    z0, z1, w = _neighbours(z, source.shape[2])
                    if nearest:
                        label = source[x1 if u >= 0.5 else x0, y1 if v >= 0.5 else y0, z1 if w >= 0.5 else z0]
                        found = _vote(label, np.float32(1.0), names, votes, found)
                        continue
                    found = _vote(source[x0, y0, z0], (1 - u) * (1 - v) * (1 - w), names, votes, found)
                    found = _vote(source[x0, y0, z1], (1 - u) * (1 - v) * w, names, votes, found)
                    found = _vote(source[x0, y1, z0], (1 - u) * v * (1 - w), names, votes, found)
                    found = _vote(source[x0, y1, z1], (1 - u) * v * w, names, votes, found)
                    found = _vote(source[x1, y0, z0], u * (1 - v) * (1 - w), names, votes, found)
                    found = _vote(source[x1, y0, z1], u * (1 - v) * w, names, votes, found)
                    found = _vote(source[x1, y1, z0], u * v * (1 - w), names, votes, found)
                    found = _vote(source[x1, y1, z1], u * v * w, names, votes, found)
                out[i, j, k] = _winner(names, votes, found) if found else fill


@_kernel
def _vote(label: int, weight: float, names: Array, votes: Array, found: int) -> int:
    """Add a weight to a label's sum in the short list of labels seen; returns the list's length."""
    for n in range(found):
        if names[n] == label:
            votes[n] += weight
            return found
    names[found] = label
    votes[found] = weight
    return found + 1


@_kernel
def _winner(names: Array, votes: Array, found: int) -> int:
    """The label with most votes; a tie (within rounding) goes to the label seen first, so that no label is favoured."""
    best = 0
    for n in range(1, found):
        if votes[n] > votes[best] + np.float32(1e-5):
            best = n
    return names[best]


@_inline
def _position(
    matrix: Array, subdivide: tuple[int, int, int], p: int, i: int, j: int, k: int
) -> tuple[float, float, float]:
    """Source position of sub-point p of target voxel (i, j, k)."""
    s0, s1, s2 = subdivide
    a = i + (p // (s1 * s2) + 0.5) / s0 - 0.5
    b = j + (p // s2 % s1 + 0.5) / s1 - 0.5
    c = k + (p % s2 + 0.5) / s2 - 0.5
    return (
        matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3],
        matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3],
        matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3],
    )


@_inline
def _inside(shape: tuple[int, ...], x: float, y: float, z: float) -> bool:
    """Whether a position lies within the voxels' extent (half a voxel beyond the outer centres; 1e-6 for rounding)."""
    edge = 0.500001
    return (
        x >= -edge
        and y >= -edge
        and z >= -edge
        and x <= shape[0] - 1 + edge
        and y <= shape[1] - 1 + edge
        and z <= shape[2] - 1 + edge
    )


@_inline
def _neighbours(x: float, size: int) -> tuple[int, int, Any]:
    """Both neighbours of a position, clamped to the array, and the weight of the upper one."""
    x = min(max(x, 0.0), size - 1.0)
    low = int(x)
    return low, min(low + 1, size - 1), np.float32(x - low)


@_kernel
def _keys(x: float, weight: Array) -> int:
    """Index of the first of four neighbours; fills their weights (Keys 1981, a = -1/2)."""
    low = int(np.floor(x))
    t = x - low
    weight[0] = ((-0.5 * t + 1.0) * t - 0.5) * t
    weight[1] = (1.5 * t - 2.5) * t * t + 1.0
    weight[2] = ((-1.5 * t + 2.0) * t + 0.5) * t
    weight[3] = (0.5 * t - 0.5) * t * t
    return low - 1
