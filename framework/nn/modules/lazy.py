"""Modules that learn their input sizes from the first input."""

from __future__ import annotations

from inspect import signature
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn.modules.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _ConvNd,
)
from framework.nn.modules.linear import Linear
from framework.nn.modules.module import Module
from framework.nn.modules.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _RunningNorm,
)
from framework.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy


class LazyModuleMixin:
    """Stands before a `Module` among the bases: parameters are `UninitializedParameter` until the first call.

    That call gives its inputs to `initialize_parameters`, which must `materialize` them; then the module turns into
    `cls_to_become`, if that is not None. A state dict loaded before tells the shapes as well.
    """

    cls_to_become: type[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_lazy = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.pop("_is_lazy", False):
            with framework.no_grad():
                self.initialize_parameters(*args, **kwargs)
            if self.has_uninitialized_params():
                raise RuntimeError(f"module {type(self).__name__} has not been fully initialized")
            if self.cls_to_become is not None:
                self.__class__ = self.cls_to_become
                return self(*args, **kwargs)
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialize the parameters for these inputs of the forward."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module (not of its children) has no shape yet."""
        own: Any = self
        return any(map(is_lazy, (*own._parameters.values(), *own._buffers.values())))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        own: Any = self
        for name, member in (*own._parameters.items(), *own._buffers.items()):
            value = state_dict.get(prefix + name)
            if is_lazy(member) and value is not None and not is_lazy(value):
                member.materialize(value.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[misc]


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` whose `in_features` is the last size of its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.out_features = out_features
        _declare(self, ("weight", "bias") if bias else ("weight",), device, dtype)

    def reset_parameters(self) -> None:
        """As `Linear`'s; nothing while there is no shape."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Read `in_features` from the input (..., in_features)."""
        self.in_features = input.shape[-1]
        if self.has_uninitialized_params():
            _materialize(self.weight, (self.out_features, self.in_features))
            _materialize(self.bias, (self.out_features,))
            self.reset_parameters()


class _LazyConv(LazyModuleMixin, _ConvNd):
    def __init__(self, out_channels: int, *args: Any, **kwargs: Any) -> None:
        # The arguments are those of the convolution without `in_channels`; a bias of its own would have no size.
        given = dict(zip(list(signature(type(self).cls_to_become or _ConvNd).parameters)[2:], args)) | kwargs
        bias, device, dtype = given.pop("bias", True), given.get("device"), given.get("dtype")
        super().__init__(0, 0, bias=False, **given)
        self.out_channels = out_channels
        if out_channels % self.groups:
            raise ValueError("out_channels must be divisible by groups")
        _declare(self, ("weight", "bias") if bias else ("weight",), device, dtype)

    def reset_parameters(self) -> None:
        """As the convolution's; nothing while there is no shape."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Read `in_channels` from the input (N, C, *spatial) or (C, *spatial)."""
        rank = self.spatial_dims
        if input.ndim not in (rank + 1, rank + 2):
            raise RuntimeError(
                f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {type(self).__name__}, but "
                f"got input of size: {input.shape}"
            )
        self.in_channels = input.shape[-rank - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        if self.has_uninitialized_params():
            ends = self.out_channels, self.in_channels
            first, second = reversed(ends) if self.transposed else ends
            _materialize(self.weight, (first, second // self.groups, *self.kernel_size))
            _materialize(self.bias, (self.out_channels,))
            self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` without `in_channels`, which the first input tells."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` without `in_channels`, which the first input tells."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` without `in_channels`, which the first input tells."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """`ConvTranspose1d` without `in_channels`, which the first input tells."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """`ConvTranspose2d` without `in_channels`, which the first input tells."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """`ConvTranspose3d` without `in_channels`, which the first input tells."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(LazyModuleMixin, _RunningNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        self.affine, self.track_running_stats = affine, track_running_stats
        if self.affine:
            _declare(self, ("weight", "bias") if bias else ("weight",), device, dtype)
        if self.track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = framework.tensor(0, dtype=framework.int64, device=device)

    def reset_parameters(self) -> None:
        """As the norm's; nothing while there is no shape."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Read `num_features` from dimension 1 of the input."""
        self.num_features = input.shape[1]
        if self.has_uninitialized_params():
            for member in (self.weight, self.bias, self.running_mean, self.running_var):
                _materialize(member, (self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` without `num_features`, which the first input tells."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` without `num_features`, which the first input tells."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` without `num_features`, which the first input tells."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d` without `num_features`, which the first input (N, C, L) tells."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d` without `num_features`, which the first input (N, C, H, W) tells."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """`InstanceNorm3d` without `num_features`, which the first input (N, C, D, H, W) tells."""

    cls_to_become = InstanceNorm3d


def _declare(module: Module, names: tuple[str, ...], device: Any, dtype: Any) -> None:
    for name in names:
        setattr(module, name, UninitializedParameter(device=device, dtype=dtype))


def _materialize(member: Any, shape: tuple[int, ...]) -> None:
    if is_lazy(member):
        member.materialize(shape)
