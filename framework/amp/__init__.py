"""Automatic mixed precision under PyTorch's names."""

from framework.amp.autocast import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from framework.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
