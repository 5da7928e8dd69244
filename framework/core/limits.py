"""What an element type can hold, and what types become together: finfo, iinfo, can_cast, promote_types, result_type."""

from typing import Any

import ml_dtypes
import numpy as np

from framework.core.dtype import CATEGORY, FLOATING, DType, as_dtype, dtype_of, get_default_dtype, promote, result_dtype


class finfo:  # noqa: N801
    """Limits of a floating type (of the real part, for a complex one): the default type when none is given.

    `bits`; `eps`, the gap between 1 and the next number; `max` and `min`; `tiny` = `smallest_normal`, the smallest
    positive number of full precision; `smallest_subnormal`; `resolution`, 10 to minus the digits that always hold.
    """

    def __init__(self, dtype: DType | None = None) -> None:
        given = get_default_dtype() if dtype is None else as_dtype(dtype)
        kind = given.to_real()
        if kind.category != FLOATING:
            raise TypeError(f"finfo() requires a floating point input type, got {given!r}: use iinfo for integers")
        limits: Any = ml_dtypes.finfo(kind.numpy_dtype)
        self.dtype = kind
        self.bits = int(limits.bits)
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.smallest_subnormal = float(limits.smallest_subnormal)
        self.resolution = float(10 ** -int(limits.precision))

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in names)}, dtype={self.dtype.name})"


class iinfo:  # noqa: N801
    """Limits of an integer type: `bits`, `min`, `max`."""

    def __init__(self, dtype: DType) -> None:
        kind = as_dtype(dtype)
        if kind.numpy_dtype.kind not in "iu":
            raise TypeError(f"iinfo() requires an integer input type, got {kind!r}: use finfo for floating types")
        limits = np.iinfo(kind.numpy_dtype)
        self.dtype = kind
        self.bits = int(limits.bits)
        self.min = int(limits.min)
        self.max = int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


def promote_types(type1: DType, type2: DType) -> DType:
    """The type in which two types meet."""
    return dtype_of(promote[as_dtype(type1).numpy_dtype, as_dtype(type2).numpy_dtype])


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The type of arithmetic between two tensors or numbers; 0-d tensors and numbers only raise the category."""
    return dtype_of(result_dtype([getattr(value, "_data", value) for value in (tensor1, tensor2)]))


def can_cast(from_: DType, to: DType) -> bool:
    """Whether a cast stays in the category or goes up: bool, integer, floating, complex."""
    return CATEGORY[as_dtype(from_).numpy_dtype] <= CATEGORY[as_dtype(to).numpy_dtype]
