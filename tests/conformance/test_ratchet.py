"""What passed PyTorch's operator database once passes still."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_nothing_is_lost() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    spec = importlib.util.spec_from_file_location("ratchet", Path(__file__).with_name("ratchet.py"))
    assert spec is not None
    assert spec.loader is not None
    ratchet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ratchet)
    if not ratchet.PROBE.exists():
        pytest.skip(f"there is no probe at {ratchet.PROBE}")
    assert ratchet.lost(ratchet.run()) == []
