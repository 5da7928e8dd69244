"""Networks for sequences. Names come when first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    "masking": "mask_of_lengths masked_mean masked_max",
    "heads": "SequenceHead PositionHead TrackHead PairHead",
    "cnn": "CNN",
    "dilated": "DilatedCNN ResidualUnit SpliceAI",
    "spliceai": "load_spliceai",
    "bpnet": "BPNet",
    "unet": "UNet1d",
    "transformer": "TransformerEncoder",
    "hybrid": "ConvTransformer",
    "recurrent": "RecurrentEncoder",
    "statespace": "StateSpaceEncoder SelectiveStateSpace",
    "equivariant": "RCConv1d RCBatchNorm1d RCInvariantHead RCEquivariantCNN",
    "pretrained": "LoadReport load_bert load_esm2",
    "tiling": "tiled",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bio.networks' has no attribute '{name}'")
    value = getattr(import_module(f"bio.networks.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
