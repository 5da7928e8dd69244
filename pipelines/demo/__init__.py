"""The demonstration: finishing a contouring."""

from pipelines.demo.run import run_demo

__all__ = ["run_demo"]
