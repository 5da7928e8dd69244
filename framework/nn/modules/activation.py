"""Activations: functions of each element, and softmax over a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module
from framework.nn.parameter import Parameter


class _Activation(Module):
    """An activation with settings: `names` are its fields, given to the function in this order."""

    names: tuple[str, ...] = ()
    function: Callable[..., Tensor]

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, *(getattr(self, name) for name in self.names))

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self.names if name != "inplace"]
        if getattr(self, "inplace", False):
            shown.append("inplace=True")
        return ", ".join(shown)


class _InPlace(_Activation):
    names = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class ReLU(_InPlace):
    """max(x, 0)."""

    function = staticmethod(F.relu)


class ReLU6(_InPlace):
    """min(max(x, 0), 6)."""

    function = staticmethod(F.relu6)


class SiLU(_InPlace):
    """x sigmoid(x)."""

    function = staticmethod(F.silu)


class Mish(_InPlace):
    """x tanh(softplus(x))."""

    function = staticmethod(F.mish)


class SELU(_InPlace):
    """Self-normalising exponential linear unit (Klambauer et al. 2017)."""

    function = staticmethod(F.selu)


class Hardsigmoid(_InPlace):
    """min(max(x / 6 + 1/2, 0), 1)."""

    function = staticmethod(F.hardsigmoid)


class Hardswish(_InPlace):
    """x hardsigmoid(x) (Howard et al. 2019)."""

    function = staticmethod(F.hardswish)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(F.sigmoid)


class LogSigmoid(_Activation):
    """log(sigmoid(x))."""

    function = staticmethod(F.logsigmoid)


class Tanh(_Activation):
    """Hyperbolic tangent."""

    function = staticmethod(F.tanh)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class LeakyReLU(_Activation):
    """x where positive, `negative_slope` x elsewhere."""

    names = ("negative_slope", "inplace")
    function = staticmethod(F.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace


class ELU(_Activation):
    """x where positive, alpha (exp(x) - 1) elsewhere."""

    names = ("alpha", "inplace")
    function = staticmethod(F.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GELU(_Activation):
    """x Phi(x) (Hendrycks & Gimpel 2016); `approximate` is "none" or "tanh"."""

    names = ("approximate",)
    function = staticmethod(F.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)


class Softplus(_Activation):
    """log(1 + exp(beta x)) / beta, linear above `threshold`."""

    names = ("beta", "threshold")
    function = staticmethod(F.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Hardtanh(_Activation):
    """x clipped to [min_val, max_val]."""

    names = ("min_val", "max_val", "inplace")
    function = staticmethod(F.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if max_val <= min_val:
            raise ValueError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class PReLU(Module):
    """Leaky ReLU with a learned slope, one in all or one per channel (dimension 1)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(
            framework.full((num_parameters,), init, device=device, dtype=dtype or framework.float32)
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) over `dim`."""

    names = ("dim",)
    function = staticmethod(F.softmax)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim


class LogSoftmax(Softmax):
    """log(softmax(x)) over `dim`."""

    function = staticmethod(F.log_softmax)


class Softmin(Softmax):
    """softmax(-x) over `dim`."""

    function = staticmethod(F.softmin)


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)


class CELU(_Activation):
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0) (Barron 2017)."""

    names = ("alpha", "inplace")
    function = staticmethod(F.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GLU(_Activation):
    """First half of `dim` times the sigmoid of the second (Dauphin et al. 2017)."""

    names = ("dim",)
    function = staticmethod(F.glu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class _Shrink(_Activation):
    names = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where |x| > lambd, 0 elsewhere."""

    function = staticmethod(F.hardshrink)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd, and 0 within it."""

    function = staticmethod(F.softshrink)


class Tanhshrink(_Activation):
    """x - tanh(x)."""

    function = staticmethod(F.tanhshrink)


class Threshold(_Activation):
    """x where greater than `threshold`, `value` elsewhere."""

    names = ("threshold", "value", "inplace")
    function = staticmethod(F.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace


class RReLU(_Activation):
    """Leaky ReLU; in training the slope of each element is drawn from [lower, upper] (Xu et al. 2015)."""

    names = ("lower", "upper", "inplace")

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)
