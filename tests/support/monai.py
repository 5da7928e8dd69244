"""MONAI's recorded test cases (Apache-2.0): arguments, inputs and expected values as data."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[3] / "shared/conformance/monai_cases"


@functools.cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)


def fill(name: str, value: Any) -> Any:
    """A recorded value with its arrays, tuples and special floats in place."""
    if isinstance(value, list):
        return [fill(name, item) for item in value]
    if isinstance(value, dict):
        if "__array__" in value:
            # The collection leaves out arrays that are all zero.
            known = _arrays(name).get(value["__array__"])
            return np.zeros(value["shape"], value["dtype"]) if known is None else known
        if "__float__" in value:
            return float(value["__float__"])
        if "__tuple__" in value:
            return tuple(fill(name, item) for item in value["__tuple__"])
        return {key: fill(name, item) for key, item in value.items()}
    return value


def recorded(name: str) -> list[dict[str, Any]] | None:
    """The raw cases of one file; None where the collection is absent."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cases(name: str, *tests: str) -> list[Any]:
    """pytest parameters (recorded arguments) of tests "Class.test" in one file; a skipped one without it."""
    found = recorded(name)
    if found is None:
        return [pytest.param(None, marks=pytest.mark.skip(reason="MONAI's recorded cases are not here"))]
    titled = [(f"{case['class']}.{case['test']}", case) for case in found if case["args"]]
    return [pytest.param((name, case["args"]), id=f"{title}-{case['idx']}") for title, case in titled if title in tests]


def arguments(case: tuple[str, Any]) -> Any:
    """The arguments of a case from `cases`."""
    return fill(*case)
