"""Configuration: every mistake is answered with the key, the place and what is allowed."""

import json
from pathlib import Path

import pytest

from pipelines.config import Config, dump_config, json_schema, load_config, parse_override
from pipelines.errors import ConfigError, ExitCode

TEXT = """\
name: tiny
structures:
  liver: [5]
  vertebrae: [26, 27]
data:
  cases:
    - image: ct.nii.gz
      label: seg.nii.gz
      labelled_slices: [0, 12]
training:
  patch_size: [16, 16, 8]
  iterations: 20
  optimizer: {name: adamw, lr: 1e-3}
network:
  features: [4, 8]
  strides: [[1, 1, 1], [2, 2, 2]]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value)


def test_values_and_defaults(path: Path) -> None:
    config = load_config(path)
    assert config.labels == {"liver": 1, "vertebrae": 2}
    assert config.training.optimizer.lr == 1e-3
    assert config.data.cases[0].labelled_slices == (0, 12)
    assert config.network.total_stride == (2, 2, 2)
    assert config.inference.overlap == 0.5


def test_dump_reads_back_equal(path: Path, tmp_path: Path) -> None:
    config = load_config(path, ["inference.keep_largest=[liver]", "preprocessing.window=[-160, 240]"])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config), encoding="utf-8")
    assert load_config(copy) == config


def test_a_single_label_needs_no_brackets(path: Path) -> None:
    path.write_text(TEXT.replace("[5]", "5"), encoding="utf-8")
    assert load_config(path).structures["liver"] == (5,)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.seed=7", ("training", "seed", 7)),
        ("training.optimizer.name=sgd", ("training", "optimizer", "name", "sgd")),
        ("data.cases.0.weight=2.5", ("data", "cases", 0, "weight", 2.5)),
        ("training.patch_size=[32, 32, 16]", ("training", "patch_size", (32, 32, 16))),
        ("preprocessing.spacing=[1, 1, 2]", ("preprocessing", "spacing", (1.0, 1.0, 2.0))),
    ],
)
def test_overrides(path: Path, override: str, expected: tuple[object, ...]) -> None:
    value: object = load_config(path, [override])
    for part in expected[:-1]:
        value = value[part] if isinstance(part, int) else getattr(value, str(part))  # type: ignore[index]
    assert value == expected[-1]


def test_later_overrides_win(path: Path) -> None:
    assert load_config(path, ["training.seed=1", "training.seed=2"]).training.seed == 2


def test_unknown_key_names_line_and_guess(path: Path) -> None:
    path.write_text(TEXT.replace("iterations: 20", "iteration: 20"), encoding="utf-8")
    assert refusal(path) == f"training.iteration ({path}, line 12): unknown key; did you mean iterations?"


def test_unknown_key_without_a_guess_lists_what_is_allowed(path: Path) -> None:
    message = refusal(path, "network.zzz=1")
    assert message.startswith(
        "network.zzz (--set network.zzz=1): unknown key; allowed here: deep_supervision, features,"
    )


def test_unknown_key_inside_a_list(path: Path) -> None:
    path.write_text(TEXT.replace("label: seg", "lable: seg"), encoding="utf-8")
    message = refusal(path)
    assert f"data.cases.0.lable ({path}, line 8): unknown key; did you mean label?" in message
    assert f"data.cases.0.label ({path}, line 7): is required and absent" in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("training.iterations=many", "should be a valid integer"),
        ("training.optimizer.name=adam", "should be 'sgd' or 'adamw', and is 'adam'"),
        ("training.foreground_fraction=1.5", "should be less than or equal to 1, and is 1.5"),
        ("data.cases.0.labelled_slices=[5, 2]", "0 <= first < end"),
        ("preprocessing.window=[240, -160]", "low < high"),
        ("preprocessing.spacing=[0, 1, 1]", "between 0.05 and 50 mm"),
        ("network.features=[4, 8, 16]", "strides has 2 entries, features has 3"),
        ("network.strides=[[2, 2, 2], [2, 2, 2]]", "the first stage keeps the resolution"),
        ("training.patch_size=[16, 15, 8]", "is 15 along y, which 2"),
        ("structures.liver=[26]", "label 26 stands in both liver and vertebrae"),
        ("structures.liver=[0]", "0 is the background"),
        ("structures.liver=[liver]", "data.label_names must say"),
        ("structures={bad name: [1]}", "letters, digits and _"),
        ("inference.keep_largest=[spleen]", "names spleen, which is not among the structures"),
        ("data.folder={path: x}", "either cases or folder"),
    ],
)
def test_wrong_values_are_explained(path: Path, override: str, part: str) -> None:
    message = refusal(path, override)
    assert part in message
    assert override.partition("=")[0].split(".")[0] in message or "the configuration" in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("training.seed", "should look like"),
        ("=3", "should look like"),
        ("training..seed=3", "should look like"),
        ("training.seed=[1", "not a YAML value"),
        ("name.first=x", "name is a single value"),
        ("data.cases.4.weight=2", "is a list of 1"),
    ],
)
def test_malformed_overrides(path: Path, override: str, part: str) -> None:
    assert part in refusal(path, override)


def test_override_values_are_yaml() -> None:
    assert parse_override("a.b=[1, x]") == (("a", "b"), [1, "x"])
    assert parse_override("a.0=null") == (("a", 0), None)


def test_key_given_twice_is_refused(path: Path) -> None:
    path.write_text(TEXT + "name: other\n", encoding="utf-8")
    assert refusal(path) == f"{path}, line 17: name is given twice, first on line 1"


def test_broken_yaml_names_the_line(path: Path) -> None:
    path.write_text(TEXT + "inference: {overlap: 0.5\n", encoding="utf-8")
    assert f"{path}, line 18: not valid YAML" in refusal(path)


def test_yaml_cannot_run_code(path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{marker}']\n", encoding="utf-8")
    assert "not valid YAML" in refusal(path)
    assert not marker.exists()


def test_expanding_aliases_are_refused(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "expands to more than" in refusal(path)


def test_absent_file_guesses_a_neighbour(path: Path) -> None:
    message = refusal(path.with_name("tiny.yml"))
    assert message == f"there is no configuration {path.with_suffix('.yml')}; did you mean {path}?"


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text"])
def test_not_a_mapping(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    assert "should hold keys and values" in refusal(path)


def test_schema_is_json_and_closed() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"structures", "data"}
    assert schema["$defs"]["Training"]["properties"]["iterations"]["minimum"] == 1


def test_configuration_is_frozen(path: Path) -> None:
    config = load_config(path)
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"
