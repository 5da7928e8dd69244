"""Pooling in one to three dimensions."""

from __future__ import annotations

from typing import Any

from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module
from framework.nn.modules.sizes import ntuple


class _MaxPool(Module):
    spatial_dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.spatial_dims - 1]
        return pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Largest value of each window of (N, C, L)."""

    spatial_dims = 1


class MaxPool2d(_MaxPool):
    """Largest value of each window of (N, C, H, W)."""

    spatial_dims = 2


class MaxPool3d(_MaxPool):
    """Largest value of each window of (N, C, D, H, W)."""

    spatial_dims = 3


class _AvgPool(Module):
    spatial_dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self.spatial_dims - 1]
        more = () if self.spatial_dims == 1 else (self.divisor_override,)
        return pool(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, *more)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Mean of each window of (N, C, L)."""

    spatial_dims = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.kernel_size, self.stride, self.padding = (
            ntuple(value, 1) for value in (self.kernel_size, self.stride, self.padding)
        )


class AvgPool2d(_AvgPool):
    """Mean of each window of (N, C, H, W)."""

    spatial_dims = 2


class AvgPool3d(_AvgPool):
    """Mean of each window of (N, C, D, H, W)."""

    spatial_dims = 3


class _AdaptivePool(Module):
    spatial_dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, input: Tensor) -> Tensor:
        pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self.spatial_dims - 1]
        return pool(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean over windows chosen so that (N, C, L) becomes (N, C, output_size)."""

    spatial_dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean over windows chosen so that (N, C, H, W) becomes (N, C, *output_size); None keeps a size."""

    spatial_dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean over windows chosen so that (N, C, D, H, W) becomes (N, C, *output_size); None keeps a size."""

    spatial_dims = 3
