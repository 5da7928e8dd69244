"""Automatic differentiation: backward passes, gradients, custom functions and their checks."""

from framework.autograd import functional, graph
from framework.autograd.backward import backward, grad
from framework.autograd.function import Function
from framework.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from framework.core.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
