"""Data types under PyTorch's names, and PyTorch's promotion lattice.

A `DType` wraps the NumPy dtype that stores it. Kernels and the hot path work with NumPy dtypes;
`DType` is what a user sees (`tensor.dtype`, `framework.float32`).
"""

from typing import Any

import ml_dtypes
import numpy as np

BOOL, INTEGER, FLOATING, COMPLEX = range(4)


class DType:
    """An element type. `numpy_dtype` is its storage type in NumPy and CuPy."""

    __slots__ = ("category", "is_signed", "itemsize", "name", "numpy_dtype")

    def __init__(self, name: str, numpy_dtype: Any, category: int) -> None:
        self.name = name
        self.numpy_dtype = np.dtype(numpy_dtype)
        self.itemsize = self.numpy_dtype.itemsize
        self.category = category
        self.is_signed = category in (FLOATING, COMPLEX) or self.numpy_dtype.kind == "i"

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOATING

    @property
    def is_complex(self) -> bool:
        return self.category == COMPLEX

    def to_real(self) -> "DType":
        """The type of this type's real part."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> "DType":
        """The complex type of this precision."""
        return {float64: complex128}.get(self, self if self.is_complex else complex64)

    def __repr__(self) -> str:
        return f"framework.{self.name}"

    def __reduce__(self) -> str:
        return self.name


bool_ = DType("bool", np.bool_, BOOL)
uint8 = DType("uint8", np.uint8, INTEGER)
uint16 = DType("uint16", np.uint16, INTEGER)
uint32 = DType("uint32", np.uint32, INTEGER)
uint64 = DType("uint64", np.uint64, INTEGER)
int8 = DType("int8", np.int8, INTEGER)
int16 = DType("int16", np.int16, INTEGER)
int32 = DType("int32", np.int32, INTEGER)
int64 = DType("int64", np.int64, INTEGER)
float16 = DType("float16", np.float16, FLOATING)
bfloat16 = DType("bfloat16", ml_dtypes.bfloat16, FLOATING)
float32 = DType("float32", np.float32, FLOATING)
float64 = DType("float64", np.float64, FLOATING)
complex64 = DType("complex64", np.complex64, COMPLEX)
complex128 = DType("complex128", np.complex128, COMPLEX)

DTYPES = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
FROM_NUMPY = {dtype.numpy_dtype: dtype for dtype in DTYPES}
CATEGORY = {dtype.numpy_dtype: dtype.category for dtype in DTYPES}
_PYTHON = {bool: bool_, int: int64, float: float32, complex: complex64}
_default = float32


def dtype_of(numpy_dtype: Any) -> DType:
    """The `DType` of a NumPy dtype; TypeError where there is none (strings, objects, records)."""
    found = FROM_NUMPY.get(numpy_dtype)
    if found is None:
        found = FROM_NUMPY.get(np.dtype(numpy_dtype).newbyteorder("="))
    if found is None:
        names = ", ".join(dtype.name for dtype in DTYPES)
        raise TypeError(f"can't convert np.ndarray of type {numpy_dtype}; the supported types are: {names}.")
    return found


def as_dtype(value: Any) -> DType:
    """A `DType` from a DType, a Python type or a NumPy dtype."""
    if isinstance(value, DType):
        return value
    if value is float:
        return get_default_dtype()
    if value in _PYTHON:
        return _PYTHON[value]
    return dtype_of(np.dtype(value))


def get_default_dtype() -> DType:
    """The floating type that Python numbers and integer inputs of floating functions become."""
    return _default


def set_default_dtype(dtype: DType) -> None:
    """Set the default floating type; TypeError for a type that is not floating."""
    global _default
    if not isinstance(dtype, DType) or not dtype.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {dtype}")
    _default = dtype
    promote_category.cache_clear()


class _Cache(dict):
    """A memo of a function of hashable arguments, faster than lru_cache on tuples that already exist."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __missing__(self, key: Any) -> Any:
        value = self[key] = self.function(*key)
        return value

    def cache_clear(self) -> None:
        self.clear()


def _promote(a: Any, b: Any) -> Any:
    """PyTorch's lattice on two NumPy dtypes (torch.promote_types)."""
    if a == b:
        return a
    x, y = FROM_NUMPY[a], FROM_NUMPY[b]
    if x.category != y.category:
        low, high = sorted((x, y), key=lambda dtype: dtype.category)
        if high.category == COMPLEX and low.numpy_dtype == np.float64:
            return complex128.numpy_dtype
        return high.numpy_dtype
    if x.category == FLOATING:
        if {x, y} == {float16, bfloat16}:
            return float32.numpy_dtype
        return max(x, y, key=lambda dtype: dtype.itemsize).numpy_dtype
    if x.category == COMPLEX:
        return complex128.numpy_dtype
    if x.is_signed == y.is_signed:
        return max(x, y, key=lambda dtype: dtype.itemsize).numpy_dtype
    unsigned, signed = (y, x) if x.is_signed else (x, y)
    if unsigned.itemsize < signed.itemsize:
        return signed.numpy_dtype
    if unsigned is uint64:
        raise RuntimeError(f"Promotion for {x.name} and {y.name} is not defined: cast one of them first")
    # torch leaves its wider unsigned types undefined here; the array API standard does not
    return {uint8: int16, uint16: int32, uint32: int64}[unsigned].numpy_dtype


promote = _Cache(_promote)


def _promote_category(dtype: Any, category: int) -> Any:
    """`dtype` met by a Python number (or a weaker 0-d tensor) of a category: torch's rule for scalars."""
    own = FROM_NUMPY[dtype]
    if category <= own.category:
        return dtype
    if category == INTEGER:
        return int64.numpy_dtype
    if category == FLOATING:
        return get_default_dtype().numpy_dtype
    return (own if own.category == FLOATING else get_default_dtype()).to_complex().numpy_dtype


promote_category = _Cache(_promote_category)


def category_of_number(value: Any) -> int:
    """The category of a Python (or NumPy scalar) number."""
    if isinstance(value, bool | np.bool_):
        return BOOL
    if isinstance(value, int | np.integer):
        return INTEGER
    if isinstance(value, float | np.floating | ml_dtypes.bfloat16):
        return FLOATING
    if isinstance(value, complex | np.complexfloating):
        return COMPLEX
    raise TypeError(f"expected a number, got {type(value).__name__}")


def result_dtype(values: Any) -> Any:
    """NumPy dtype of an operation on arrays and Python numbers, by torch's priorities.

    Arrays with dimensions decide; 0-d arrays, then Python numbers, only raise the category.
    """
    dims = zeros = None
    number = -1
    for value in values:
        dtype = getattr(value, "dtype", None)
        if dtype is None or isinstance(value, np.generic):
            number = max(number, category_of_number(value))
        elif value.ndim:
            dims = dtype if dims is None else promote[dims, dtype]
        else:
            zeros = dtype if zeros is None else promote[zeros, dtype]
    if dims is None:
        result = zeros
    elif zeros is None or CATEGORY[zeros] <= CATEGORY[dims]:
        result = dims
    else:
        result = FROM_NUMPY[dims].to_complex().numpy_dtype if CATEGORY[dims] == FLOATING else zeros
    if result is None:
        result = (bool_, int64, get_default_dtype(), get_default_dtype().to_complex())[number].numpy_dtype
    elif number > CATEGORY[result]:
        result = promote_category[result, number]
    return result
