"""Sliding-window prediction with bounded memory.

Windows of the training size are laid evenly over the volume, as nnU-Net does, and blended with Gaussian weights,
because a network is least sure at the border of its window (Isensee et al. 2021). Results are accumulated in float32
only for the part of the volume that later windows can still reach; finished parts leave the buffer, as class numbers if
only those are wanted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import framework
from framework import nn
from framework.core.tensor import Tensor

_FLOOR = 1e-4  # of the weight along one axis, so that a sharp Gaussian never divides zero by zero


def sliding_window(
    predict: Callable[[Tensor], Any],
    volume: Any,
    window: Sequence[int | None],
    *,
    overlap: float | Sequence[float] = 0.5,
    batch_size: int = 1,
    weighting: str = "gaussian",
    mirror_axes: Sequence[int] = (),
    activation: str | None = None,
    labels: bool = False,
    pad_value: float = 0.0,
    progress: Callable[[int, int], Any] | None = None,
) -> Any:
    """Predict a volume (C, *spatial), or a batch (N, C, *spatial), window by window.

    `predict` takes (B, C, *window) float tensors and returns (B, K, *window), or a list whose first entry is that; a
    Module is put into evaluation mode meanwhile, and its windows go where its parameters are. `window` is the training
    size, None for the whole of an axis. A volume smaller than the window is padded evenly with `pad_value` (what the
    training padded with) and the result cropped.
    `overlap` is the least share of a window that its neighbour covers, in all or per axis.
    `mirror_axes`: each window is also predicted mirrored over every subset of these spatial axes, and averaged.
    `activation` ("softmax", "sigmoid" or None) is applied to each prediction before blending.

    Returns float32 (K, *spatial), or with `labels` the number of the largest class (*spatial), in uint8 if it fits;
    with a leading N for a batch; a Tensor if `volume` is one, otherwise an array. `volume` is never written to.
    `progress(done, total)` is called after each batch of windows; an exception it raises stops the prediction.
    """
    given_tensor = isinstance(volume, Tensor)
    array = volume.detach().cpu().numpy() if given_tensor else np.asarray(volume)
    n = len(window)
    if array.ndim not in (n + 1, n + 2):
        raise ValueError(
            f"a window of {n} axes needs a volume (C, *spatial) or (N, C, *spatial) of {n + 1} or {n + 2} dimensions, "
            f"got shape {array.shape}"
        )
    batch = array if array.ndim == n + 2 else array[None]
    plan = _Plan(batch.shape[2:], window, overlap, weighting, mirror_axes)
    if activation not in ("softmax", "sigmoid", None):
        raise ValueError(f"activation must be 'softmax', 'sigmoid' or None, got {activation!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    total = plan.count * len(batch)
    results = []
    with framework.no_grad(), _evaluating(predict):
        for number, single in enumerate(batch):

            def report(done: int, before: int = number * plan.count) -> None:
                if progress is not None:
                    progress(before + done, total)

            padded = plan.pad(single, pad_value)
            results.append(_assemble(_slabs(predict, padded, plan, batch_size, activation, report), plan, labels))
    result = np.stack(results) if array.ndim == n + 2 else results[0]
    return framework.from_numpy(result) if given_tensor else result


def gaussian_weights(window: Sequence[int], sigma: float = 1 / 8) -> np.ndarray:
    """Weights of a window's voxels, float32 with maximum 1: a Gaussian of `sigma` window sizes around the centre."""
    result = np.ones((), np.float32)
    for profile in (_profile(size, "gaussian", sigma) for size in window):
        result = result[..., None] * profile
    return result / result.max()


