"""A plain U-Net in nnU-Net's style, in one to three dimensions.

Isensee et al., nnU-Net (Nature Methods 2021): stages of convolution, instance norm and leaky ReLU; strided convolution
down, transposed convolution up, skip connections by concatenation, a segmentation head at every level of the decoder.
Names of parameters are those of nnU-Net's PlainConvUNet, so that its weights load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import framework
from framework import nn
from framework.core.tensor import Tensor

_SLOPE = 0.01
_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class UNet(nn.Module):
    """(N, in_channels, *spatial) -> logits (N, out_channels, *spatial).

    `features`, `strides` and `kernel_sizes` have one entry per stage; a stride or kernel size is a number or one number
    per axis (anisotropic scans: `(1, 2, 2)`, `(1, 3, 3)`). The first stride must be 1. Every axis of the input must be
    a multiple of `divisor`, and the lowest level must keep more than one voxel, or instance norm would erase it.

    With `deep_supervision`, in training, the result is a list: logits at full resolution first, then at each
    coarser level, for `medimg.losses.DeepSupervisionLoss`. In evaluation it is the full resolution only.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 2,
        features: Sequence[int] = (32, 64, 128, 256, 320, 320),
        strides: Sequence[Any] = (1, 2, 2, 2, 2, 2),
        kernel_sizes: Sequence[Any] | int = 3,
        deep_supervision: bool = False,
        convs_per_stage: int | Sequence[int] = 2,
        convs_per_decoder_stage: int | Sequence[int] = 2,
    ) -> None:
        super().__init__()
        if spatial_dims not in (1, 2, 3):
            raise ValueError(f"spatial_dims must be 1, 2 or 3, got {spatial_dims}")
        n = len(features)
        if n < 2:
            raise ValueError(f"a U-Net needs at least two stages, got features={list(features)}")
        steps = _per_axis(strides, n, spatial_dims, "strides")
        kernels = _per_axis(kernel_sizes, n, spatial_dims, "kernel_sizes")
        if any(step != 1 for step in steps[0]):
            raise ValueError(f"the first stride must be 1, or the output would be smaller than the input: {steps[0]}")
        if any(size % 2 == 0 for kernel in kernels for size in kernel):
            raise ValueError(f"kernel sizes must be odd, so that convolution keeps the size: {kernels}")
        down = _per_stage(convs_per_stage, n, "convs_per_stage")
        up = _per_stage(convs_per_decoder_stage, n - 1, "convs_per_decoder_stage")
        self.spatial_dims, self.in_channels, self.out_channels = spatial_dims, in_channels, out_channels
        self.deep_supervision = deep_supervision
        self.divisor = tuple(math.prod(axis) for axis in zip(*steps))
        self.encoder = _Encoder(spatial_dims, in_channels, tuple(features), steps, kernels, down)
        self.decoder = _Decoder(spatial_dims, out_channels, tuple(features), steps, kernels, up)
        self.apply(_initialise)
        self.register_load_state_dict_pre_hook(_drop_aliases)

    def forward(self, input: Tensor) -> Any:
        self.check_size(tuple(input.shape))
        return self.decoder(self.encoder(input), every_level=self.deep_supervision and self.training)

    def check_size(self, shape: tuple[int, ...]) -> None:
        """ValueError, saying what would fit, where an input of this shape (N, C, *spatial) cannot pass."""
        if len(shape) != self.spatial_dims + 2:
            raise ValueError(
                f"expected an input of {self.spatial_dims + 2} dimensions (N, C, *spatial), got shape {shape}"
            )
        if shape[1] != self.in_channels:
            raise ValueError(f"this U-Net takes {self.in_channels} channels, got {shape[1]} (shape {shape})")
        size = shape[2:]
        if any(length % unit for length, unit in zip(size, self.divisor)):
            fits = tuple(-(-length // unit) * unit for length, unit in zip(size, self.divisor))
            raise ValueError(f"spatial size {size} must be a multiple of {self.divisor} on each axis: pad it to {fits}")
        if math.prod(size) == math.prod(self.divisor):
            raise ValueError(
                f"spatial size {size} leaves a single voxel at the lowest level, which instance norm erases: "
                "use a larger window or fewer stages"
            )


class _ConvBlock(nn.Module):
    """Convolution, then instance norm and leaky ReLU as one operation."""

    def __init__(
        self, dims: int, channels: int, features: int, kernel: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        super().__init__()
        padding = tuple(size // 2 for size in kernel)
        self.conv = _CONV[dims - 1](channels, features, kernel, stride, padding)
        self.norm = nn.NormAct(features, negative_slope=_SLOPE)

    def forward(self, input: Tensor) -> Tensor:
        return self.norm(self.conv(input))


class _ConvStack(nn.Module):
    """Convolution blocks in a row; the first may change channels and resolution."""

    def __init__(
        self, dims: int, channels: int, features: int, kernel: tuple[int, ...], stride: tuple[int, ...], count: int
    ) -> None:
        super().__init__()
        ones = (1,) * dims
        blocks = [_ConvBlock(dims, channels, features, kernel, stride)]
        blocks += [_ConvBlock(dims, features, features, kernel, ones) for _ in range(count - 1)]
        self.convs = nn.Sequential(*blocks)

    def forward(self, input: Tensor) -> Tensor:
        return self.convs(input)


class _Encoder(nn.Module):
    """The way down; returns the result of every stage, full resolution first."""

    def __init__(
        self,
        dims: int,
        channels: int,
        features: tuple[int, ...],
        strides: list[tuple[int, ...]],
        kernels: list[tuple[int, ...]],
        counts: list[int],
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        before = (channels, *features)
        for stage, count in enumerate(counts):
            stack = _ConvStack(dims, before[stage], features[stage], kernels[stage], strides[stage], count)
            self.stages.append(nn.Sequential(stack))

    def forward(self, input: Tensor) -> list[Tensor]:
        results = []
        for stage in self.stages:
            input = stage(input)
            results.append(input)
        return results


class _Decoder(nn.Module):
    """The way up, with a segmentation head at every level, lowest first.

    The lower heads stand in the state dict also without deep supervision, as in nnU-Net, so that weights trained with
    it load into a network without.
    """

    def __init__(
        self,
        dims: int,
        classes: int,
        features: tuple[int, ...],
        strides: list[tuple[int, ...]],
        kernels: list[tuple[int, ...]],
        counts: list[int],
    ) -> None:
        super().__init__()
        self.stages, self.transpconvs, self.seg_layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        ones = (1,) * dims
        for i, count in enumerate(counts):
            below = len(features) - 1 - i
            level = below - 1
            self.transpconvs.append(
                _TRANSPOSED[dims - 1](features[below], features[level], strides[below], strides[below])
            )
            self.stages.append(_ConvStack(dims, 2 * features[level], features[level], kernels[level], ones, count))
            self.seg_layers.append(_CONV[dims - 1](features[level], classes, 1))

    def forward(self, skips: list[Tensor], every_level: bool) -> Any:
        x = skips[-1]
        logits = []
        last = len(self.stages) - 1
        for i, (raise_, stage, head) in enumerate(zip(self.transpconvs, self.stages, self.seg_layers)):
            x = stage(framework.cat([raise_(x), skips[-2 - i]], 1))
            if every_level or i == last:
                logits.append(head(x))
        return logits[::-1] if every_level else logits[0]


def _initialise(module: nn.Module) -> None:
    """He et al. 2015 for leaky ReLU, biases zero: nnU-Net's initial values."""
    if isinstance(module, (*_CONV, *_TRANSPOSED)):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        nn.init.zeros_(module.bias)


def _drop_aliases(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """nnU-Net's state dicts name each encoder and block tensor several times; one is enough."""
    for key in list(state_dict):
        if key.startswith(prefix) and (".all_modules." in key or key.startswith(f"{prefix}decoder.encoder.")):
            del state_dict[key]


def _per_axis(values: Any, stages: int, dims: int, what: str) -> list[tuple[int, ...]]:
    entries = [values] * stages if isinstance(values, int) else list(values)
    if len(entries) != stages:
        raise ValueError(f"{what} must have one entry per stage ({stages}), got {len(entries)}: {entries}")
    result = [(entry,) * dims if isinstance(entry, int) else tuple(entry) for entry in entries]
    if any(len(entry) != dims or min(entry) < 1 for entry in result):
        raise ValueError(f"each of {what} must be a positive number or {dims} of them, got {entries}")
    return result


def _per_stage(values: int | Sequence[int], stages: int, what: str) -> list[int]:
    counts = [values] * stages if isinstance(values, int) else list(values)
    if len(counts) != stages or min(counts) < 1:
        raise ValueError(f"{what} must be a positive number or {stages} of them, got {values}")
    return counts
