"""Kernels of each device, behind the op table."""
