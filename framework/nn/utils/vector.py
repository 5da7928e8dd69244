"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import framework
from framework.core.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters flattened into one vector, in order."""
    return framework.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the pieces of a vector back into the parameters."""
    start = 0
    with framework.no_grad():
        for param in parameters:
            param.copy_(vec[start : start + param.numel()].reshape(param.shape))
            start += param.numel()
    if start != vec.numel():
        raise ValueError(f"the vector has {vec.numel()} elements, the parameters {start}")
