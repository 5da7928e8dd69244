"""Optimizers, schedules and precision of a fit, as the module and the trainer ask for them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import framework
from framework.optim import Optimizer
from framework.optim.lr_scheduler import ReduceLROnPlateau

PRECISIONS = {"32-true": None, "bf16-mixed": "bfloat16", "16-mixed": "float16"}


@dataclass
class Plan:
    """A schedule, and when it steps: every `frequency` steps or epochs; `monitor` is the metric of a plateau."""

    scheduler: Any
    interval: str = "epoch"
    frequency: int = 1
    monitor: str | None = None

    def __post_init__(self) -> None:
        if self.interval not in ("epoch", "step"):
            raise ValueError(f"the interval of a schedule is 'epoch' or 'step', got {self.interval!r}")
        if self.needs_metric and self.monitor is None:
            raise ValueError(
                "ReduceLROnPlateau needs the name of a metric: give configure_optimizers' lr_scheduler as a dict with "
                '"scheduler" and "monitor"'
            )

    @property
    def needs_metric(self) -> bool:
        return isinstance(self.scheduler, ReduceLROnPlateau)

    def step(self, interval: str, count: int, metrics: dict[str, float]) -> None:
        """`count` steps or epochs are done: step the schedule where it is due."""
        if interval != self.interval or count % self.frequency:
            return
        if not self.needs_metric:
            self.scheduler.step()
        elif self.monitor in metrics:
            self.scheduler.step(metrics[self.monitor])
        elif interval == "epoch":
            known = ", ".join(sorted(metrics)) or "nothing yet"
            raise KeyError(f"ReduceLROnPlateau watches {self.monitor!r}, which was not logged; logged are: {known}")


def configured(module: Any) -> tuple[list[Any], list[Plan]]:
    """The optimizers and schedules that `module.configure_optimizers()` gives, in any of its forms."""
    made = module.configure_optimizers()
    optimizers: list[Any]
    schedules: list[Any] = []
    if isinstance(made, Optimizer):
        optimizers = [made]
    elif isinstance(made, dict):
        optimizers = [made["optimizer"]]
        schedules = [made["lr_scheduler"]] if made.get("lr_scheduler") is not None else []
    elif isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], list) and isinstance(made[1], list):
        optimizers, schedules = made
    elif isinstance(made, list | tuple) and made and all(isinstance(each, Optimizer) for each in made):
        optimizers = list(made)
    else:
        raise TypeError(
            "configure_optimizers should give an optimizer, a dict with 'optimizer' and 'lr_scheduler', or lists of "
            f"optimizers and of schedules, but gave {made!r}"
        )
    if len(optimizers) > 1 and module.automatic_optimization:
        raise ValueError(
            f"{type(module).__name__} has {len(optimizers)} optimizers: set automatic_optimization = False and step "
            "them in training_step, because the trainer cannot know their order"
        )
    plans = [Plan(**each) if isinstance(each, dict) else Plan(each) for each in schedules]
    return optimizers, plans


class Precision:
    """Autocast and the scaling of gradients: "32-true", "bf16-mixed" or "16-mixed"."""

    def __init__(self, name: str, device: str) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, got {name!r}")
        self.dtype, self.device = PRECISIONS[name], device
        self.scaler: Any = None
        if self.dtype is None:
            return
        try:
            self._amp = importlib.import_module("framework.amp")
        except ModuleNotFoundError:
            raise RuntimeError(f"precision {name!r} needs framework.amp, which this build does not have") from None
        if self.dtype == "float16":
            self.scaler = self._amp.GradScaler(device)

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        """The region of the forward pass and the loss."""
        if self.dtype is None:
            yield
            return
        with self._amp.autocast(self.device, dtype=getattr(framework, self.dtype)):
            yield

    def backward(self, loss: Any) -> None:
        """Gradients of the loss, scaled where half precision asks for it."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def unscale(self, optimizer: Any) -> None:
        """Gradients in their own units."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Any) -> bool:
        """Step the optimizer; False where infinite gradients made the scaler leave it out."""
        if self.scaler is None:
            optimizer.step()
            return True
        before = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return bool(self.scaler.get_scale() >= before)
