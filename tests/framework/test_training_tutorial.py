"""The tutorial's code runs as it stands, and does what its text says."""

import contextlib
import io
import re
from pathlib import Path

import framework

TEXT = Path(__file__).parents[2] / "docs" / "tutorials" / "train-a-model.md"


def test_the_tutorial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        for block in blocks:
            exec(compile(block, str(TEXT), "exec"), names)
    metrics, rate = said.getvalue().splitlines()
    assert eval(metrics)["test_accuracy"] > 0.95
    assert 1e-4 < float(rate) < 1
    assert len([line for line in blocks[0].splitlines() if line]) <= 31
    assert (tmp_path / "spiral" / "metrics.csv").exists()
    assert "last.safetensors" in {path.name for path in (tmp_path / "spiral" / "checkpoints").iterdir()}

    # The same program again has nothing left to do, and says the same.
    again = io.StringIO()
    with contextlib.redirect_stdout(again), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(blocks[0], str(TEXT), "exec"), {})
    assert eval(again.getvalue()) == eval(metrics)
    assert framework.is_grad_enabled()
