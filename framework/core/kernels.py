"""Which function computes an op on a device: a backend's kernel in front of the reference, or the reference alone."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np


def resolve(record: Any, xp: Any) -> Callable[..., Any]:
    """A backend's kernel in front of the reference, or the reference alone."""
    if hasattr(xp, "kernel_of"):  # a transformation (vmap) has a rule for every op instead of arrays of its own
        return xp.kernel_of(record)
    forward = record.forward

    def reference(*values: Any) -> Any:
        return forward(
            xp,
            *values[: record.positional],
            **dict(zip(record.params[record.positional :], values[record.positional :])),
        )

    if xp is not np:
        return reference
    from framework.backends.cpu import KERNELS

    place = KERNELS.get(record.name.lstrip("_"))  # a private op serves the public function of its name
    if place is None:
        return reference
    module, _, function = place.partition(":")
    fast = getattr(importlib.import_module(module), function)

    def kernel(*values: Any) -> Any:
        result = fast(*values)
        return reference(*values) if result is NotImplemented else result

    return kernel
