"""`voxhelix weights`: what it lists and converts, and what it says of files that it cannot read."""

from pathlib import Path

import numpy as np
import pytest

import framework
from framework.serialization import describe
from pipelines.cli import main
from pipelines.errors import ExitCode


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    state = {"layer": {"weight": framework.ones(300, 2, 5)}, "step": 7, "scale": np.float64(0.5)}
    framework.save(state, path, {"made by": "a test"})
    return path


def test_show(capsys: pytest.CaptureFixture[str], weights: Path) -> None:
    code, out, _ = run(capsys, "weights", "show", str(weights))
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == ExitCode.OK
    assert "layer.weight float32 300 x 2 x 5 12 kB" in lines
    assert "scale float64 one number 8 bytes" in lines
    assert "net.safetensors: safetensors, 2 tensors, 12 kB" in lines
    assert "made by: a test" in lines


def test_show_says_which_tensors_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(2).to_sparse(), "b": torch.ones(2)}, tmp_path / "a.pt")
    code, out, _ = run(capsys, "weights", "show", str(tmp_path / "a.pt"))
    assert code == ExitCode.OK
    assert "is sparse: make it dense" in out
    assert "a.pt: PyTorch, 2 tensors, 8 bytes" in out
    code, _, err = run(capsys, "weights", "convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors"))
    assert code == ExitCode.BAD_INPUT
    assert "tensor 'a' is sparse" in err


def test_convert(capsys: pytest.CaptureFixture[str], weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "big.safetensors"
    code, said, _ = run(capsys, "weights", "convert", str(weights), str(out), "--max-shard-size", "1KB")
    assert code == ExitCode.OK
    assert said == f"{out} is written.\n"
    assert not out.exists()
    back = framework.load(out)
    assert back["step"] == 7
    assert back["layer"]["weight"].sum() == 3000
    assert describe(out).metadata["made by"] == "a test"
    code, said, _ = run(capsys, "weights", "show", str(out))
    assert "safetensors in 2 shards" in said
    code, _, _ = run(capsys, "weights", "convert", str(tmp_path), str(tmp_path / "again.safetensors"))
    assert code == ExitCode.BAD_INPUT  # a folder with two checkpoints


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["show", "nothing.pt"], ExitCode.BAD_INPUT, "there is no file nothing.pt"),
        (["show", __file__], ExitCode.BAD_INPUT, "is no safetensors, PyTorch, TorchScript or Keras 2 file"),
        (["convert", "NET", "out.pt"], ExitCode.USAGE, "the converted file is named *.safetensors, not out.pt"),
        (["convert", "NET", "NET"], ExitCode.USAGE, "is the file to convert"),
        (["convert", "NET", "o.safetensors", "--max-shard-size", "much"], ExitCode.USAGE, "'much' is no size"),
        ([], ExitCode.USAGE, "Missing command"),
    ],
)
def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], weights: Path, arguments: list[str], code: int, part: str
) -> None:
    before = weights.read_bytes()
    found, out, err = run(capsys, "weights", *(str(weights) if part == "NET" else part for part in arguments))
    assert (found, out) == (code, "")
    assert part in err
    assert len(err.splitlines()) == 1
    assert weights.read_bytes() == before
