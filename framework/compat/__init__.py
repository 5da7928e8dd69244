"""Code that was written for PyTorch, on this library."""

from framework.compat.torch_name import as_torch as as_torch
