"""Sums, means and maxima of bags of embeddings."""

from typing import Any

import numpy as np

from framework.core.half import half_type, rounded, widened
from framework.core.tensor import Tensor
from framework.ops import elementwise as e
from framework.ops.constants import zeros
from framework.ops.index import embedding, index_add, scatter_reduce
from framework.ops.shape import expand, reshape, unsqueeze


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """One row a bag of the rows of `weight` (V, E) that it names: (bags, E).

    Bags are the rows of a 2-D `input`, or begin at `offsets` in a 1-D one. `mode`: "sum", "mean" or "max"; entries of
    `padding_idx` do not count. Gradients are dense, whatever `sparse` says.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}')."
        )
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != tuple(input.shape):
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have "
            f"the same shape as the input ({list(input.shape)})"
        )
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    bag_of, count = _bags(input, offsets, include_last_offset)
    index = input._data.reshape(-1)
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    if max_norm is not None:
        renorm_rows(weight, index, max_norm, norm_type)
    present = np.ones(index.shape, bool) if padding_idx is None else index != padding_idx
    return _pooled(weight, index, bag_of, count, present, mode, per_sample_weights, scale_grad_by_freq)


def _pooled(
    weight: Any,
    index: Any,
    bag_of: Any,
    count: int,
    present: Any,
    mode: str,
    per_sample_weights: Any,
    scale_grad_by_freq: bool,
) -> Any:
    """One row for each bag of the entries that are present."""
    kind = half_type(weight)
    flat = Tensor._wrap(index)
    rows = widened(embedding(flat, _scaled_by_frequency(weight, index) if scale_grad_by_freq else weight))
    if not present.all():
        rows = e.where(Tensor._wrap(present[:, None]), rows, 0 * rows)
    if per_sample_weights is not None:
        rows = e.mul(rows, unsqueeze(reshape(widened(per_sample_weights), -1), 1))
    start = zeros(count, weight.shape[1], dtype=rows.dtype)
    if mode == "max":
        kept = np.nonzero(present)[0]
        places = expand(unsqueeze(Tensor._wrap(bag_of[kept]), 1), (len(kept), weight.shape[1]))
        return rounded(scatter_reduce(start, 0, places, rows[kept], "amax", include_self=False), kind)
    sums = index_add(start, 0, Tensor._wrap(bag_of), rows)
    if mode == "sum":
        return rounded(sums, kind)
    sizes = np.bincount(bag_of[present], minlength=count)
    counts = np.maximum(sizes, 1).astype(rows._data.dtype)
    return rounded(e.true_divide(sums, Tensor._wrap(counts[:, None])), kind)


def renorm_rows(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale down, in place and outside the graph, the named rows of `weight` whose norm exceeds `max_norm`."""
    named = np.unique(index)
    rows = weight._data[named]
    length = np.linalg.norm(rows, norm_type, axis=1)
    scale = np.where(length > max_norm, max_norm / (length + 1e-7), 1)
    weight._data[named] = rows * scale[:, None].astype(rows.dtype)
    weight._shared().version += 1


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, int]:
    """For each entry its bag, and the number of bags."""
    if input._data.dtype.kind not in "iu":
        raise RuntimeError(f"Expected tensor for argument #1 'indices' to have integers, but got {input.dtype}")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets).__name__}"
            )
        count, length = input.shape
        return np.repeat(np.arange(count), length), count
    if input.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = offsets._data
    total = input.shape[0]
    if len(starts) and int(starts[0]) != 0:
        raise RuntimeError(f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
                           f"position 0. However, got {int(starts[0])}")  # fmt: skip
    if len(starts) and int(starts[-1]) > total:
        raise RuntimeError(f"offsets[-1] can not be greater than input's length ({total}), but got {int(starts[-1])}")
    if include_last_offset:
        starts = starts[:-1]
    lengths = np.diff(np.append(starts, total))
    return np.repeat(np.arange(len(starts)), lengths), len(starts)


def _scaled_by_frequency(weight: Any, index: Any) -> Any:
    """The weights, whose gradient is divided by how often each row is named."""
    counts = np.maximum(np.bincount(index, minlength=weight.shape[0]), 1).astype(weight._data.dtype)[:, None]
    share = e.true_divide(weight, Tensor._wrap(counts))
    return e.add(share, e.sub(weight, share).detach())
