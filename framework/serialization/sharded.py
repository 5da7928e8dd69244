"""Checkpoints in several files with an index, as Hugging Face writes them."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from framework.core.files import atomic_write
from framework.serialization.errors import SerializationError, shown
from framework.serialization.safetensors import MAX_HEADER, check_metadata, parse_json, write_safetensors

INDEX = ".index.json"
_NAMES = ("model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip


def find_checkpoint(path: Path) -> Path:
    """The file, or index, to read for a path: for a folder what lies in it; for an absent file its index.

    FileNotFoundError where there is nothing; SerializationError where a folder leaves a choice.
    """
    if path.is_dir():
        for name in _NAMES:
            for candidate in (path / name, path / f"{name}{INDEX}"):
                if candidate.exists():
                    return candidate
        whole = [file for file in path.glob("*.safetensors") if not re.search(r"-\d{5}-of-\d{5}\.", file.name)]
        found = sorted([*path.glob(f"*{INDEX}"), *whole])
        if len(found) == 1:
            return found[0]
        raise SerializationError(
            f"'{path.name}' is a folder with {len(found)} checkpoints that could be meant: name the file"
            if found
            else f"'{path.name}' is a folder without a checkpoint (model.safetensors, pytorch_model.bin or an index)"
        )
    index = path.with_name(path.name + INDEX)
    return index if not path.exists() and index.exists() else path


def read_index(path: Path) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The names of the tensors in each shard, and the metadata, of an index file."""
    label = path.name
    if path.stat().st_size > MAX_HEADER:
        raise SerializationError(f"'{label}' was refused: it has more than {MAX_HEADER} bytes")
    index = parse_json(path.read_bytes(), f"'{label}'")
    places, metadata = index.get("weight_map"), index.get("metadata", {})
    if not isinstance(places, dict) or not isinstance(metadata, dict):
        raise SerializationError(f"'{label}' is damaged: it has no weight_map that gives each tensor its file")
    shards: dict[str, list[str]] = {}
    for name, shard in places.items():
        if not isinstance(shard, str) or not _is_plain(shard):
            raise SerializationError(
                f"'{label}' was refused: it places {shown(name)} in {shown(shard)}, but shards lie beside their index"
            )
        shards.setdefault(shard, []).append(name)
    return shards, metadata


def write_sharded(
    path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str], limit: int
) -> None:
    """Write shards of at most `limit` bytes of data and their index; one plain file where everything fits in one.

    The index is replaced last, and no file that an index in place names is touched before, so that a killed run leaves
    the old checkpoint or the new one.
    """
    if not path.name.endswith(".safetensors"):
        raise ValueError(f"a sharded checkpoint is named *.safetensors, not {path.name!r}")
    check_metadata(metadata)
    index = path.with_name(path.name + INDEX)
    groups = _groups(arrays, limit)
    old = _own_shards(index, path.stem)
    if len(groups) <= 1:
        with atomic_write(path) as file:
            write_safetensors(file, arrays, metadata)
        _remove(index, path.parent, old)
        return
    taken = any(name.startswith(f"{path.stem}-0") for name in old)
    stem = f"{path.stem}-new" if taken else path.stem
    names = [f"{stem}-{number:05}-of-{len(groups):05}.safetensors" for number in range(1, len(groups) + 1)]
    places = {}
    for name, group in zip(names, groups):
        with atomic_write(path.with_name(name)) as file:
            write_safetensors(file, {key: arrays[key] for key in group}, {"format": metadata.get("format", "pt")})
        places.update(dict.fromkeys(group, name))
    total = sum(array.nbytes for array in arrays.values())
    content = {"metadata": {"total_size": total, **metadata}, "weight_map": dict(sorted(places.items()))}
    with atomic_write(index, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    _remove(path, path.parent, [name for name in old if name not in names])


def parse_size(size: int | str) -> int:
    """Bytes from a number or a text as "5GB" (10**9) or "5GiB" (2**30). ValueError for others."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(size), re.IGNORECASE)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or int(float(match[1]) * unit) < 1:
        raise ValueError(f"{size!r} is no size: give bytes, or a text as '5GB'")
    return int(float(match[1]) * unit)


def _groups(arrays: Mapping[str, np.ndarray[Any, Any]], limit: int) -> list[list[str]]:
    """Names of arrays, in the order given, in groups of at most `limit` bytes; a larger array is alone."""
    groups: list[list[str]] = []
    room = 0
    for name in arrays:
        size = arrays[name].nbytes
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size
    return groups


def _is_plain(name: str) -> bool:
    """Whether a name can only be that of a file in the same folder, on every system."""
    return name not in ("", ".", "..") and not re.search(r'[/\\:\0<>|?*"]', name)


def _own_shards(index: Path, stem: str) -> list[str]:
    """The shards that an index of ours in this place names."""
    if not index.exists():
        return []
    with contextlib.suppress(SerializationError):
        pattern = re.compile(rf"{re.escape(stem)}(-new)?-\d{{5}}-of-\d{{5}}\.safetensors")
        return [name for name in read_index(index)[0] if pattern.fullmatch(name)]
    return []


def _remove(head: Path, folder: Path, names: list[str]) -> None:
    """What a newer checkpoint of the same name has replaced."""
    for path in (head, *(folder / name for name in names)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
