"""Random streams of a run: started, saved and restored together."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from framework.core.random import default_generator, fold


def seed_everything(seed: int) -> int:
    """Start the streams of this library, of NumPy and of Python's `random` from one seed; returns it."""
    default_generator.manual_seed(seed)
    np.random.seed(fold(seed, 1) & 0xFFFFFFFF)
    random.seed(seed)
    return seed


def random_state() -> dict[str, Any]:
    """Where the three streams stand; a checkpoint can hold it."""
    version, words, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "framework": default_generator.get_state(),
        "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
        "numpy": {"kind": kind, "keys": np.array(keys), "place": place, "has_gauss": has_gauss, "cached": cached},
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Continue the streams where `random_state` was called."""
    default_generator.set_state(state["framework"])
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state(
        (numpy["kind"], numpy["keys"], numpy["place"], numpy["has_gauss"], numpy["cached"])
    )  # fmt: skip
