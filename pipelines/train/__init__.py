"""Training: cases, preparation, the loop, its logs and checkpoints."""

from pipelines.train.run import train

__all__ = ["train"]