def window_starts(size: int, window: int, overlap: float = 0.5) -> list[int]:
    """First voxels of evenly spread windows that cover an axis (nnU-Net: 110, 64, 0.5 -> 0, 23, 46).

    Neighbours overlap by at least `overlap` of a window, up to rounding; a shorter axis has one window, at 0.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be at least 0 and below 1, got {overlap}")
    if window < 1:
        raise ValueError(f"a window must have at least one voxel on each axis, got {window}")
    last = size - window
    if last <= 0:
        return [0]
    steps = math.ceil(last / max(window * (1 - overlap), 1.0))
    return [round(last * i / steps) for i in range(steps + 1)]


class _Plan:
    """Where the windows of one volume lie, how they are weighted, and along which axis finished parts leave."""

    def __init__(
        self,
        size: tuple[int, ...],
        window: Sequence[int | None],
        overlap: float | Sequence[float],
        weighting: str,
        mirror_axes: Sequence[int],
    ) -> None:
        n = len(size)
        if weighting not in ("gaussian", "constant"):
            raise ValueError(f"weighting must be 'gaussian' or 'constant', got {weighting!r}")
        if any(not 0 <= axis < n for axis in mirror_axes) or len(set(mirror_axes)) != len(mirror_axes):
            raise ValueError(f"mirror_axes must be distinct spatial axes from 0 to {n - 1}, got {tuple(mirror_axes)}")
        if min(size) < 1:
            raise ValueError(f"the volume has no voxels: its size is {size}")
        shares = [float(overlap)] * n if isinstance(overlap, int | float) else [float(share) for share in overlap]
        if len(shares) != n:
            raise ValueError(f"overlap must be one number or {n} of them, got {len(shares)}")
        self.size = size
        self.window = tuple(whole if length is None else int(length) for length, whole in zip(window, size))
        self.padded = tuple(max(length, whole) for length, whole in zip(self.window, size))
        self.before = tuple((padded - whole) // 2 for padded, whole in zip(self.padded, size))
        self.starts = [window_starts(s, w, share) for s, w, share in zip(self.padded, self.window, shares)]
        self.count = math.prod(len(starts) for starts in self.starts)
        # The axis with the most windows keeps the smallest part of the volume in the buffer.
        self.axis = max(range(n), key=lambda axis: self.padded[axis] / self.window[axis])
        self.profiles = [_profile(length, weighting) for length in self.window]
        self.mirrors = [s for k in range(len(mirror_axes) + 1) for s in itertools.combinations(mirror_axes, k)]

    def pad(self, volume: np.ndarray, value: float) -> np.ndarray:
        """The volume (C, *spatial) at least as large as the window; itself if it is."""
        if self.padded == self.size:
            return volume
        widths = [(0, 0)]
        widths += [(b, p - s - b) for b, p, s in zip(self.before, self.padded, self.size)]
        return np.pad(volume, widths, constant_values=value)

    def layers(self) -> Iterator[tuple[int, int, list[tuple[int, ...]]]]:
        """Windows by their place on `axis`: (start, end of what is finished after them, starts of the windows)."""
        own = self.starts[self.axis]
        for i, start in enumerate(own):
            finished = own[i + 1] if i + 1 < len(own) else self.padded[self.axis]
            places = [[start] if axis == self.axis else starts for axis, starts in enumerate(self.starts)]
            yield start, finished, list(itertools.product(*places))

    def weights(self) -> np.ndarray:
        """Weights of a window's voxels."""
        return _outer(self.profiles)

    def sums(self) -> list[np.ndarray]:
        """Along each axis, the sum of the weights of all windows; their product is the sum at a voxel."""
        result = []
        for starts, profile, length in zip(self.starts, self.profiles, self.padded):
            line = np.zeros(length, np.float32)
            for start in starts:
                line[start : start + len(profile)] += profile
            result.append(line)
        return result


def _slabs(
    predict: Callable[[Tensor], Any],
    volume: np.ndarray,
    plan: _Plan,
    batch_size: int,
    activation: str | None,
    report: Callable[[int], None],
) -> Iterator[tuple[int, np.ndarray]]:
    """Blended predictions (K, *spatial) of consecutive parts along `plan.axis`, each with its first voxel."""
    axis = plan.axis + 1
    depth = plan.window[plan.axis]
    weights, sums = plan.weights(), plan.sums()
    buffer: np.ndarray | None = None
    done = 0
    for start, finished, places in plan.layers():
        for first in range(0, len(places), batch_size):
            group = places[first : first + batch_size]
            predicted = _predict_group(predict, volume, group, plan, activation)
            if buffer is None:
                shape = [predicted.shape[1], *plan.padded]
                shape[axis] = depth
                buffer = np.zeros(shape, np.float32)
            for place, values in zip(group, predicted):
                spans = [slice(p, p + w) for p, w in zip(place, plan.window)]
                spans[plan.axis] = slice(0, depth)
                buffer[(slice(None), *spans)] += values * weights
            done += len(group)
            report(done)
        assert buffer is not None  # every layer has windows
        ready = finished - start
        head: list[slice] = [slice(None)] * buffer.ndim
        head[axis] = slice(0, ready)
        part = buffer[tuple(head)].copy()
        for other, line in enumerate(sums):
            line = line[start:finished] if other == plan.axis else line
            part /= line.reshape([-1 if i == other + 1 else 1 for i in range(part.ndim)])
        yield start, part
        rest: list[slice] = [slice(None)] * buffer.ndim
        rest[axis] = slice(ready, None)
        kept = buffer[tuple(rest)].copy()
        buffer[...] = 0
        head[axis] = slice(0, kept.shape[axis])
        buffer[tuple(head)] = kept


