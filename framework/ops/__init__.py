"""The op table, a family a file; importing it binds the methods of Tensor."""

from framework.ops import (
    attention,
    bind,
    conv,
    creation,
    elementwise,
    foreach,
    index,
    linalg,
    loss,
    norm,
    pool,
    random,
    reduce,
    resample,
    shape,
)

__all__ = [
    "attention",
    "bind",
    "conv",
    "creation",
    "elementwise",
    "foreach",
    "index",
    "linalg",
    "loss",
    "norm",
    "pool",
    "random",
    "reduce",
    "resample",
    "shape",
]
