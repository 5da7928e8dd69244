"""Silence for NumPy's floating-point warnings: a tensor operation overflows to inf and divides by zero without a word.

`numpy.errstate` does the same in a microsecond, which is more than a small operation takes; the context variable
behind it takes a quarter.
"""

from typing import Any

import numpy as np

try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    _SILENT = _make_extobj(all="ignore")

    def hush() -> Any:
        """Ignore floating-point errors in this thread until `restore` is given what this returned."""
        return _extobj_contextvar.set(_SILENT)

    restore = _extobj_contextvar.reset

except ImportError:  # a NumPy that keeps it elsewhere

    def hush() -> Any:
        """Ignore floating-point errors in this thread until `restore` is given what this returned."""
        return np.seterr(all="ignore")

    def restore(token: Any) -> None:
        """Undo `hush`."""
        np.seterr(**token)
