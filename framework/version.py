"""The one place of the version of voxhelix."""

__version__ = "0.1.0"