def _predict_group(
    predict: Callable[[Tensor], Any],
    volume: np.ndarray,
    places: list[tuple[int, ...]],
    plan: _Plan,
    activation: str | None,
) -> np.ndarray:
    """Predictions (B, K, *window) in float32, averaged over the mirrored versions."""
    cut = [volume[(slice(None), *(slice(p, p + w) for p, w in zip(place, plan.window)))] for place in places]
    windows = np.stack(cut).astype(np.float32, copy=False)
    device = _device_of(predict)
    total: np.ndarray | None = None
    for mirror in plan.mirrors:
        axes = tuple(axis + 2 for axis in mirror)
        # A copy for each call: the network may work in place.
        output = predict(framework.from_numpy(np.flip(windows, axes).copy()).to(device))
        output = output[0] if isinstance(output, list | tuple) else output
        if tuple(output.shape[2:]) != plan.window or output.shape[0] != len(places):
            raise ValueError(
                f"the network made {tuple(output.shape)} of windows {windows.shape}: "
                "it must keep the batch and the spatial size"
            )
        if activation is not None:
            output = nn.functional.softmax(output, 1) if activation == "softmax" else nn.functional.sigmoid(output)
        values = np.flip(output.detach().cpu().numpy().astype(np.float32, copy=False), axes)
        total = values.copy() if total is None else np.add(total, values, out=total)
    assert total is not None  # the unmirrored window is always among them
    if len(plan.mirrors) > 1:
        total /= len(plan.mirrors)
    return total


def _assemble(slabs: Iterator[tuple[int, np.ndarray]], plan: _Plan, labels: bool) -> np.ndarray:
    """The whole result (K, *spatial), or class numbers (*spatial), without the padding."""
    result: np.ndarray | None = None
    inside = tuple(slice(b, b + s) for b, s in zip(plan.before, plan.size))
    for start, part in slabs:
        offset = 0 if labels else 1
        if labels:
            kind = np.uint8 if part.shape[0] <= 256 else np.uint16
            part = part.argmax(0).astype(kind)
        if result is None:
            shape = plan.padded if labels else (part.shape[0], *plan.padded)
            result = np.empty(shape, part.dtype)
        span = [slice(None)] * result.ndim
        span[plan.axis + offset] = slice(start, start + part.shape[plan.axis + offset])
        result[tuple(span)] = part
    assert result is not None  # a volume has at least one window
    return np.ascontiguousarray(result[inside if labels else (slice(None), *inside)])


def _device_of(predict: Any) -> Any:
    """Where a Module's parameters live; the CPU for other functions."""
    first = next(predict.parameters(), None) if isinstance(predict, nn.Module) else None
    return "cpu" if first is None else first.device


class _evaluating:  # noqa: N801
    """Puts a Module into evaluation mode and back."""

    def __init__(self, predict: Any) -> None:
        self.modules = [m for m in predict.modules() if m.training] if isinstance(predict, nn.Module) else []

    def __enter__(self) -> None:
        for module in self.modules:
            module.training = False

    def __exit__(self, *_: object) -> None:
        for module in self.modules:
            module.training = True


def _profile(length: int, weighting: str, sigma: float = 1 / 8) -> np.ndarray:
    if weighting == "constant":
        return np.ones(length, np.float32)
    distance = np.arange(length) - (length - 1) / 2
    return np.maximum(np.exp(-0.5 * (distance / (sigma * length)) ** 2), _FLOOR).astype(np.float32)


def _outer(profiles: list[np.ndarray]) -> np.ndarray:
    result = np.ones((), np.float32)
    for profile in profiles:
        result = result[..., None] * profile
    return result
