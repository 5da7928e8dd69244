"""Signal processing."""

from framework.signal import windows

__all__ = ["windows"]
