"""`GradScaler`: keeps small float16 gradients from vanishing by scaling the loss."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from framework.core.device import array_module, cuda_is_available
from framework.core.tensor import Tensor
from framework.ops.foreach import foreach_unscale

READY, UNSCALED, STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Scales losses, unscales gradients, skips steps whose gradients are infinite or NaN, and adapts the scale.

    The scale is multiplied by `backoff_factor` after a skipped step and by `growth_factor` after `growth_interval`
    steps in a row that were not skipped. float16 needs it; bfloat16, with float32's range, does not. The interface,
    the arithmetic (float32) and the state dict are those of torch.amp.GradScaler.

    >>> scaler = framework.amp.GradScaler("cpu")
    >>> scaler.scale(loss).backward()
    >>> scaler.unscale_(optimizer)  # only where gradients are looked at, as for clipping
    >>> scaler.step(optimizer)
    >>> scaler.update()
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device == "cuda" and not cuda_is_available():
            warnings.warn("GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._device = device
        self._enabled = enabled
        self._scale = np.float32(init_scale)
        self._used = False  # whether scale() was called, so that there is something to unscale
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._stages: dict[int, str] = {}
        self._found: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """A tensor, or each tensor of an iterable (lists and tuples keep their type), times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self._used = True
            factor = array_module(outputs._data).asarray(self._scale)
            return outputs * Tensor._wrap(factor)
        if isinstance(outputs, Iterable) and not isinstance(outputs, str):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, in place; once per step."""
        if not self._enabled:
            return
        self._expect_used("unscale_")
        stage = self._stages.get(id(optimizer), READY)
        if stage == UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage == STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        grads = [param.grad for group in optimizer.param_groups for param in group["params"] if param.grad is not None]
        if any(grad._data.dtype == np.float16 for grad in grads):
            raise ValueError("Attempting to unscale FP16 gradients.")
        self._stages[id(optimizer)] = UNSCALED
        if not grads:
            return
        inverse = float(np.float32(1 / np.float64(self._scale)))
        self._found[id(optimizer)] = any(
            bool(foreach_unscale([grad._data for grad in alike], inverse)) for alike in _by_kind(grads)
        )
        for grad in grads:
            grad._shared().version += 1

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)` on unscaled gradients, or nothing (and None) where one is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._expect_used("step")
        key = id(optimizer)
        if self._stages.get(key, READY) == STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if self._stages.get(key, READY) == READY:
            self.unscale_(optimizer)
        if key not in self._found:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if self._found[key] else optimizer.step(*args, **kwargs)
        self._stages[key] = STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale after all optimizers have stepped, or set it to `new_scale`."""
        if not self._enabled:
            return
        self._expect_used("update")
        if new_scale is not None:
            if isinstance(new_scale, Tensor) and (new_scale.numel() != 1 or new_scale.requires_grad):
                raise AssertionError("new_scale should be a float or a 1-element tensor with requires_grad=False.")
            self._scale = np.float32(float(new_scale))
        else:
            if not self._found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adapt(any(self._found.values()))
        self._stages.clear()
        self._found.clear()

    def get_scale(self) -> float:
        """The scale; 1 when disabled."""
        return float(self._scale) if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after `growth_interval` good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the growth factor."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a skipped step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the backoff factor."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many good steps in a row let the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the growth interval."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether this scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, as torch's; empty when disabled. Take it after `update`."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state; nothing happens when disabled."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale = np.float32(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]

    def _adapt(self, found: bool) -> None:
        """torch._amp_update_scale_, in float32: a scale that would overflow does not grow."""
        if found:
            self._scale = np.float32(float(self._scale) * self._backoff_factor)
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            with np.errstate(over="ignore"):
                grown = np.float32(float(self._scale) * self._growth_factor)
            self._scale = grown if np.isfinite(grown) else self._scale
            self._growth_tracker = 0

    def _expect_used(self, name: str) -> None:
        if not self._used:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )


def _by_kind(grads: list[Tensor]) -> list[list[Tensor]]:
    groups: dict[Any, list[Tensor]] = {}
    for grad in grads:
        groups.setdefault((grad._data.dtype, grad.device), []).append(grad)
    return list(groups.values())
