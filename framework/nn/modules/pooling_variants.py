"""Pooling to a given size, by power means, over random regions, and the inverse of max pooling."""

from __future__ import annotations

from typing import Any

from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module
from framework.nn.modules.sizes import ntuple


class _AdaptiveMaxPool(Module):
    spatial_dims: int

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.spatial_dims - 1]
        return pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest value over windows chosen so that (N, C, L) becomes (N, C, output_size)."""

    spatial_dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest value over windows chosen so that (N, C, H, W) becomes (N, C, *output_size); None keeps a size."""

    spatial_dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest value over windows chosen so that (N, C, D, H, W) becomes (N, C, *output_size); None keeps a size."""

    spatial_dims = 3


class _LPPool(Module):
    spatial_dims: int

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.spatial_dims - 1]
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(sum of x^p)^(1/p) over each window of (N, C, L)."""

    spatial_dims = 1


class LPPool2d(_LPPool):
    """(sum of x^p)^(1/p) over each window of (N, C, H, W)."""

    spatial_dims = 2


class LPPool3d(_LPPool):
    """(sum of x^p)^(1/p) over each window of (N, C, D, H, W)."""

    spatial_dims = 3


class _MaxUnpool(Module):
    spatial_dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        n = self.spatial_dims
        self.kernel_size = ntuple(kernel_size, n)
        self.stride = self.kernel_size if stride is None else ntuple(stride, n)
        self.padding = ntuple(padding, n)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.spatial_dims - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The values of `MaxPool1d` put back at its indices, zeros elsewhere."""

    spatial_dims = 1


class MaxUnpool2d(_MaxUnpool):
    """The values of `MaxPool2d` put back at its indices, zeros elsewhere."""

    spatial_dims = 2


class MaxUnpool3d(_MaxUnpool):
    """The values of `MaxPool3d` put back at its indices, zeros elsewhere."""

    spatial_dims = 3


class _FractionalMaxPool(Module):
    spatial_dims: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self.spatial_dims
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size, self.return_indices = ntuple(kernel_size, n), return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else ntuple(output_size, n)
        self.output_ratio = None if output_ratio is None else ntuple(output_ratio, n)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        pool = (F.fractional_max_pool2d, F.fractional_max_pool3d)[self.spatial_dims - 2]
        return pool(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Largest value over windows of (N, C, H, W) at random steps (Graham 2014)."""

    spatial_dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Largest value over windows of (N, C, D, H, W) at random steps (Graham 2014)."""

    spatial_dims = 3
