"""The base of loggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Logger:
    """Base of loggers: a subclass defines `log_metrics`. The state of a logger is part of checkpoints.

    After a kill the files may be ahead of the checkpoint: `load_state_dict` takes back what lies beyond it.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of an optimizer step; "epoch" is among them."""
        raise NotImplementedError(f"{type(self).__name__} does not define log_metrics")

    def start(self) -> None:
        """A fit begins from nothing: what a former fit left may go."""

    def finalize(self, status: str) -> None:
        """The run ended: "success", "stopped" or "failed". Logging may go on, with another fit or test."""

    def state_dict(self) -> dict[str, Any]:
        """Where the log stands."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
