"""Structural similarity of images."""

from __future__ import annotations

import math

import framework
from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F
from medimg.losses.targets import check_reduction, reduce


class SSIMLoss(nn.Module):
    """1 - the structural similarity of two images (N, C, *spatial); settings of `ssim`.

    `reduction` over the batch: "mean", "sum", or "none" for (N,).
    """

    def __init__(self, data_range: float = 1.0, window: int = 11, sigma: float = 1.5, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.data_range, self.window, self.sigma, self.reduction = data_range, window, sigma, reduction

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        return reduce(1.0 - ssim(image, target, self.data_range, self.window, self.sigma), self.reduction)


def ssim(image: Tensor, target: Tensor, data_range: float = 1.0, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al., IEEE TIP 13, 2004) of images (N, C, *spatial), 1 to 3 spatial axes: (N,).

    Means, variances and covariance are under a Gaussian of `sigma` voxels in a `window` of odd size, at the places
    where the window lies inside the image; K1 = 0.01, K2 = 0.03. `data_range` is the distance between the least and the
    greatest possible value.
    """
    if tuple(image.shape) != tuple(target.shape) or not 3 <= image.ndim <= 5:
        raise ValueError(
            f"structural similarity takes two images (N, C, *spatial) of one shape, got {tuple(image.shape)} and "
            f"{tuple(target.shape)}"
        )
    if window < 1 or window % 2 == 0 or min(image.shape[2:]) < window:
        raise ValueError(f"window must be odd and fit the image {tuple(image.shape[2:])}, got {window}")
    if not data_range > 0 or not sigma > 0:
        raise ValueError(f"data_range and sigma must be positive, got {data_range} and {sigma}")
    taps = [math.exp(-0.5 * ((i - window // 2) / sigma) ** 2) for i in range(window)]
    kernel = framework.tensor([tap / sum(taps) for tap in taps], dtype=image.dtype, device=image.device)
    x, y = (part.reshape(-1, 1, *part.shape[2:]) for part in (image, target))
    mean_x, mean_y = _smooth(x, kernel), _smooth(y, kernel)
    var_x = _smooth(x * x, kernel) - mean_x * mean_x
    var_y = _smooth(y * y, kernel) - mean_y * mean_y
    cov = _smooth(x * y, kernel) - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    light = (2.0 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    detail = (2.0 * cov + c2) / (var_x + var_y + c2)
    return (light * detail).reshape(image.shape[0], -1).mean(1)


def _smooth(x: Tensor, kernel: Tensor) -> Tensor:
    """Filter (N, 1, *spatial) along each axis, without padding."""
    n = x.ndim - 2
    convolve = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    for axis in range(n):
        x = convolve(x, kernel.reshape(1, 1, *[kernel.numel() if a == axis else 1 for a in range(n)]))
    return x
