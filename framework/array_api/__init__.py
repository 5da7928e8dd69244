"""The Python array API standard 2024.12 over Tensors, for code that is written once for many libraries.

    xp = x.__array_namespace__()          # or: import framework.array_api as xp
    xp.std(x, axis=0, correction=1)

`framework` itself speaks PyTorch: `framework.sort` returns values and indices, `framework.std` divides by n - 1. Here
the names and signatures are the standard's. Functions record derivatives as everywhere; float16 and bfloat16 work too.
"""

from math import e, inf, nan, pi

from framework.array_api import fft, linalg
from framework.array_api.creation import *  # noqa: F403
from framework.array_api.creation import __all__ as _creation
from framework.array_api.dtypes import *  # noqa: F403
from framework.array_api.dtypes import __all__ as _dtypes
from framework.array_api.elementwise import *  # noqa: F403
from framework.array_api.elementwise import __all__ as _elementwise
from framework.array_api.info import VERSION as __array_api_version__  # noqa: N811
from framework.array_api.info import __array_namespace_info__
from framework.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot
from framework.array_api.manipulation import *  # noqa: F403
from framework.array_api.manipulation import __all__ as _manipulation
from framework.array_api.searching import *  # noqa: F403
from framework.array_api.searching import __all__ as _searching
from framework.array_api.statistics import *  # noqa: F403
from framework.array_api.statistics import __all__ as _statistics
from framework.core.dtype import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from framework.core.dtype import bool_ as bool

newaxis = None

__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "bfloat16",
    "bool",
    "complex64",
    "complex128",
    "e",
    "fft",
    "float16",
    "float32",
    "float64",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "linalg",
    "matmul",
    "matrix_transpose",
    "nan",
    "newaxis",
    "pi",
    "tensordot",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "vecdot",
    *_creation,
    *_dtypes,
    *_elementwise,
    *_manipulation,
    *_searching,
    *_statistics,
]
