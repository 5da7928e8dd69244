"""The modules, a family a file; their names are handed on from `framework.nn`."""

from typing import Any


def __getattr__(name: str) -> Any:
    import framework.nn

    if name.startswith("_") or name not in framework.nn._HOME_OF:
        raise AttributeError(f"module 'framework.nn.modules' has no attribute '{name}'")
    return getattr(framework.nn, name)
