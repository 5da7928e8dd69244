"""The command line: help is quick and light, mistakes are one sentence, exit codes are as documented."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework.version import __version__
from pipelines.cli import main
from pipelines.errors import ExitCode, InputError, StoppedError, explain


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'pydantic', 'rich', 'yaml', 'medimg', 'numba', 'llvmlite', 'pydicom', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "predict" in done.stdout
    assert "Research use only" in done.stdout


def test_no_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == ExitCode.OK
    assert "Usage: voxhelix" in out
    assert "130 interrupted" in " ".join(out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"voxhelix {__version__}\n", "")
    assert run(capsys, "--version", "--bare") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train"], "Missing argument"),
        (["predict", "model", "x.nii.gz"], "--output"),
        (["predict", "m", "x", "-o", "o", "--format", "jpeg"], "'jpeg'"),
        (["evaluate", "a", "b", "--tolerance", "-1"], "greater than or equal to 0. Try"),
        (["train", "nothing.yaml"], "there is no configuration nothing.yaml"),
        (["config"], "give a configuration file, or --schema"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], part: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == ExitCode.USAGE
    assert out == ""
    assert part in err
    assert err.startswith("Error: ")
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "train", "nothing.yaml", "--debug")
    assert code == ExitCode.USAGE
    assert "Traceback" in err
    assert err.splitlines()[-1] == "Error: there is no configuration nothing.yaml"


def test_config_command_prints_schema_and_complete_yaml(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "config", "--schema")
    assert code == 0
    assert json.loads(out)["title"] == "voxhelix configuration"
    path = tmp_path / "a.yaml"
    path.write_text("structures: {liver: 1}\ndata: {cases: [{image: a, label: b}]}\n", encoding="utf-8")
    code, out, _ = run(capsys, "config", str(path), "--set", "training.seed=5")
    assert code == 0
    assert "seed: 5" in out
    assert "gradient_clip: 12.0" in out


def test_errors_are_sentences() -> None:
    assert explain(InputError("no such scan")) == ("no such scan", ExitCode.BAD_INPUT)
    assert explain(StoppedError("stopped")) == ("stopped", ExitCode.INTERRUPTED)
    assert explain(KeyboardInterrupt())[1] == ExitCode.INTERRUPTED
    sentence, code = explain(MemoryError())
    assert "patch_size" in sentence
    assert code == ExitCode.FAILURE
    sentence, code = explain(PermissionError(13, "Permission denied", "/x/y"))
    assert sentence == "/x/y: Permission denied."
    sentence, code = explain(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in sentence
    assert "--debug" in sentence
    assert code == ExitCode.FAILURE


def test_image_errors_are_bad_input() -> None:
    import medimg

    assert explain(medimg.ImageError("slices are missing")) == ("slices are missing", ExitCode.BAD_INPUT)
