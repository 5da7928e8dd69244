"""Training data: cases in memory, patches drawn from them, splits by patient."""

from typing import Any

_HOME = {
    "Case": "cases",
    "IGNORE": "cases",
    "make_case": "cases",
    "PatchDataset": "patches",
    "patch_stream": "patches",
    "k_fold": "splits",
    "split": "splits",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
