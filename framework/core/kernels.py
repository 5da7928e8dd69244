"""Which function computes an op on a device: a backend's kernel in front of the reference, or the reference alone."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np


def resolve(record: Any, xp: Any) -> Callable[..., Any]:
    """A backend's kernel in front of the reference, or the reference alone."""
    if hasattr(xp, "kernel_of"):  # a transformation (vmap) has a rule for every op instead of arrays of its own
        return xp.kernel_of(record)
    kernel = _narrow(record, xp)
    if not record.wide:
        return kernel
    from framework.core.half import wide_kernel

    return wide_kernel(kernel, record.slots)


def _narrow(record: Any, xp: Any) -> Callable[..., Any]:
    """The kernel for arrays of the types that it is given."""
    forward = record.forward

    def reference(*values: Any) -> Any:
        return forward(
            xp,
            *values[: record.positional],
            **dict(zip(record.params[record.positional :], values[record.positional :])),
        )

    fast = backend_kernel(record) if xp is np else None
    if fast is None:
        return reference

    def kernel(*values: Any) -> Any:
        result = fast(*values)
        return reference(*values) if result is NotImplemented else result

    return kernel


def backend_kernel(record: Any) -> Callable[..., Any] | None:
    """The CPU backend's own function for an op, which may answer NotImplemented; None where it has none."""
    from framework.backends.cpu import KERNELS

    place = KERNELS.get(record.name.lstrip("_"))  # a private op serves the public function of its name
    if place is None:
        return None
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(module), function)
