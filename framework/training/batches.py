"""Batches on their way from a loader to a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.tensor import Tensor


def length(loader: Any) -> int | None:
    """Number of batches; None where a loader does not know it."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def limited(total: int | None, limit: int | float | None) -> int | None:
    """Batches of an epoch under a limit: a number of them, or (a float) a share."""
    if limit is None:
        return total
    if isinstance(limit, int):
        return limit if total is None else min(limit, total)
    if total is None:
        raise ValueError(f"a limit of {limit} is a share of the data, whose length is not known: give a whole number")
    return max(1, int(total * limit))


def moved(batch: Any, device: Any) -> Any:
    """A batch with its tensors on a device; None leaves all where it is."""
    if device is None:
        return batch
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: moved(item, device) for key, item in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(item, device) for item in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(item, device) for item in batch)
    return batch
