"""Automatic differentiation: backward passes, gradients, custom functions and their checks."""

from framework.autograd.backward import backward, grad
from framework.autograd.function import Function
from framework.autograd.gradcheck import gradcheck, gradgradcheck
from framework.core.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]
