"""Fixtures of the imaging tests."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.monai import fill, recorded


@pytest.fixture
def monai_cases() -> Callable[..., list[dict[str, Any]]]:
    """Cases of a MONAI test file by name, with arrays in place; skips where the collection is absent."""

    def load(name: str, *tests: str) -> list[dict[str, Any]]:
        found = recorded(name)
        if found is None:
            pytest.skip("MONAI's cases (../shared/conformance) are not here")
        return [fill(name, case) for case in found if not tests or case["test"] in tests]

    return load
