"""A trained model read from its folder, and checked to be what its card says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.card import Card, file_hash, read_card
from pipelines.config import Config, load_config
from pipelines.errors import ConfigError, ModelError


@dataclass(frozen=True)
class Model:
    """Card, configuration and network of a model folder; the network is in evaluation mode."""

    folder: Path
    card: Card
    config: Config
    network: Any


def load_model(folder: Path) -> Model:
    """Read a model folder. Raises ModelError where a file is absent, damaged or not the one the card names."""
    import framework
    from pipelines.train.loop import build_network

    card = read_card(folder)
    try:
        config = load_config(folder / "config.yaml")
    except ConfigError as error:
        raise ModelError(f"{folder}: its configuration cannot be used: {error}") from None
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise ModelError(f"{folder} has no model.safetensors; the model folder is incomplete")
    if file_hash(weights) != card.weights_sha256:
        raise ModelError(f"{weights} is not the file that card.json names (its hash differs); copy the folder again")
    if file_hash(folder / "config.yaml") != card.config_sha256:
        raise ModelError(f"{folder / 'config.yaml'} was changed after training (its hash differs from card.json)")
    network = build_network(config)
    network.load_state_dict(framework.load(weights))
    network.eval()
    return Model(folder, card, config, network)
