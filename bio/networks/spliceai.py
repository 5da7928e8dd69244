"""The published weights of SpliceAI."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from bio.errors import SequenceError
from bio.networks.dilated import SpliceAI
from framework.serialization import load_arrays

_FIELDS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def load_spliceai(path: str | os.PathLike[str]) -> SpliceAI:
    """The network of one of the five files `spliceai1.h5` ... `spliceai5.h5` (PyPI `spliceai`; its licence is its own).

    Their answers are averaged in the paper. SequenceError where the file holds another network.
    """
    network = SpliceAI().eval()
    layers = _numbered(load_arrays(path))
    state = network.state_dict()
    wanted = _order(network)
    if {kind: len(layers.get(kind, [])) for kind in wanted} != {kind: len(names) for kind, names in wanted.items()}:
        raise SequenceError(f"'{path}' is not one of SpliceAI-10k's models: its layers are others")
    for kind, names in wanted.items():
        for ours, weights in zip(names, layers[kind]):
            for field, array in weights.items():
                name = f"{ours}.{_FIELDS.get(field, 'weight' if field == 'kernel' else field)}"
                array = array.transpose(2, 1, 0) if field == "kernel" else array
                if name not in state or tuple(state[name].shape) != array.shape:
                    raise SequenceError(f"'{path}' is not one of SpliceAI-10k's models: {name} is {array.shape} in it")
                state[name] = np.ascontiguousarray(array)
    network.load_state_dict({name: _tensor(value) for name, value in state.items()})
    return network


def _tensor(value: Any) -> Any:
    import framework

    return framework.as_tensor(value)


def _numbered(arrays: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Keras numbers layers in the order they were made: {"conv1d": [weights of the first, ...], ...}."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, array in arrays.items():
        match = re.fullmatch(r"(\w+)_(\d+)/(\w+):0", name)
        if match is not None:
            kind, number, field = match.groups()
            found.setdefault(kind, {}).setdefault(int(number), {})[field] = array
    return {kind: [layers[number] for number in sorted(layers)] for kind, layers in found.items()}


def _order(network: SpliceAI) -> dict[str, list[str]]:
    """Our layers in the order that SpliceAI's training code makes them."""
    convs, norms = ["stem", "skip"], []
    for number in range(len(network.units)):
        convs += [f"units.{number}.conv1", f"units.{number}.conv2"]
        norms += [f"units.{number}.norm1", f"units.{number}.norm2"]
        if (number + 1) % network.group == 0:
            convs.append(f"skips.{number // network.group}")
    return {"conv1d": [*convs, "head.out"], "batch_normalization": norms}
