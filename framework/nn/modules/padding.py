"""Padding of the spatial dimensions; sizes are (left, right, top, bottom, front, back), the last dimension first."""

from __future__ import annotations

from typing import Any

from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module
from framework.nn.modules.sizes import ntuple


class _Pad(Module):
    """`padding` is one number for all sides or one per side; negative sizes crop."""

    spatial_dims: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.spatial_dims)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` around (..., L)."""

    spatial_dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` around (..., H, W)."""

    spatial_dims = 2


class ConstantPad3d(_ConstantPad):
    """`value` around (..., D, H, W)."""

    spatial_dims = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros around (..., L)."""

    spatial_dims = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around (..., H, W)."""

    spatial_dims = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around (..., D, H, W)."""

    spatial_dims = 3


class _BoundedPad(_Pad):
    """Padding from the input's own values: only of (N, C, *spatial) or (C, *spatial)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.spatial_dims + 1, self.spatial_dims + 2):
            raise ValueError(
                f"expected {self.spatial_dims + 1}D or {self.spatial_dims + 2}D input (got {input.ndim}D input)"
            )
        return super().forward(input)


class ReflectionPad1d(_BoundedPad):
    """Mirror image of (N, C, L) about its border values."""

    spatial_dims, mode = 1, "reflect"


class ReflectionPad2d(_BoundedPad):
    """Mirror image of (N, C, H, W) about its border values."""

    spatial_dims, mode = 2, "reflect"


class ReflectionPad3d(_BoundedPad):
    """Mirror image of (N, C, D, H, W) about its border values."""

    spatial_dims, mode = 3, "reflect"


class ReplicationPad1d(_BoundedPad):
    """Border values of (N, C, L) repeated."""

    spatial_dims, mode = 1, "replicate"


class ReplicationPad2d(_BoundedPad):
    """Border values of (N, C, H, W) repeated."""

    spatial_dims, mode = 2, "replicate"


class ReplicationPad3d(_BoundedPad):
    """Border values of (N, C, D, H, W) repeated."""

    spatial_dims, mode = 3, "replicate"


class CircularPad1d(_BoundedPad):
    """(N, C, L) continued from its other end."""

    spatial_dims, mode = 1, "circular"


class CircularPad2d(_BoundedPad):
    """(N, C, H, W) continued from its other ends."""

    spatial_dims, mode = 2, "circular"


class CircularPad3d(_BoundedPad):
    """(N, C, D, H, W) continued from its other ends."""

    spatial_dims, mode = 3, "circular"
