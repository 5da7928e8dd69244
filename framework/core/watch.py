"""The way of an operation while autocast or a profiler is on: arguments cast, the call observed, as one operation."""

import functools
from collections.abc import Callable
from typing import Any

from framework.core.autocast import Policy, cast_arguments
from framework.core.modes import AUTOCAST, PROFILE, VMAP, WATCHED, modes
from framework.core.observer import observer

# functions that ask for values on their way, so that vmap runs them sample by sample
_APART = {
    "ctc_loss", "grid_sample", "histogram", "histogramdd", "index_add", "index_copy", "index_fill", "index_reduce",
    "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "lu_unpack", "masked_scatter",
    "matrix_rank", "multilabel_margin_loss", "nonzero_static", "pinv", "put", "take", "take_along_dim",
}  # fmt: skip


def watched(
    name: str, policy: Policy | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`function(*args, **kwargs)` under this thread's modes; what it calls inside is cast no further."""
    flags = modes.flags
    if flags & VMAP and name in _APART:
        from framework.func.vmap import sample_by_sample

        function = functools.partial(sample_by_sample, function)
    if flags & AUTOCAST and policy is not None:
        args, kwargs = cast_arguments(name, policy, args, kwargs)
    modes.flags = flags & ~AUTOCAST
    try:
        if flags & PROFILE and observer.call is not None:
            return observer.call(name, function, args, kwargs)
        return function(*args, **kwargs)
    finally:
        modes.flags = flags


def watched_record(record: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A record's call; see `watched`."""
    flags = modes.flags
    if flags & AUTOCAST and record.autocast is not None:
        args, kwargs = cast_arguments(record.name, record.autocast, args, kwargs)
    modes.flags = flags & ~WATCHED
    try:
        if flags & PROFILE and observer.call is not None:
            return observer.call(record.name, record.public, args, kwargs)
        return record.public(*args, **kwargs)  # which may know a shorter way, now that nobody watches
    finally:
        modes.flags = flags
