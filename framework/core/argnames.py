"""NumPy's names of arguments beside torch's, as torch itself takes them: `sum(x, axis=0, keepdims=True)`."""

import functools
from collections.abc import Callable, Container
from typing import Any

_TORCHS = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}


def renamed(kwargs: dict[str, Any], params: Container[str]) -> dict[str, Any]:
    """The arguments under torch's names, where these are parameters and NumPy's are not."""
    for name in tuple(kwargs):
        torchs = _TORCHS.get(name)
        if torchs is not None and torchs in params and name not in params and torchs not in kwargs:
            kwargs[torchs] = kwargs.pop(name)
    return kwargs


@functools.cache
def accepting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, taking NumPy's names too; itself where none of them has a counterpart among its parameters."""
    record = getattr(function, "record", None)
    if record is not None:
        params = frozenset(record.params)
        served = params & {"dim", "keepdim"}  # elementwise operations, the quickest, go without
    else:
        inner: Any = function
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        code = getattr(inner, "__code__", None)
        params = (
            frozenset() if code is None else frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        )
        served = params & set(_TORCHS.values())
    if not served:
        return function

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **renamed(kwargs, params)) if kwargs else function(*args)

    return wrapper
