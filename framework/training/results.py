"""Values logged while a model runs: the present ones of steps, and means over an epoch."""

from __future__ import annotations

from typing import Any

from framework.core.tensor import Tensor


class Results:
    """Collects what `log` is given during one pass over data.

    A value that is logged both by step and by epoch is called `name_step` and `name_epoch`, as in Lightning; its
    epoch's value is the mean weighted by batch size. All is part of a checkpoint, so that a resumed epoch gives the
    means of an unbroken one.
    """

    def __init__(self) -> None:
        self.step: dict[str, float] = {}  # of the present step
        self.shown: dict[str, float] = {}  # for the progress display
        self._sums: dict[str, tuple[float, float]] = {}  # total of value * weight, total weight
        self._both: set[str] = set()  # logged by step and by epoch

    def add(
        self, name: str, value: Any, on_step: bool, on_epoch: bool, prog_bar: bool = False, weight: float = 1
    ) -> None:
        """Take in one value: a number or a tensor of one element."""
        number = as_number(name, value)
        if on_step:
            self.step[f"{name}_step" if on_epoch else name] = number
        if on_epoch:
            total, weights = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = total + number * weight, weights + weight
            if on_step:
                self._both.add(name)
        if prog_bar:
            self.shown[name] = number

    def epoch(self) -> dict[str, float]:
        """The means so far of what was logged by epoch."""
        return {
            f"{name}_epoch" if name in self._both else name: total / weight
            for name, (total, weight) in self._sums.items()
        }

    def clear(self) -> None:
        """Begin a new epoch."""
        self.step, self.shown, self._sums, self._both = {}, {}, {}, set()

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers."""
        return {
            "step": dict(self.step),
            "shown": dict(self.shown),
            "sums": dict(self._sums),
            "both": sorted(self._both),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.step, self.shown = dict(state["step"]), dict(state["shown"])
        self._sums, self._both = dict(state["sums"]), set(state["both"])


def as_number(name: str, value: Any) -> float:
    """A float; ValueError for a tensor of several elements, TypeError for what is no number."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(
            f"log({name!r}, ...) takes a number, but got a tensor of shape {tuple(value.shape)}: reduce it"
        )
    try:
        return float(value)
    except TypeError:
        raise TypeError(f"log({name!r}, ...) takes a number, but got a {type(value).__name__}") from None


def length_of(batch: Any) -> int:
    """Length of the first tensor or array found in a batch; 1 where there is none."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        sized = (item for item in batch if isinstance(item, dict | list | tuple) or len(getattr(item, "shape", ())))
        return length_of(next(sized, None))
    shape = getattr(batch, "shape", None)
    return int(shape[0]) if shape else 1
