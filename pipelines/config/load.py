"""Configuration files: YAML, `--set a.b=c` on top, and messages that say where a mistake stands."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipelines.config.models import Config
from pipelines.errors import ConfigError

Key = tuple[str | int, ...]

LARGEST_FILE = 1 << 20
MOST_NODES = 50_000


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML configuration and apply overrides of the form `a.b=c`.

    Raises ConfigError, which names the key, the file with its line (or the override), and what is allowed.
    """
    path = Path(path)
    raw, lines = _read_yaml(path)
    origins = {key: f"{path}, line {line}" for key, line in lines.items()}
    for text in overrides:
        key, value = parse_override(text)
        _put(raw, key, value, text)
        origins = {known: origin for known, origin in origins.items() if known[: len(key)] != key}
        origins[key] = f"--set {text}"
    return validate_config(raw, origins, default_origin=str(path))


def validate_config(
    raw: Mapping[str, Any], origins: Mapping[Key, str] | None = None, default_origin: str = ""
) -> Config:
    """Turn a plain mapping into a Config; `origins` says where each key was written."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        sentences = [_explain(item, origins or {}, default_origin) for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(dict.fromkeys(sentences))) from None


def parse_override(text: str) -> tuple[Key, Any]:
    """`training.seed=3` -> (("training", "seed"), 3); values are YAML, so lists are written `[1, 2, 3]`."""
    name, equals, value = text.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {text}: should look like training.iterations=500 (a key, =, a value)")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: {value!r} is not a YAML value; quote special signs") from None
    return tuple(int(part) if part.isdecimal() else part for part in parts), parsed


def dump_config(config: Config) -> str:
    """The complete configuration as YAML; `load_config` reads it back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, default_flow_style=None)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the configuration, for editors that complete and check YAML."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "voxhelix configuration"}


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; a configuration is a YAML file")
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path} is larger than 1 MiB and hardly a configuration")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration {path}{_similar_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text: {type(error).__name__}") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Key, int] = {}
        if node is not None:
            _walk(node, (), lines, path)
        raw = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not valid YAML") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} should hold keys and values, such as `structures:` and `data:`")
    return raw, lines


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], path: Path) -> None:
    """Note the line of every key; refuse a key given twice, which YAML would drop without a word."""
    if len(lines) > MOST_NODES:
        raise ConfigError(f"{path} expands to more than {MOST_NODES} entries and hardly is a configuration")
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name_node, value_node in node.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            if name in seen and name != "<<":
                raise ConfigError(f"{path}, line {line}: {name} is given twice, first on line {seen[name]}")
            seen[name] = line
            lines[(*key, name)] = line
            _walk(value_node, (*key, name), lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*key, index), lines, path)


def _put(raw: dict[str, Any], key: Key, value: Any, text: str) -> None:
    """Set one entry of nested mappings and lists, making mappings on the way."""
    place: Any = raw
    for depth, part in enumerate(key):
        last = depth == len(key) - 1
        shown = ".".join(map(str, key[:depth])) or "the configuration"
        if isinstance(place, list):
            if not isinstance(part, int) or part >= len(place):
                raise ConfigError(f"--set {text}: {shown} is a list of {len(place)}; use an index below {len(place)}")
        elif isinstance(place, dict):
            part = str(part)
            if not last and place.get(part) is None:
                place[part] = {}
        else:
            raise ConfigError(f"--set {text}: {shown} is a single value and has no key {part}")
        if last:
            place[part] = value
        else:
            place = place[part]


def _explain(error: Any, origins: Mapping[Key, str], default_origin: str) -> str:
    """One sentence for one pydantic error: key, place, what is wrong, what is allowed."""
    location = tuple(part for part in error["loc"] if not (isinstance(part, str) and part in _UNION_TAGS))
    shown = ".".join(map(str, location)) or "the configuration"
    origin = next(
        (origins[location[:n]] for n in range(len(location), -1, -1) if location[:n] in origins), default_origin
    )
    place = f" ({origin})" if origin else ""
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        allowed = sorted(_keys_at(location[:-1]))
        guess = difflib.get_close_matches(str(location[-1]), allowed, n=1, cutoff=0.6)
        hint = f"did you mean {guess[0]}?" if guess else f"allowed here: {', '.join(allowed)}"
        return f"{shown}{place}: unknown key; {hint}"
    if kind == "missing":
        return f"{shown}{place}: is required and absent"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = "" if isinstance(given, dict | list | BaseModel) or given is None else f", and is {given!r}"
    if kind == "string_pattern_mismatch":
        return f"{shown}{place}: {given!r} should be letters, digits and _ and begin with a letter"
    return f"{shown}{place}: {message.replace('input should', 'should')}{value}"


_UNION_TAGS = frozenset({"int", "str", "bool", "[key]"}) | {"tuple[str, ...]", "tuple[str,...]"}


def _keys_at(location: Key) -> set[str]:
    """The keys allowed at a place of the configuration, found by walking the models' annotations."""
    models = {Config}
    for part in location:
        following: set[Any] = set()
        for model in models:
            if isinstance(part, int):
                following.add(model)
            elif part in model.model_fields:
                following |= _models_in(model.model_fields[part].annotation)
        models = following or models
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> set[Any]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return {annotation} if issubclass(annotation, BaseModel) else set()
    return {model for argument in typing.get_args(annotation) for model in _models_in(argument)}


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"}]
    guess = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / guess[0]}?" if guess else ""
