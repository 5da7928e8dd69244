"""The commands that the app runs as jobs: each is a `voxhelix` command that could be typed just as well."""

import sys
from pathlib import Path

_VOXHELIX = (sys.executable, "-m", "pipelines.cli")


def segment_command(model: Path, study: Path, series: str | None) -> list[str]:
    """Segment one study with one model into the job's outputs."""
    chosen = [] if series is None else ["--series", series]
    return [*_VOXHELIX, "predict", str(model), str(study), "--output", "{job}/outputs", *chosen, *_following()]


def demo_command(output: Path) -> list[str]:
    """Train the demonstration model into `output` and finish the sample's contouring with it."""
    return [*_VOXHELIX, "demo", "--output", str(output), *_following()]


def doctor_command() -> list[str]:
    """Look at this computer."""
    return [*_VOXHELIX, "doctor"]


def _following() -> list[str]:
    return ["--events", "{job}/events.jsonl"]
