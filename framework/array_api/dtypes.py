"""Data types: casting, kinds and limits; and how the arguments of a function of two arrays meet."""

from typing import Any

from framework.core.dtype import (
    CATEGORY,
    COMPLEX,
    DTYPES,
    DType,
    as_dtype,
    bool_,
    category_of_number,
    dtype_of,
    promote,
    promote_category,
)
from framework.core.limits import finfo as _finfo
from framework.core.limits import iinfo as _iinfo
from framework.core.tensor import Tensor
from framework.ops.constants import full
from framework.ops.shape import broadcast_shapes as _common_shape
from framework.ops.shape import expand

_SIGNED = tuple(kind for kind in DTYPES if kind.numpy_dtype.kind == "i")
_UNSIGNED = tuple(kind for kind in DTYPES if kind.numpy_dtype.kind == "u")
_REAL = tuple(kind for kind in DTYPES if kind.is_floating_point)
_COMPLEX = tuple(kind for kind in DTYPES if kind.is_complex)
KINDS: dict[str, tuple[DType, ...]] = {
    "bool": (bool_,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _REAL,
    "complex floating": _COMPLEX,
    "numeric": _SIGNED + _UNSIGNED + _REAL + _COMPLEX,
}


def astype(x: Tensor, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """The values in another type, always copied unless `copy=False`; TypeError from complex to real (take `real`)."""
    source = tensor_of(x).dtype
    if source.is_complex and not as_dtype(dtype).is_complex:
        raise TypeError(f"astype: {source!r} does not fit into {as_dtype(dtype)!r}: take real(x) or imag(x) first")
    return x.to(dtype=dtype, device=device, copy=copy)


def broadcast_arrays(*arrays: Tensor) -> tuple[Tensor, ...]:
    """The arrays broadcast against one another."""
    shape = _common_shape(*(tensor_of(each).shape for each in arrays))
    return tuple(expand(each, shape) for each in arrays)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which shapes meet; ValueError where they do not."""
    try:
        return tuple(_common_shape(*shapes))
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def can_cast(from_: DType | Tensor, to: DType, /) -> bool:
    """Whether `to` is what the two types become together."""
    source = from_.dtype if isinstance(from_, Tensor) else as_dtype(from_)
    try:
        return promote[source.numpy_dtype, as_dtype(to).numpy_dtype] == as_dtype(to).numpy_dtype
    except RuntimeError:
        return False


def finfo(type: DType | Tensor, /) -> _finfo:
    """Limits of a floating type."""
    return _finfo(type.dtype if isinstance(type, Tensor) else type)


def iinfo(type: DType | Tensor, /) -> _iinfo:
    """Limits of an integer type."""
    return _iinfo(type.dtype if isinstance(type, Tensor) else type)


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> bool:
    """Whether a type is of a kind: a type, a name of `KINDS`, or a tuple of these."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"isdtype: unknown kind {kind!r}; the kinds are {', '.join(map(repr, KINDS))}")
        return dtype in KINDS[kind]
    if not isinstance(kind, DType):
        raise TypeError(f"isdtype: 'kind' must be a type, a name of a kind or a tuple, not {type(kind).__name__}")
    return dtype is kind


def result_type(*arrays_and_dtypes: Tensor | DType | complex) -> DType:
    """The type in which arrays, types and Python numbers meet; numbers only raise the category."""
    kinds = [
        each.dtype.numpy_dtype if isinstance(each, Tensor) else each.numpy_dtype
        for each in arrays_and_dtypes
        if isinstance(each, Tensor | DType)
    ]
    if not kinds:
        raise ValueError("result_type: at least one array or type is needed")
    result = kinds[0]
    for kind in kinds[1:]:
        result = promote[result, kind]
    for each in arrays_and_dtypes:
        if not isinstance(each, Tensor | DType):
            result = promote_category[result, category_of_number(each)]
    return dtype_of(result)


# -- helpers of the other modules -------------------------------------------------------------------------------------


def tensor_of(x: Any) -> Tensor:
    """The argument, which must be a Tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"expected a Tensor, got {type(x).__name__}: make one with asarray()")
    return x


def meet(*values: Any) -> list[Tensor]:
    """The arguments in one type: 0-d arrays count as any other array (unlike in torch), Python numbers are weak."""
    arrays = [value for value in values if isinstance(value, Tensor)]
    if not arrays:
        raise TypeError("at least one of the arguments must be a Tensor")
    kind = result_type(*values)
    place = arrays[0].device
    return [
        (value if value._data.dtype == kind.numpy_dtype else value.to(kind))
        if isinstance(value, Tensor)
        else full((), value, dtype=kind, device=place)
        for value in values
    ]


def is_complex(x: Tensor) -> bool:
    """Whether the elements are complex."""
    return CATEGORY[x._data.dtype] == COMPLEX


__all__ = [
    "astype",
    "broadcast_arrays",
    "broadcast_shapes",
    "can_cast",
    "finfo",
    "iinfo",
    "isdtype",
    "result_type",
]
