"""Configuration of a task: pydantic models, YAML files and `--set` overrides."""

from pipelines.config.load import dump_config, json_schema, load_config, parse_override, validate_config
from pipelines.config.models import (
    Augmentation,
    Case,
    Config,
    Data,
    Folder,
    Inference,
    Network,
    Optimizer,
    Preprocessing,
    Training,
)

__all__ = [
    "Augmentation",
    "Case",
    "Config",
    "Data",
    "Folder",
    "Inference",
    "Network",
    "Optimizer",
    "Preprocessing",
    "Training",
    "dump_config",
    "json_schema",
    "load_config",
    "parse_override",
    "validate_config",
]
