"""Fixtures of the imaging tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_MONAI = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "monai_cases"


@pytest.fixture
def monai_cases() -> Callable[..., list[dict[str, Any]]]:
    """Cases of a MONAI test file by name, with arrays in place; skips where the collection is absent."""

    def load(name: str, *tests: str) -> list[dict[str, Any]]:
        path = _MONAI / f"{name}.json"
        if not path.exists():
            pytest.skip("MONAI's cases (../shared/conformance) are not here")
        arrays = np.load(path.with_suffix(".npz")) if path.with_suffix(".npz").exists() else {}
        cases = json.loads(path.read_text())
        return [_filled(case, arrays) for case in cases if not tests or case["test"] in tests]

    return load


def _filled(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_filled(item, arrays) for item in value]
    if isinstance(value, dict):
        if "__array__" in value:
            key = value["__array__"]
            # The collection leaves out arrays that are all zero.
            return np.asarray(arrays[key]) if key in arrays else np.zeros(value["shape"], value["dtype"])
        if "__float__" in value:
            return float(value["__float__"])
        if "__tuple__" in value:
            return tuple(_filled(item, arrays) for item in value["__tuple__"])
        return {key: _filled(item, arrays) for key, item in value.items()}
    return value
