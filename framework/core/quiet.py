"""Silence for NumPy's floating-point warnings: a tensor operation overflows to inf and divides by zero without a word.

    token = hush(SILENT)
    try: ...
    finally: restore(token)

`numpy.errstate` does the same in a microsecond, which is more than a small operation takes; the context variable
behind it takes a quarter.
"""

from typing import Any

import numpy as np

hush: Any  # ignore floating-point errors in this thread until `restore` is given what this returned
restore: Any
SILENT: Any

try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    SILENT = _make_extobj(all="ignore")
    hush, restore = _extobj_contextvar.set, _extobj_contextvar.reset

except ImportError:  # a NumPy that keeps it elsewhere
    SILENT = dict.fromkeys(("divide", "over", "under", "invalid"), "ignore")

    def hush(errors: Any) -> Any:
        return np.seterr(**errors)

    def restore(token: Any) -> None:
        np.seterr(**token)
