"""The card of a trained model: what it was made of, what made it, and what its inputs should look like."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.config import Config, dump_config
from pipelines.errors import ModelError
from pipelines.fingerprint import Fingerprint

FORMAT = "voxhelix model 1"
RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment."


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Intensity(_Part):
    """Clip to `window`, subtract `mean`, divide by `std`: the same for every image (no per-image statistics)."""

    window: tuple[float, float]
    mean: float
    std: float


class Source(_Part):
    """One training case, by content and without a path, which may name a patient."""

    name: str
    image_sha256: str
    label_sha256: str
    labelled_slices: tuple[int, int] | None = None
    voxels: dict[str, int]


class Card(_Part):
    """All that a reader of a model folder needs beside the weights; `card.json`."""

    format: str = FORMAT
    notice: str = RESEARCH_USE
    name: str
    created: str
    labels: dict[str, int]
    spacing: tuple[float, float, float]
    intensity: Intensity
    fingerprint: Fingerprint
    sources: tuple[Source, ...]
    config_sha256: str
    weights_sha256: str
    seed: int
    iterations: int
    seconds: float
    device: str
    versions: dict[str, str]
    scores: dict[str, Any] = {}


def read_card(folder: Path) -> Card:
    """The card of a model folder. Raises ModelError where it is absent or not a card of this version."""
    path = folder / "card.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(_not_a_model(folder)) from None
    except (OSError, ValueError):
        raise ModelError(f"{path} is not readable as JSON; the model folder is damaged") from None
    if isinstance(raw, dict) and raw.get("format") != FORMAT:
        raise ModelError(f"{path} says format {raw.get('format')!r}; this version of voxhelix reads {FORMAT!r}")
    try:
        return Card.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path}: {key}: {first['msg']}; the model folder is damaged") from None


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json` into a model folder, whole or not at all."""
    from framework.core.files import atomic_write

    with atomic_write(folder / "card.json", "w", encoding="utf-8") as file:
        file.write(card.model_dump_json(indent=2) + "\n")


def config_hash(config: Config) -> str:
    """SHA-256 of the complete configuration."""
    return hashlib.sha256(dump_config(config).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_a_model(folder: Path) -> str:
    if not folder.exists():
        return f"there is no model folder {folder}"
    if (folder / "checkpoint.safetensors").exists():
        return f"{folder} holds a training run that has not finished; `voxhelix train` with the same config ends it"
    inside = sorted(path.parent for path in folder.glob("*/card.json"))
    if inside:
        return f"{folder} is not a model, but holds one: did you mean {inside[0]}?"
    return f"{folder} is not a model: it has no card.json (a model is the folder that `voxhelix train` writes)"
