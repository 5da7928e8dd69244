"""Published weights of language models of proteins and genomes, by their Hugging Face names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import framework
from bio.errors import SequenceError
from bio.networks.transformer import TransformerEncoder

_LAYER = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.out",
    "intermediate.dense": "up",
    "output.dense": "down",
}
_ESM = {
    "embeddings.word_embeddings": "embedding",
    "encoder.emb_layer_norm_after": "norm",
    "lm_head.dense": "mlm.dense",
    "lm_head.layer_norm": "mlm.norm",
    "lm_head.decoder": "mlm.decoder",
}
_ESM_LAYER = _LAYER | {"attention.LayerNorm": "norm1", "LayerNorm": "norm2"}
_BERT = {
    "embeddings.word_embeddings": "embedding",
    "embeddings.position_embeddings": "position",
    "embeddings.token_type_embeddings": "token_type",
    "embeddings.LayerNorm": "norm",
    "cls.predictions.transform.dense": "mlm.dense",
    "cls.predictions.transform.LayerNorm": "mlm.norm",
    "cls.predictions.decoder": "mlm.decoder",
}
_BERT_LAYER = _LAYER | {"attention.output.LayerNorm": "norm1", "output.LayerNorm": "norm2"}
_WITHOUT_USE = re.compile(  # ESM-2's files bring absolute positions that its rotary ones replace
    r"position_ids|position_embeddings|inv_freq|pooler\.|contact_head\.|seq_relationship\."
)


@dataclass
class LoadReport:
    """What became of each weight of a file."""

    loaded: dict[str, str] = field(default_factory=dict)
    """Name in the file -> ours."""
    left: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """In the file, of no use here: name -> shape."""
    missing: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Ours, not in the file: name -> shape."""
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Name in the file -> its shape and the one that is wanted."""

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} weights loaded"]
        lines += [f"not used: {name} {shape}" for name, shape in self.left.items()]
        lines += [f"missing: {name} {shape}" for name, shape in self.missing.items()]
        lines += [f"of another shape: {name} {has}, wanted {wants}" for name, (has, wants) in self.mismatched.items()]
        return "\n".join(lines)


def load_esm2(path: Any, heads: int | None = None) -> tuple[TransformerEncoder, LoadReport]:
    """An ESM-2 network (facebook/esm2_t6_8M_UR50D and its like) from safetensors, and the report of names and shapes.

    Sizes come from the weights; all published sizes but the smallest two have 20 heads of 24, 32, 64 or 128 features,
    which are found from the rotary frequencies where the file holds them, else from `heads` (default 20). SequenceError
    with the report where weights are missing or have other shapes.
    """
    state = _read(path)
    words = _wanted(state, "embeddings.word_embeddings.weight", path)
    frequencies = next((array for name, array in state.items() if name.endswith("inv_freq")), None)
    if heads is None:
        heads = words.shape[1] // (2 * frequencies.shape[0]) if frequencies is not None else 20
    wide = _wanted(state, "encoder.layer.0.intermediate.dense.weight", path).shape[0]
    down = _wanted(state, "encoder.layer.0.output.dense.weight", path).shape[1]
    network = TransformerEncoder(
        words.shape[0],
        words.shape[1],
        _layers(state),
        heads,
        down,
        activation="swiglu" if wide == 2 * down else "gelu",
        mask_token=32,
        token_dropout=True,
        feedforward_bias=any(name.endswith("encoder.layer.0.intermediate.dense.bias") for name in state),
    )
    return network.eval(), _fill(network, state, _ESM, _ESM_LAYER, "lm_head.bias", path)


def load_bert(path: Any, heads: int = 12, pad: int = 0) -> tuple[TransformerEncoder, LoadReport]:
    """A BERT network (ProtBert, DNABERT and their like) from safetensors, and the report of names and shapes.

    `heads` stands in the model's config.json (12, or 16 for ProtBert). SequenceError as for `load_esm2`.
    """
    state = _read(path)
    words = _wanted(state, "embeddings.word_embeddings.weight", path)
    types = _wanted(state, "embeddings.token_type_embeddings.weight", path)
    network = TransformerEncoder(
        words.shape[0],
        words.shape[1],
        _layers(state),
        heads,
        _wanted(state, "encoder.layer.0.output.dense.weight", path).shape[1],
        positions="absolute",
        norm_first=False,
        pad=pad,
        longest=_wanted(state, "embeddings.position_embeddings.weight", path).shape[0],
        token_types=types.shape[0],
        eps=1e-12,
    )
    return network.eval(), _fill(network, state, _BERT, _BERT_LAYER, "cls.predictions.bias", path)


def _read(path: Any) -> dict[str, Any]:
    """The weights, without the model's own name before theirs."""
    return {re.sub(r"^(esm|bert)\.", "", name): value for name, value in framework.load(path).items()}


def _wanted(state: dict[str, Any], name: str, path: Any) -> Any:
    if name not in state:
        raise SequenceError(f"'{path}' holds no weight {name}: it is not a network of this kind")
    return state[name]


def _layers(state: dict[str, Any]) -> int:
    numbers = [int(match[1]) for name in state if (match := re.match(r"encoder\.layer\.(\d+)\.", name))]
    return max(numbers, default=-1) + 1


def _fill(
    network: TransformerEncoder,
    state: dict[str, Any],
    names: dict[str, str],
    of_layer: dict[str, str],
    bias: str,
    path: Any,
) -> LoadReport:
    ours, report = network.state_dict(), LoadReport()
    for name, value in state.items():
        own = _translated(name, names, of_layer, bias)
        if own is None or own not in ours:
            report.left[name] = tuple(value.shape)
        elif tuple(ours[own].shape) != tuple(value.shape):
            report.mismatched[name] = (tuple(value.shape), tuple(ours[own].shape))
        else:
            ours[own] = value
            report.loaded[name] = own
    given = set(report.loaded.values())
    if "embedding.weight" in given:  # one tensor under two names
        given.add("mlm.decoder.weight")
    without_head = not any(name.startswith("mlm.") for name in report.loaded.values())
    report.missing = {
        name: tuple(value.shape)
        for name, value in ours.items()
        if name not in given and not (without_head and name.startswith("mlm."))
    }
    unknown = [name for name in report.left if not _WITHOUT_USE.search(name)]
    if report.missing or report.mismatched or unknown:
        raise SequenceError(f"the weights of '{path}' do not fit this network: {report}")
    network.load_state_dict(ours)
    return report


def _translated(name: str, names: dict[str, str], of_layer: dict[str, str], bias: str) -> str | None:
    if name == bias:
        return "mlm.decoder.bias"
    stem, _, kind = name.rpartition(".")
    match = re.match(r"encoder\.layer\.(\d+)\.(.+)", stem)
    if match is not None:
        own = of_layer.get(match[2])
        return None if own is None else f"layers.{match[1]}.{own}.{kind}"
    own = names.get(stem)
    return None if own is None else f"{own}.{kind}"
