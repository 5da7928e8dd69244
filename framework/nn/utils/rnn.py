"""Sequences of different lengths: padded to one tensor, or packed time by time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import framework
from framework.core.tensor import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of decreasing length, all first elements in `data`, then all second ones, and so on.

    `data` is (sum of lengths, *); `batch_sizes` (longest length) int64 counts the elements of each time.
    `sorted_indices` says which of the given sequences stands where, `unsorted_indices` is its inverse; both are None
    if the sequences were given in decreasing length. Recurrent layers take and give such sequences.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:  # as torch: one argument (data, batch_sizes)
            if not isinstance(data, Sequence) or len(data) != 2:
                raise ValueError("PackedSequence needs data and batch_sizes")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequence in "
                "nn.utils.rnn."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data` moved or cast, and the indices beside it."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if x is None else x.to(data.device) for x in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu")

    def cuda(self) -> PackedSequence:
        """On a GPU."""
        return self.to("cuda")

    def double(self) -> PackedSequence:
        """In float64."""
        return self.to(framework.float64)

    def float(self) -> PackedSequence:
        """In float32."""
        return self.to(framework.float32)

    def half(self) -> PackedSequence:
        """In float16."""
        return self.to(framework.float16)

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """`result[permutation[i]] == i`."""
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack (T, N, *), or (N, T, *) with `batch_first`, of which sequence k has `lengths[k]` elements.

    With `enforce_sorted` lengths must decrease; otherwise the packed sequence remembers the order.
    """
    counts = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    order = None
    batch = input if batch_first else input.transpose(0, 1)
    if len(counts) != batch.shape[0]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={batch.shape[0]})"
        )
    if not enforce_sorted:
        order = sorted(range(len(counts)), key=lambda k: -counts[k])
        counts = [counts[k] for k in order]
    elif any(later > earlier for earlier, later in itertools.pairwise(counts)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if counts[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if counts[0] > batch.shape[1]:
        raise RuntimeError(f"Expected no length above the input's {batch.shape[1]}, but got {counts[0]}")
    sizes = [sum(count > t for count in counts) for t in range(counts[0])]
    width, numbers = batch.shape[1], order or range(len(counts))
    places = [numbers[k] * width + t for t, size in enumerate(sizes) for k in range(size)]
    flat = batch.reshape(-1, *batch.shape[2:])
    sorted_indices = None if order is None else framework.tensor(order, device=input.device)
    data = flat.index_select(0, framework.tensor(places, device=input.device))
    return PackedSequence(data, framework.tensor(sizes), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The sequences padded to (T, N, *), or (N, T, *), in their first order, and their lengths (N)."""
    sizes = sequence.batch_sizes.tolist()
    time = len(sizes)
    if total_length is not None:
        if total_length < time:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {time}"
            )
        time = total_length
    data, count = sequence.data, sizes[0]
    lengths = [sum(size > k for size in sizes) for k in range(count)]
    starts = [sum(sizes[:t]) for t in range(len(sizes))]
    order = range(count) if sequence.unsorted_indices is None else sequence.unsorted_indices.tolist()
    nothing = data.shape[0]  # the row of padding behind the data
    table = [[starts[t] + k if t < lengths[k] else nothing for t in range(time)] for k in order]
    rows = framework.tensor(table if batch_first else [list(column) for column in zip(*table)], device=data.device)
    padding = framework.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    padded = framework.cat([data, padding]).index_select(0, rows.reshape(-1)).reshape(*rows.shape, *data.shape[1:])
    return padded, framework.tensor([lengths[k] for k in order])


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (L_k, *) padded to the longest: (T, N, *), or (N, T, *) with `batch_first`."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    parts = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    time = max(part.shape[0] for part in parts)

    def padded(part: Tensor) -> Tensor:
        shape = (time - part.shape[0], *part.shape[1:])
        if not shape[0]:
            return part
        fill = framework.full(shape, padding_value, dtype=part.dtype, device=part.device)
        return framework.cat([part, fill] if padding_side == "right" else [fill, part])

    return framework.stack([padded(part) for part in parts], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences (L_k, *) of a tensor padded on the right: the inverse of `pad_sequence`."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [sequence[:length] for sequence, length in zip(batch, lengths.tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (L_k, *); see `pack_padded_sequence`."""
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (L_k, *) in their first order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
