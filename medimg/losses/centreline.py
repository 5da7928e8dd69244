"""clDice: overlap of centrelines, for vessels and other tubes whose connection matters more than their width."""

from __future__ import annotations

from typing import Any

from framework import nn
from framework.core.tensor import Tensor
from framework.nn import functional as F
from medimg.losses.targets import Activation, activate, check_activation, membership


class CLDiceLoss(nn.Module):
    """1 - clDice (Shit et al., CVPR 2021): the harmonic mean of two shares of centreline.

    Precision is the share of the prediction's soft skeleton that lies in the target, sensitivity the share of the
    target's that lies in the prediction; both sums run over the batch and the classes. `iterations` must reach half
    the width of the widest tube in voxels. `include_background=False` leaves out class 0. Returns a scalar.
    """

    def __init__(
        self,
        activation: Activation = "softmax",
        include_background: bool = False,
        iterations: int = 3,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        check_activation(activation)
        if iterations < 0:
            raise ValueError(f"iterations must not be negative, got {iterations}")
        self.activation, self.include_background = activation, include_background
        self.iterations, self.smooth = iterations, smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if not self.include_background and logits.shape[1] == 1:
            raise ValueError("include_background=False leaves nothing of a single channel")
        members, _ = membership(target, tuple(logits.shape), None)
        p = activate(logits, self.activation)
        t = members.to(p.dtype)
        if not self.include_background:
            p, t = p[:, 1:], t[:, 1:]
        thin_p, thin_t = soft_skeleton(p, self.iterations), soft_skeleton(t, self.iterations)
        precision = ((thin_p * t).sum() + self.smooth) / (thin_p.sum() + self.smooth)
        sensitivity = ((thin_t * p).sum() + self.smooth) / (thin_t.sum() + self.smooth)
        return 1.0 - 2.0 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(image: Tensor, iterations: int = 3) -> Tensor:
    """Differentiable skeleton of memberships (N, C, H, W) or (N, C, D, H, W): what opening removes at each erosion."""
    if image.ndim not in (4, 5):
        raise ValueError(f"a skeleton is for images (N, C, H, W) or (N, C, D, H, W), got shape {tuple(image.shape)}")
    skeleton: Any = F.relu(image - _dilate(_erode(image)))
    for _ in range(iterations):
        image = _erode(image)
        delta = F.relu(image - _dilate(_erode(image)))
        skeleton = skeleton + F.relu(delta - skeleton * delta)
    return skeleton


def _erode(image: Tensor) -> Tensor:
    """The least of a voxel and its neighbours across faces."""
    n = image.ndim - 2
    pool = F.max_pool2d if n == 2 else F.max_pool3d
    result: Any = None
    for axis in range(n):
        kernel = tuple(3 if a == axis else 1 for a in range(n))
        least = -pool(-image, kernel, 1, tuple(k // 2 for k in kernel))
        result = least if result is None else result.minimum(least)
    return result


def _dilate(image: Tensor) -> Tensor:
    pool = F.max_pool2d if image.ndim == 4 else F.max_pool3d
    return pool(image, 3, 1, 1)
